import os
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from fastslow.data import load_folder
from fastslow.data.images import folder as folders
from fastslow.errors import InputError


def drawing(paper: int, ink: int, width: int = 40, height: int = 40) -> np.ndarray:
    """A blot of ink in the middle third of the paper."""
    pixels = np.full((height, width), paper, dtype=np.uint8)
    pixels[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3] = ink
    return pixels


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


@pytest.mark.parametrize(("paper", "ink"), [(255, 0), (0, 255)])
def test_ink_is_made_bright(tmp_path, paper, ink):
    for name in ("b/1.png", "b/2.png", "a/1.png"):
        save(tmp_path / name, drawing(paper, ink))
    data = load_folder(tmp_path)
    assert data.images.shape == (3, 28, 28)
    assert data.class_names == ("a", "b")
    assert data.labels.tolist() == [0, 1, 1]
    assert (data.images[:, 0] == 0).all()
    assert (data.images[:, 14, 14] == 255).all()


def test_polarity_is_decided_image_by_image(tmp_path):
    for number in range(3):
        save(tmp_path / f"a/{number}.png", drawing(255, 0))
    save(tmp_path / "a/3.png", drawing(0, 255))
    images = load_folder(tmp_path).images
    assert (images == images[0]).all()
    assert images[:, 0, 0].tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(("ink", "paper"), [("dark", 255), ("bright", 0)])
def test_ink_can_be_said(tmp_path, ink, paper):
    save(tmp_path / "a/1.png", drawing(paper, 255 - paper))
    assert load_folder(tmp_path, ink=ink).images[0, 0, 0] == 0
    assert (load_folder(tmp_path, ink=ink).images == load_folder(tmp_path).images).all()
    other = "bright" if ink == "dark" else "dark"
    with pytest.raises(InputError, match=rf"1\.png is blank: no {other} ink"):
        load_folder(tmp_path, ink=other)


def test_aspect_is_kept_and_padded_with_paper(tmp_path):
    save(tmp_path / "a/wide.png", drawing(240, 0, width=60, height=20))
    image = load_folder(tmp_path, image_size=30, ink="as_is").images[0]
    assert (image[:10] == 240).all()
    assert (image[20:] == 240).all()
    assert image[15, 15] == 0
    assert (image[10:20, :8] > 200).all()


def test_one_pixel_is_enough_for_what_is_no_drawing(tmp_path):
    save(tmp_path / "a/1.png", np.full((1, 1), 9, dtype=np.uint8))
    save(tmp_path / "a/2.png", np.full((1, 300), 9, dtype=np.uint8))
    assert (load_folder(tmp_path, image_size=5, ink="as_is").images == 9).all()
    with pytest.raises(InputError, match=r"1\.png is blank"):
        load_folder(tmp_path)


def test_colour_transparency_and_16_bit(tmp_path):
    save(tmp_path / "colour/1.jpg", np.repeat(drawing(255, 0)[..., None], 3, axis=2))
    clear = np.zeros((40, 40, 4), dtype=np.uint8)
    clear[..., 3] = 255 - drawing(255, 0)  # black ink, everything else transparent black
    save(tmp_path / "clear/1.png", clear)
    save(tmp_path / "deep/1.png", drawing(255, 0).astype(np.uint16) * 257)
    data = load_folder(tmp_path)
    assert (data.images[:, 0, 0] == 0).all()
    assert (data.images[:, 14, 14] > 250).all()


def test_nearly_blank_files_of_16_bits_are_blank_in_every_format(tmp_path):
    for name, size in (("1.png", 40), ("2.pgm", 40), ("3.png", 2010)):  # the last one is averaged down
        save(tmp_path / "a" / name, drawing(0, 200, size, size).astype(np.uint16))
        with pytest.raises(InputError, match=rf"{name} is blank"):
            load_folder(tmp_path)
        (tmp_path / "a" / name).unlink()


def test_other_files_are_passed_over(tmp_path):
    save(tmp_path / "a/1.PNG", drawing(255, 0))
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / ".hidden.png").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.png").write_text("x")
    save(tmp_path / "a/deeper/2.png", drawing(255, 0))
    (tmp_path / "a/photo.HEIC").write_bytes(b"x")
    (tmp_path / "a/IMG_1").write_bytes((tmp_path / "a/1.PNG").read_bytes())
    with pytest.warns(UserWarning, match=r"5 entries .* passed over \(readme.png, a/IMG_1, a/deeper, \.\.\.\)"):
        assert load_folder(tmp_path).images.shape == (1, 28, 28)


def test_nothing_is_said_where_nothing_is_passed_over(tmp_path, recwarn):
    save(tmp_path / "a/1.png", drawing(255, 0))
    load_folder(tmp_path)
    assert not recwarn.list


def test_a_class_of_files_that_are_not_read_says_which(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/photo.heic").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a holds no image files \(passed over: 1, photo.heic\); .* \.png"):
        load_folder(tmp_path)


