import numpy as np
import pytest
from PIL import Image

from fastslow.data import load_folder
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


def test_invert_is_decided_for_the_whole_data_set(tmp_path):
    for number in range(3):
        save(tmp_path / f"a/{number}.png", drawing(255, 0))
    save(tmp_path / "a/3.png", drawing(0, 255))
    corners = load_folder(tmp_path).images[:, 0, 0].tolist()
    assert corners == [0, 0, 0, 255]


@pytest.mark.parametrize(("invert", "corner"), [(True, 255), (False, 0)])
def test_invert_can_be_said(tmp_path, invert, corner):
    save(tmp_path / "a/1.png", drawing(0, 255))
    assert load_folder(tmp_path, invert=invert).images[0, 0, 0] == corner


def test_aspect_is_kept_and_padded_with_paper(tmp_path):
    save(tmp_path / "a/wide.png", drawing(240, 0, width=60, height=20))
    image = load_folder(tmp_path, image_size=30, invert=False).images[0]
    assert (image[:10] == 240).all()
    assert (image[20:] == 240).all()
    assert image[15, 15] == 0
    assert (image[10:20, :8] > 200).all()


def test_one_pixel_is_enough(tmp_path):
    save(tmp_path / "a/1.png", np.full((1, 1), 9, dtype=np.uint8))
    save(tmp_path / "a/2.png", np.full((1, 300), 9, dtype=np.uint8))
    assert (load_folder(tmp_path, image_size=5).images == 9).all()


def test_colour_transparency_and_16_bit(tmp_path):
    save(tmp_path / "colour/1.jpg", np.repeat(drawing(255, 0)[..., None], 3, axis=2))
    clear = np.zeros((40, 40, 4), dtype=np.uint8)
    clear[..., 3] = 255 - drawing(255, 0)  # black ink, everything else transparent black
    save(tmp_path / "clear/1.png", clear)
    save(tmp_path / "deep/1.png", drawing(255, 0).astype(np.uint16) * 257)
    data = load_folder(tmp_path)
    assert (data.images[:, 0, 0] == 0).all()
    assert (data.images[:, 14, 14] > 250).all()


def test_other_files_are_passed_over(tmp_path):
    save(tmp_path / "a/1.PNG", drawing(255, 0))
    (tmp_path / "a" / "notes.txt").write_text("x")
    (tmp_path / "a" / ".hidden.png").write_text("x")
    (tmp_path / ".git").mkdir()
    (tmp_path / "readme.png").write_text("x")
    save(tmp_path / "a/deeper/2.png", drawing(255, 0))
    assert load_folder(tmp_path).images.shape == (1, 28, 28)


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
