import numpy as np
import pytest

from fastslow.data.fetch.cache import load_cached, store_cached


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_what_is_stored_comes_back_and_nothing_else_is_left(cache):
    assert load_cached("a.npz", 2) is None
    assert store_cached("a.npz", IMAGES)
    assert store_cached("a.npz", IMAGES)
    np.testing.assert_array_equal(load_cached("a.npz", 2), IMAGES)
    assert [file.name for file in cache.iterdir()] == ["a.npz"]


def test_another_number_of_images_is_not_ours():
    store_cached("a.npz", IMAGES)
    assert load_cached("a.npz", 3) is None


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "other array", "one axis", "objects"])
def test_damage_is_ignored(cache, damage):
    store_cached("a.npz", IMAGES)
    path = cache / "a.npz"
    content = bytearray(path.read_bytes())
    flipped = bytearray(content)
    flipped[content.index(IMAGES.tobytes()) + 5] ^= 255
    files = {"empty": b"", "text": b"hello", "cut": content[: len(content) // 2], "flipped": flipped}
    arrays = {
        "other array": {"other": IMAGES},
        "one axis": {"images": IMAGES[:, 0, 0]},
        "objects": {"images": np.array([{}, {}], dtype=object)},
    }
    if damage in files:
        path.write_bytes(files[damage])
    else:
        np.savez(path, **arrays[damage])
    assert load_cached("a.npz", 2) is None


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "file" / "cache"))
    assert not store_cached("a.npz", IMAGES)
    assert load_cached("a.npz", 2) is None


def test_a_failed_write_leaves_nothing(cache, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full)
    assert not store_cached("a.npz", IMAGES)
    assert list(cache.iterdir()) == []