def test_refusals(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no sub-folders"):
        load_folder(tmp_path)
    save(tmp_path / "a/1.png", drawing(255, 0))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no image files"):
        load_folder(tmp_path)
    with pytest.raises(InputError, match="image_size is 0"):
        load_folder(tmp_path, image_size=0)


@pytest.mark.parametrize("keep", [0, 20, 80])
def test_an_unreadable_image_is_named(tmp_path, keep):
    save(tmp_path / "a/1.png", drawing(255, 0))
    content = (tmp_path / "a/1.png").read_bytes()
    (tmp_path / "a/2.png").write_bytes(content[:keep])
    with pytest.raises(InputError, match=r"2\.png is not a readable image"):
        load_folder(tmp_path)


def test_a_text_path_is_a_path(tmp_path):
    save(tmp_path / "a/1.png", drawing(255, 0))
    assert load_folder(str(tmp_path)).class_names == ("a",)


def test_photographs_are_left_as_they_are_and_said_to_be(tmp_path):
    rng = np.random.default_rng(0)
    photographs = rng.integers(0, 256, (6, 28, 28)).astype(np.uint8)
    for number, pixels in enumerate(photographs):
        save(tmp_path / f"a/{number}.png", pixels)
    with pytest.warns(UserWarning, match="6 of the 6 images .* taken for photographs"):
        images = load_folder(tmp_path).images
    assert (images.numpy() == photographs).all()
    assert (load_folder(tmp_path, ink="as_is").images == images).all()


def test_crops_of_photographs_are_taken_for_photographs_though_some_look_like_noisy_or_blank_drawings(tmp_path):
    rng = np.random.default_rng(1)
    for label, photograph in zip("ab", load_sample_images().images, strict=True):
        for number in range(20):
            top, left = (rng.integers(0, edge - 96) for edge in photograph.shape[:2])
            save(tmp_path / f"{label}/{number}.png", photograph[top : top + 96, left : left + 96])
    save(tmp_path / "b/blank.png", np.full((96, 96, 3), 200, np.uint8))
    with pytest.warns(UserWarning, match="of the 41 images .* taken for photographs"):
        images = load_folder(tmp_path).images
    assert (load_folder(tmp_path, ink="as_is").images == images).all()


def test_noisy_drawings_are_no_photographs(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(4):
        noisy = drawing(200, 240) + rng.normal(0, 8, drawing(200, 240).shape)
        save(tmp_path / f"a/{number}.png", noisy.round().clip(0, 255).astype(np.uint8))
    with pytest.raises(InputError, match="hardly stands out from uneven paper"):
        load_folder(tmp_path)


def test_one_photograph_among_drawings_is_named(tmp_path):
    for number in range(9):
        save(tmp_path / f"a/{number}.png", drawing(255, 0))
    save(tmp_path / "a/9.png", np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8))
    with pytest.raises(InputError, match=r"9\.png has no plain paper"):
        load_folder(tmp_path)


def test_odd_class_names_are_names(tmp_path):
    names = ["$x_1$", "[x]", "a b", "\u00e4", "\u732b"]
    for name in names:
        save(tmp_path / name / "1.png", drawing(255, 0))
    assert sorted(load_folder(tmp_path).class_names) == sorted(names)


@pytest.mark.skipif(os.name == "nt", reason="names are text there")
def test_a_class_name_that_is_no_text_is_spelt_out(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes text only")
    save(folder / "1.png", drawing(255, 0))
    assert load_folder(tmp_path).class_names == ("\\xff",)


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n0 0 moveto 28 28 lineto stroke\nshowpage\n"


@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.tif", "1.bmp"])
def test_postscript_starts_no_program_under_any_name(tmp_path, monkeypatch, name):
    def start(*arguments, **options):
        raise AssertionError("a program was started")

    for starter in ("Popen", "call", "check_call", "run"):
        monkeypatch.setattr(subprocess, starter, start)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / name).write_bytes(POSTSCRIPT)
    with pytest.raises(InputError, match=r"1\.\w+ is not a readable image"):
        load_folder(tmp_path)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that announces a large picture."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 0, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("edge", [7072, 10_000, 50_000])
def test_an_image_that_unpacks_to_gigabytes_is_refused_before_it_does(tmp_path, monkeypatch, edge):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.png").write_bytes(bomb(edge, edge))
    monkeypatch.setattr(Image.Image, "load", lambda image: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match=r"1\.png is too large"):
        load_folder(tmp_path)


def test_a_large_page_is_averaged_down_first(tmp_path, monkeypatch):
    save(tmp_path / "a/1.png", drawing(255, 0, 400, 300))
    save(tmp_path / "a/2.png", drawing(255, 0, 400, 300).astype(np.uint16) * 257)
    exact = load_folder(tmp_path).images
    monkeypatch.setattr(folders, "_ENOUGH_PIXELS", 20_000)
    averaged = load_folder(tmp_path).images
    assert (averaged.int() - exact.int()).abs().max() <= 40  # at the edges of the ink
    assert (averaged.float() - exact.float()).abs().mean() < 3


def test_a_turned_photograph_is_turned_back(tmp_path):
    pixels = np.full((40, 40), 255, np.uint8)
    pixels[4:12, 4:30] = 0
    save(tmp_path / "a/1.png", pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "a/2.png", np.rot90(pixels).copy(), exif=exif)
    images = load_folder(tmp_path).images
    assert (images[0] == images[1]).all()


@pytest.mark.parametrize("place", ["a", "a/1.png"])
def test_what_may_not_be_read_is_named(tmp_path, monkeypatch, place):
    save(tmp_path / "a/1.png", drawing(255, 0))
    denied = tmp_path / place

    def refuse(path, *arguments, **options):
        if Path(path) == denied:
            raise PermissionError(13, "Permission denied", str(path))
        return original(path, *arguments, **options)

    owner, name = (Path, "iterdir") if place == "a" else (folders.Image, "open")
    original = getattr(owner, name)
    monkeypatch.setattr(owner, name, refuse)
    with pytest.raises(InputError, match=rf"{denied} cannot be read \(Permission denied\)"):
        load_folder(tmp_path)
