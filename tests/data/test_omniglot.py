import contextlib
import os
import struct
import sys
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
import torch

from fastslow.data import load_omniglot as load_all
from fastslow.data import load_source, omniglot_split
from fastslow.data.images import omniglot as omniglot_module
from fastslow.data.images import resize
from fastslow.errors import InputError
from omniglot_sample import CHARACTERS, members, picture, write_zips

REAL_DATA = Path(os.environ.get("FASTSLOW_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def load_omniglot(folder):
    """A few characters: an excerpt, which has to be asked for."""
    return load_all(folder, complete=False)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


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
    assert len(list(cache.glob("omniglot-*.pixels"))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(omniglot_module, "_decode_all", None)
        assert torch.equal(load_omniglot(tmp_path).images, first.images)
    with zipfile.ZipFile(tmp_path / "images_evaluation.zip", "a") as archive:
        archive.writestr("images_evaluation/ULOG/character02/0009_01.png", picture(0))
    assert load_omniglot(tmp_path).images.shape == (11, 28, 28)
    assert len(list(cache.glob("omniglot-*.pixels"))) == 2


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


def write_zip(path, contents):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def write_complete(folder, monkeypatch, missing=(), extra=()):
    """Data that are complete for an Omniglot of 5 characters of 2 drawings."""
    monkeypatch.setattr(omniglot_module, "_NUM_CHARACTERS", 5)
    monkeypatch.setattr(omniglot_module, "_DRAWINGS", 2)
    for part in CHARACTERS:
        contents = {name: content for name, content in members(part).items() if name not in missing}
        contents |= {name: picture(0) for name in extra if name.startswith(part)}
        write_zip(folder / f"{part}.zip", contents)


def test_complete_data_are_taken(tmp_path, monkeypatch):
    write_complete(tmp_path, monkeypatch)
    assert load_all(tmp_path).num_classes == 5


@pytest.mark.parametrize(
    ("missing", "extra", "message"),
    [
        (
            ["images_evaluation/ULOG/character01/0001_02.png"],
            [],
            "images_evaluation/ULOG/character01 has 1 pictures, 2",
        ),
        (
            [],
            ["images_background/Greek/character02/9.png"],
            "images_background/Greek/character02 has 3 pictures, 2 were",
        ),
        (
            [f"images_evaluation/ULOG/character01/0001_0{i}.png" for i in (1, 2)],
            [],
            "got 4 Omniglot characters, 5 were expected",
        ),
    ],
)
def test_incomplete_data_are_refused_and_the_first_character_named(tmp_path, monkeypatch, missing, extra, message):
    write_complete(tmp_path, monkeypatch, missing, extra)
    with pytest.raises(InputError, match=f"{message}.*fetch it again"):
        load_all(tmp_path)
    with pytest.raises(InputError, match=message):
        load_source("omniglot", data_dir=tmp_path)


def test_an_excerpt_is_refused_unless_asked_for(tmp_path):
    write_zips(tmp_path)
    with pytest.raises(InputError, match="character01 has 2 pictures, 20 were expected"):
        load_all(tmp_path)


def test_the_folder_may_be_given_as_text_and_the_size_chosen(tmp_path):
    write_zips(tmp_path)
    whole = load_all(str(tmp_path), 105, complete=False).images
    assert whole.shape == (10, 105, 105)
    assert set(whole.unique().tolist()) == {0, 255}
    assert load_all(str(tmp_path), complete=False).images.shape == (10, 28, 28)
    for size in (0, 106):
        with pytest.raises(InputError, match=f"image_size is {size}"):
            load_all(tmp_path, size)


@contextlib.contextmanager
def little_memory():
    """What goes on in here takes less than 16 MiB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG that announces these sizes, 1 bit grey."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 105 105\n%%EndComments\nshowpage\n%%EOF\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (png(9000, 9000, zlib.compress(bytes(10**6))), "9000 x 9000 pixels; 105 x 105 were expected"),
        (png(104, 105, zlib.compress(bytes(14 * 105))), "104 x 105 pixels"),
        (png(105, 105, b"no zlib"), "not a readable picture"),
        (EPS, "not a readable picture .*cannot identify image file"),
    ],
)
def test_a_hostile_picture_is_named_and_not_unpacked(tmp_path, content, message):
    write_zips(tmp_path)
    with zipfile.ZipFile(tmp_path / "images_background.zip", "a") as archive:
        archive.writestr("images_background/Greek/character03/0100_01.png", content)
    with little_memory(), pytest.raises(InputError, match=f"0100_01.*{message}"):
        load_omniglot(tmp_path)


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_a_member_that_unpacks_to_much_is_refused_before_it_does(tmp_path, compression):
    write_zips(tmp_path)
    with zipfile.ZipFile(tmp_path / "images_background.zip", "a", compression) as archive:
        archive.writestr("images_background/Greek/character03/0100_01.png", bytes(2**24))
    message = r"background\.zip: .*0100_01\.png (has 16777216 bytes|is packed in a way)"
    with little_memory(), pytest.raises(InputError, match=message):
        load_omniglot(tmp_path)


def test_more_pictures_than_fit_in_memory_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    write_zips(tmp_path)
    monkeypatch.setattr(resize, "_MAX_BYTES", 10 * 28**2 - 1)
    monkeypatch.setattr(omniglot_module, "_decode_all", None)
    with pytest.raises(InputError, match="10 images fit in memory up to 27 pixels"):
        load_omniglot(tmp_path)


def test_a_zip_far_larger_than_omniglots_is_not_read(tmp_path):
    write_zips(tmp_path)
    with (tmp_path / "images_evaluation.zip").open("r+b") as file:
        file.truncate(2**25 + 1)
    with pytest.raises(InputError, match=r"evaluation\.zip has 33554433 bytes, over 33554432"):
        load_omniglot(tmp_path)


def test_lake_split_goes_by_part_and_alphabet(tmp_path):
    write_zips(tmp_path)
    split = omniglot_split(load_omniglot(tmp_path).class_names, "lake")
    assert (split.name, split.train, split.validation, split.test) == ("lake", (0, 1), (2,), (3, 4))


def test_split_refusals():
    names = [f"images_background/Greek/character{i:02}" for i in range(1, 25)]
    with pytest.raises(InputError, match="needs all 1623 Omniglot characters, got 24 classes"):
        omniglot_split(names, "vinyals")
    with pytest.raises(InputError, match="no Omniglot split 'random'; choose vinyals or lake"):
        omniglot_split(names, "random")
    with pytest.raises(InputError, match="'cats' is not from Omniglot"):
        omniglot_split([*names, "cats"], "lake")


@pytest.mark.slow
@pytest.mark.no_cover  # reads many images, by lines that others run
@pytest.mark.skipif(not (REAL_DATA / "omniglot").is_dir(), reason="the real data is not here")
def test_real_data():
    data = load_all(REAL_DATA)
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
