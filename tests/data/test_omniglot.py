import io
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fastslow.data import load_omniglot, omniglot_split
from fastslow.data.images import omniglot as omniglot_module
from fastslow.errors import InputError

REAL_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
CHARACTERS = {
    "images_background": ("Greek/character01", "Greek/character02", "Hebrew/character01"),
    "images_evaluation": ("Angelic/character01", "ULOG/character01"),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def picture(corner: int) -> bytes:
    """White paper, 105 x 105, 1 bit, with a black square in one of the four corners."""
    pixels = np.ones((105, 105), dtype=bool)
    pixels[60 * (corner // 2) :, 60 * (corner % 2) :][:45, :45] = False
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def members(part: str) -> dict[str, bytes]:
    """Two drawings a character, the last character first."""
    names = [f"{part}/{name}/{n:04}_{d:02}.png" for n, name in enumerate(CHARACTERS[part]) for d in (1, 2)]
    return {name: picture(i % 4) for i, name in reversed(list(enumerate(names)))}


def write_zips(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in CHARACTERS:
        with zipfile.ZipFile(folder / f"{part}.zip", "w") as archive:
            archive.mkdir(f"{part}/")
            archive.writestr(f"__MACOSX/{part}/Greek/character01/._0001_01.png", b"x")
            archive.writestr(f"{part}/Greek/character01/._0001_01.png", b"x")
            archive.writestr(f"{part}/readme.txt", b"x")
            for name, content in members(part).items():
                archive.writestr(name, content)


def write_folders(folder: Path) -> None:
    for part in CHARACTERS:
        for name, content in members(part).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("write", [write_zips, write_folders])
@pytest.mark.parametrize("sub_folder", ["", "omniglot"])
def test_zips_and_folders_in_both_places(tmp_path, write, sub_folder):
    write(tmp_path / sub_folder)
    data = load_omniglot(tmp_path)
    assert data.class_names == tuple(f"{part}/{name}" for part, names in CHARACTERS.items() for name in names)
    assert data.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert data.images.shape == (10, 28, 28)
    assert data.images[0, 5, 5] == 255  # ink in the first corner
    assert data.images[0, 22, 22] == 0
    assert data.images[3, 22, 22] == 255  # and in the last
    assert data.images[3, 5, 5] == 0


def test_the_cache_is_used_and_follows_its_source(tmp_path, cache, monkeypatch):
    write_zips(tmp_path)
    first = load_omniglot(tmp_path)
    assert len(list(cache.glob("omniglot-*.npz"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(omniglot_module, "_decode_all", None)
        assert torch.equal(load_omniglot(tmp_path).images, first.images)
    with zipfile.ZipFile(tmp_path / "images_evaluation.zip", "a") as archive:
        archive.writestr("images_evaluation/ULOG/character02/0009_01.png", picture(0))
    assert load_omniglot(tmp_path).images.shape == (11, 28, 28)
    assert len(list(cache.glob("omniglot-*.npz"))) == 2


def test_a_terminal_gets_a_bar(tmp_path, cache, monkeypatch, capsys):
    write_zips(tmp_path)
    load_omniglot(tmp_path)
    assert capsys.readouterr() == ("", "")
    next(cache.iterdir()).unlink()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    load_omniglot(tmp_path)
    output = capsys.readouterr()
    assert output.out == ""
    assert "Reading Omniglot" in output.err


def test_a_changed_folder_is_read_afresh(tmp_path):
    write_folders(tmp_path)
    file = tmp_path / "images_background/Greek/character01/0000_01.png"
    before = load_omniglot(tmp_path).images[0]
    file.write_bytes(picture(3))
    os.utime(file, ns=(1, 1))
    assert not torch.equal(load_omniglot(tmp_path).images[0], before)


def test_a_damaged_cache_is_made_again(tmp_path, cache):
    write_zips(tmp_path)
    first = load_omniglot(tmp_path)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(load_omniglot(tmp_path).images, first.images)
    assert file.stat().st_size > 100


def test_no_cache_folder_is_no_error(tmp_path, monkeypatch):
    write_zips(tmp_path)
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "images_background.zip" / "cache"))
    assert load_omniglot(tmp_path).num_classes == 5


def test_missing_data_says_where_and_what_to_do(tmp_path):
    with pytest.raises(InputError, match=r"images_background\.zip.*fastslow data fetch omniglot") as caught:
        load_omniglot(tmp_path)
    assert str(tmp_path / "omniglot") in str(caught.value)
    write_zips(tmp_path)
    (tmp_path / "images_evaluation.zip").unlink()
    with pytest.raises(InputError, match=r"looked for images_evaluation\.zip"):
        load_omniglot(tmp_path)


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_truncated_zip_is_named(tmp_path, keep):
    write_zips(tmp_path)
    path = tmp_path / "images_evaluation.zip"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(InputError, match=r"evaluation\.zip cannot be read as a whole .*fetch it again"):
        load_omniglot(tmp_path)


def test_damage_inside_a_zip_is_named(tmp_path, cache):
    write_zips(tmp_path)
    path = tmp_path / "images_evaluation.zip"
    content = bytearray(path.read_bytes())
    content[content.index(b"IDAT") + 6] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"evaluation\.zip is damaged .*fetch it again"):
        load_omniglot(tmp_path)
    assert not cache.exists()


@pytest.mark.parametrize("content", [b"", b"no picture", picture(0)[:60]])
def test_a_bad_picture_is_named(tmp_path, content):
    write_zips(tmp_path)
    with zipfile.ZipFile(tmp_path / "images_background.zip", "a") as archive:
        archive.writestr("images_background/Greek/character03/0100_01.png", content)
    with pytest.raises(InputError, match=r"background\.zip: .*0100_01\.png is not a readable picture"):
        load_omniglot(tmp_path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    write_zips(tmp_path)
    with zipfile.ZipFile(tmp_path / "images_background.zip", "w") as archive:
        archive.writestr("cats/1.png", picture(0))
    with pytest.raises(InputError, match="holds no picture named images_background/ALPHABET"):
        load_omniglot(tmp_path)


def test_lake_split_goes_by_part_and_alphabet(tmp_path):
    write_zips(tmp_path)
    split = omniglot_split(load_omniglot(tmp_path).class_names, "lake")
    assert (split.name, split.train, split.validation, split.test) == ("lake", (0, 1), (2,), (3, 4))


def test_split_refusals():
    names = [f"images_background/Greek/character{i:02}" for i in range(1, 25)]
    with pytest.raises(InputError, match="needs all 1623 Omniglot characters, but 24 classes came"):
        omniglot_split(names, "vinyals")
    with pytest.raises(InputError, match="no Omniglot split 'random'; choose vinyals or lake"):
        omniglot_split(names, "random")
    with pytest.raises(InputError, match="'cats' is not from Omniglot"):
        omniglot_split([*names, "cats"], "lake")


@pytest.mark.slow
@pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data is not here")
def test_real_data():
    data = load_omniglot(REAL_DATA)
    assert data.num_classes == 1623
    assert data.images.shape == (32_460, 28, 28)
    assert (data.labels.bincount() == 20).all()
    assert data.images.float().mean() < 50  # ink is bright and rare
    names = data.class_names

    split = omniglot_split(names, "vinyals")
    assert [len(part) for part in (split.train, split.validation, split.test)] == [1028, 172, 423]
    assert split.train_and_validation == tuple(range(1200))
    assert split.test == tuple(range(1200, 1623))
    assert split.sha256 == "e624c875c645209ad77404b7bb1aa1925781751532e54890428404c394f048c5"
    assert omniglot_split(names[::-1], "vinyals").sha256 == split.sha256

    split = omniglot_split(names, "lake")
    assert [len(part) for part in (split.train, split.validation, split.test)] == [792, 172, 659]
    assert split.sha256 == "02f4c24d8e5177c8917448d3223fd480f0bee722e93a3becbeee94038e1ba55c"
