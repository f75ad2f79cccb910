from pathlib import Path

import numpy as np
import pytest

from fastslow.data.fetching.cache import load_cached, store_cached


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_what_is_stored_comes_back_and_nothing_else_is_left(cache):
    assert load_cached("a", (2, 3, 4)) is None
    assert store_cached("a", IMAGES)
    assert store_cached("a", IMAGES)
    np.testing.assert_array_equal(load_cached("a", (2, 3, 4)), IMAGES)
    assert [file.name for file in cache.iterdir()] == ["a"]


def test_another_number_of_images_is_not_ours():
    store_cached("a", IMAGES)
    assert load_cached("a", (3, 3, 4)) is None


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "longer", "flipped", "flipped digest", "a folder"])
def test_damage_is_ignored(cache, damage):
    store_cached("a", IMAGES)
    path = cache / "a"
    content = path.read_bytes()
    place = content.index(IMAGES.tobytes())
    flipped, flipped_digest = bytearray(content), bytearray(content)
    flipped[place + 5] ^= 1
    flipped_digest[place - 1] ^= 1
    files = {
        "empty": b"", "text": b"hello", "cut": content[: len(content) // 2], "longer": content + b"x",
        "flipped": flipped, "flipped digest": flipped_digest,
    }  # fmt: skip
    if damage in files:
        path.write_bytes(files[damage])
    else:
        path.unlink()
        path.mkdir()
    assert load_cached("a", (2, 3, 4)) is None


def test_other_shapes_of_as_many_bytes_are_what_was_asked_for_and_what_is_read_can_be_written_to():
    store_cached("a", IMAGES[:, :, ::-1])
    images = load_cached("a", (4, 3, 2))
    assert images.flags.writeable
    np.testing.assert_array_equal(images.ravel(), IMAGES[:, :, ::-1].ravel())


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "file" / "cache"))
    assert not store_cached("a", IMAGES)
    assert load_cached("a", (2, 3, 4)) is None


def test_a_failed_write_leaves_nothing(cache, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert not store_cached("a", IMAGES)
    assert list(cache.iterdir()) == []
