import gzip
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from fastslow.data import load_mnist
from fastslow.data.images.mnist import read_idx
from fastslow.errors import InputError

REAL_DATA = Path(os.environ.get("FASTSLOW_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def idx(array: np.ndarray) -> bytes:
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_part(folder, prefix, images, labels):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
    (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))


IMAGES = np.arange(3 * 4 * 5, dtype=np.uint8).reshape(3, 4, 5)
LABELS = np.array([7, 0, 9], dtype=np.uint8)


@pytest.mark.parametrize("folder", ["", "mnist"])
@pytest.mark.parametrize(("part", "prefix"), [("train", "train"), ("test", "t10k")])
def test_both_parts_in_both_places(tmp_path, folder, part, prefix):
    write_part(tmp_path / folder, prefix, IMAGES, LABELS)
    data = load_mnist(tmp_path, part)
    np.testing.assert_array_equal(data.images.numpy(), IMAGES)
    assert data.labels.tolist() == [7, 0, 9]
    assert data.class_names == tuple("0123456789")


def test_missing_file_says_where_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz.*fastslow data fetch mnist"):
        load_mnist(tmp_path)


def test_unknown_part(tmp_path):
    with pytest.raises(InputError, match="no part 'validation'; choose train or test, or all"):
        load_mnist(tmp_path, "validation")


def test_images_and_labels_must_belong_together(tmp_path):
    write_part(tmp_path, "train", IMAGES, LABELS[:2])
    with pytest.raises(InputError, match=r"holds 3 images, but .*labels.* 2 labels"):
        load_mnist(tmp_path)
    write_part(tmp_path, "train", IMAGES, np.array([1, 2, 10], dtype=np.uint8))
    with pytest.raises(InputError, match="holds the label 10"):
        load_mnist(tmp_path)


WHOLE = gzip.compress(idx(IMAGES))
BAD_FILES = {
    "no gzip": (b"hello", "cannot be unpacked"),
    "empty": (b"", r"begins with the bytes \(none\)"),
    "cut gzip": (WHOLE[:-12], "cannot be unpacked"),
    "damaged gzip": (WHOLE[:30] + bytes([WHOLE[30] ^ 255]) + WHOLE[31:], "cannot be unpacked"),
    "wrong kind": (gzip.compress(idx(LABELS)), "begins with the bytes 00 00 08 01, not with 00 00 08 03"),
    "cut header": (gzip.compress(idx(IMAGES)[:12]), "begins with the bytes"),
    "cut in a number": (gzip.compress(idx(IMAGES)[:11]), "begins with the bytes"),
    "too short": (gzip.compress(idx(IMAGES)[:-1]), "announces 60 values, but holds only 59"),
    "too long": (gzip.compress(idx(IMAGES) + b"x"), "announces 60 values, but holds more"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_named(tmp_path, kind):
    content, message = BAD_FILES[kind]
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_idx(path, num_axes=3)
    assert str(path) in str(caught.value)
    assert "fastslow data fetch mnist" in str(caught.value)


def test_all_digits_are_those_for_training_then_those_for_test(tmp_path):
    write_part(tmp_path, "train", IMAGES, LABELS)
    write_part(tmp_path, "t10k", IMAGES[:2] + 100, LABELS[1:])
    data = load_mnist(str(tmp_path), "all")
    np.testing.assert_array_equal(data.images.numpy(), np.concatenate([IMAGES, IMAGES[:2] + 100]))
    assert data.labels.tolist() == [7, 0, 9, 0, 9]


def test_parts_of_different_sizes_do_not_belong_together(tmp_path):
    write_part(tmp_path, "train", IMAGES, LABELS)
    write_part(tmp_path, "t10k", IMAGES[:, :3], LABELS)
    with pytest.raises(InputError, match=r"different sizes, \(4, 5\) and \(3, 5\)"):
        load_mnist(tmp_path, "all")


@pytest.mark.parametrize(
    ("sizes", "num_values", "message"),
    [
        ((2**32 - 1, 2**32 - 1, 2**32 - 1), 0, "1 to 67108864 were expected"),
        ((2**26, 1, 2), 9, r"announces \(67108864, 1, 2\) values"),
        ((0, 2**31, 2**31), 0, "1 to 67108864 were expected"),
        ((1, 2, 3), 2**26, "announces 6 values, but holds more"),
    ],
)
def test_what_announces_or_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path, sizes, num_values, message):
    content = bytes((0, 0, 8, len(sizes))) + struct.pack(f">{len(sizes)}I", *sizes) + bytes(num_values)
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(content))
    del content
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=message):
            read_idx(path, num_axes=3)
        assert tracemalloc.get_traced_memory()[1] < 2**22
    finally:
        tracemalloc.stop()


def test_a_packed_file_far_larger_than_mnists_is_not_read(tmp_path):
    path = tmp_path / "x.gz"
    with path.open("wb") as file:
        file.truncate(2**26 + 1)
    with pytest.raises(InputError, match="has 67108865 bytes, more than 67108864"):
        read_idx(path, num_axes=3)


@pytest.mark.no_cover  # reads many images, by lines that others run
@pytest.mark.skipif(not (REAL_DATA / "mnist").is_dir(), reason="the real data is not here")
def test_real_data():
    assert load_mnist(REAL_DATA, "train").images.shape == (60_000, 28, 28)
    test = load_mnist(REAL_DATA, "test")
    assert test.images.shape == (10_000, 28, 28)
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.images.float().mean() < 50  # ink is bright and rare
