import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fastslow.data import load_mnist
from fastslow.data.images.mnist import read_idx
from fastslow.errors import InputError

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


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
    with pytest.raises(InputError, match="no part 'validation'; choose train or test"):
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


@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data is not here")
def test_real_data():
    assert load_mnist(REAL_DATA, "train").images.shape == (60_000, 28, 28)
    test = load_mnist(REAL_DATA, "test")
    assert test.images.shape == (10_000, 28, 28)
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert test.images.float().mean() < 50  # ink is bright and rare
