"""Each way in of the same drawings ends in the same accuracy, or in a refusal that names the image."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from fastslow import load_pretrained
from fastslow.data import load_folder, make_glyphs
from fastslow.data.drawings import prepared_drawings
from fastslow.data.pillow import without_pillow
from fastslow.data.preparation import INKS, UnclearInkError, prepare, prepare_stack, refuse_unprepared
from fastslow.data.scale import as_pixels
from fastslow.errors import InputError

NUM_CLASSES, PER_CLASS = 12, 4
RNG = np.random.default_rng(0)
GLYPHS = make_glyphs(num_classes=NUM_CLASSES, per_class=PER_CLASS, seed=11).images.numpy()
UNIT = GLYPHS / 255
#: The same drawings at 112 pixels, dark on white.
LARGE = np.stack(
    [255 - np.asarray(Image.fromarray(image).resize((112, 112), Image.Resampling.BICUBIC)) for image in GLYPHS]
)
FLIP = RNG.random(len(GLYPHS))[:, None, None] < 0.5


def pencil(paper: float, ink: float, noise: float = 0.0, unit: np.ndarray = UNIT) -> np.ndarray:
    values = paper + (ink - paper) * unit + RNG.normal(0, noise, unit.shape)
    return values.round().clip(0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def on_clear(ink: int) -> np.ndarray:
    images = np.full((*LARGE.shape, 4), ink, np.uint8)
    images[..., 3] = 255 - LARGE
    return images


def in_a_corner() -> np.ndarray:
    pages = np.full((len(LARGE), 300, 400), 255, np.uint8)
    pages[:, 180:292, 280:392] = LARGE
    return pages


#: By name: the images, and whether they are to be cropped.
VARIANTS: dict[str, tuple[np.ndarray, bool]] = {
    "dark on white": (255 - GLYPHS, False),
    "mixed polarity": (np.where(FLIP, GLYPHS, 255 - GLYPHS), False),
    "pale pencil": (pencil(240, 200), False),
    "very pale pencil": (pencil(250, 235), False),
    "pale pencil, rough paper": (pencil(240, 200, noise=2), False),
    "pencil of any paleness": (pencil(255, 255 - RNG.uniform(40, 255, FLIP.shape)), False),
    "grey paper, dark ink": (pencil(128, 0), False),
    "grey paper, bright ink": (pencil(128, 255), False),
    "16 bits": (GLYPHS.astype(np.uint16) * 257, False),
    "12 of 16 bits": (GLYPHS.astype(np.uint16) * 16, False),
    "JPEG": (np.stack([jpeg(255 - image, 75) for image in GLYPHS]), False),
    "large": (LARGE, True),
    "large, coarse JPEG": (np.stack([jpeg(image, 20) for image in LARGE]), True),
    "large, rough paper": (pencil(220, 150, noise=8, unit=1 - LARGE / 255), True),
    "black ink on clear paper": (on_clear(0), True),
    "white ink on clear paper": (on_clear(255), True),
    "inverted RGBA": (
        np.concatenate([np.repeat((255 - LARGE)[..., None], 3, -1), on_clear(0)[..., 3:] | 255], -1),
        True,
    ),
    "RGB": (np.repeat(LARGE[..., None], 3, -1), True),
    "small in a corner": (in_a_corner(), True),
}


#: Tasks of 5 classes of 1 drawing each, always the same ones: (tasks, classes, drawings), the first drawing is learned.
TASKS = np.stack([
    RNG.permuted(np.arange(NUM_CLASSES * PER_CLASS).reshape(NUM_CLASSES, PER_CLASS), axis=1)[
        RNG.choice(NUM_CLASSES, 5, replace=False)
    ]
    for _ in range(60)
])  # fmt: skip


@torch.inference_mode()
def accuracy(model, images) -> float:
    """Percent of right answers, on images already prepared: floats (images, 28, 28), ink bright."""
    features = model._features(torch.as_tensor(np.asarray(images, np.float32)).unsqueeze(1))
    labels = torch.arange(5).expand(len(TASKS), 5)
    logits = model.method(features[TASKS[..., 0]], labels, features[TASKS[..., 1:].reshape(len(TASKS), -1)])
    return 100 * float((logits.argmax(-1) == labels.repeat_interleave(PER_CLASS - 1, 1)).float().mean())


@pytest.fixture(scope="module")
def model():
    return load_pretrained("omniglot-5w1s-fast")


@pytest.fixture(scope="module")
def clean(model):
    return accuracy(model, UNIT)


@pytest.mark.parametrize("name", list(VARIANTS))
def test_arrays_and_files_of_every_kind_are_answered_as_clean_ones(tmp_path, model, clean, name):
    images, crop = VARIANTS[name]
    prepared = prepare_stack(images, size=28, crop=crop)
    assert accuracy(model, prepared) >= clean - 1
    for number, image in enumerate(images):
        file = tmp_path / f"{number // PER_CLASS:02}/{number:03}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(file, compress_level=1)
    read = load_folder(tmp_path, crop=crop).images / 255
    assert accuracy(model, read) >= clean - 1
    assert np.abs(read.numpy() - prepared).max() < 0.1


def test_bytes_of_0_and_1_bits_and_full_bytes_are_one_drawing():
    """Two values are all there is: the edges are smoothed, which brings part of the loss back."""
    bits = GLYPHS > 100
    prepared = prepare_stack(bits, size=28)
    for other in (
        bits.astype(np.uint8),
        bits * np.uint8(255),
        bits.astype(float),
        ~bits,
        bits.astype(np.uint16) * 65535,
    ):
        np.testing.assert_allclose(prepare_stack(other, size=28), prepared, atol=1e-6)
    assert all(len(np.unique(image)) > 2 for image in prepared)


def test_smoothing_brings_part_of_what_two_values_lose_back(model, clean):
    bits = GLYPHS > 100
    lost, left = clean - accuracy(model, bits), clean - accuracy(model, prepare_stack(bits, size=28))
    assert left <= 0.75 * lost
    assert left < 2.5


def dust(value: int, dtype: str, count: int) -> np.ndarray:
    """A dark page with a few pixels that stand out by next to nothing."""
    page = np.zeros((28, 28), dtype)
    page[10, 10 : 10 + count] = value
    return page


@pytest.mark.parametrize(
    "page",
    [
        dust(1, "uint8", 2), 1 - dust(1, "uint8", 2), dust(1, "int64", 7), dust(1, "uint16", 2),
        dust(200, "uint16", 12), 65535 - dust(200, "uint16", 12), np.stack([dust(1, "uint8", 2)] * 4, -1),
    ],
)  # fmt: skip
def test_nearly_blank_pages_are_blank_and_no_drawings_of_full_contrast(page):
    for preparation in (lambda: prepare(page, size=28, name="images[0]"), lambda: prepare_stack(page[None], size=28)):
        with pytest.raises(InputError, match=r"images\[0\] is blank"):
            preparation()


def test_wide_types_with_bytes_or_12_bits_are_scaled_by_these():
    for image, factor in ((GLYPHS[0], 1), (GLYPHS[0].astype(np.uint16) * 16, 4095 / 16 / 255)):
        assert image.max() > 0.9 * 255
        scaled = prepare(image.astype(np.uint16), size=28, ink="as_is")
        np.testing.assert_allclose(scaled * factor, UNIT[0], atol=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_clean_drawings_are_unchanged(seed):
    """Ink-bright drawings of full range, as every data set of the library has them, whatever ink is said to be."""
    image = GLYPHS[seed % len(GLYPHS)]
    expected = image.astype(np.float32) / np.float32(255)
    for ink in ("auto", "bright", "as_is"):
        assert (prepare(image, size=28, ink=ink) == expected).all()
        assert (prepare(expected, size=28, ink=ink) == expected).all()
        assert (prepare_stack(image[None], size=28, ink=ink)[0] == expected).all()


@given(paper=st.integers(0, 255), ink=st.integers(0, 255), which=st.integers(0, len(GLYPHS) - 1))
@example(paper=0, ink=1, which=0)  # not a blank page but 0 for paper and 1 for ink
def test_paper_and_ink_of_any_grey_are_read_or_refused(paper, ink, which):
    image = pencil(paper, ink, unit=UNIT[which])
    if abs(ink - paper) < 12:
        if abs(ink - paper) < 7 and max(ink, paper) > 1:
            with pytest.raises(InputError, match="is blank"):
                prepare(image, size=28)
        return
    clean = prepare(GLYPHS[which], size=28)
    largest = abs(ink - paper) * UNIT[which].max()
    # Rounded to whole greys; and a drawing that is bright enough is not stretched.
    assert np.abs(prepare(image, size=28) - clean).max() <= 1.5 / largest + 1 - (
        0.6 if paper < ink and paper < 11 else 0.9
    )


@given(which=st.integers(0, len(GLYPHS) - 1), others=st.lists(st.integers(0, len(GLYPHS) - 1), max_size=3))
def test_an_image_is_prepared_the_same_whatever_stands_beside_it(which, others):
    mixed = VARIANTS["mixed polarity"][0]
    alone = prepare_stack(mixed[[which]], size=28)
    assert (prepare_stack(mixed[[*others, which]], size=28)[-1] == alone[0]).all()


#: Kinds of images that stand near one of the rules; grey values as floats (edge, edge).
KINDS = ("even", "noise", "drawing", "dark drawing", "half of the border", "half of the page", "two values")


def near_a_rule(kind: str, edge: int, rng: np.random.Generator) -> np.ndarray:
    page, ink = np.zeros((edge, edge)), rng.choice([1, 0.7, 153 / 255, 152.9 / 255, 1 / 255])
    if kind == "even":
        return page + rng.choice([0, -0.0, 0.02, 0.5, 1])
    if kind == "noise":
        return rng.random((edge, edge))
    if kind.endswith("drawing"):
        first = (28 - edge) // 2
        unit = UNIT[rng.integers(len(UNIT)), first : first + edge, first : first + edge] * ink
        return 1 - unit if kind == "dark drawing" else unit
    rim = np.ones_like(page, bool)
    rim[1:-1, 1:-1] = kind != "half of the border"
    few = {"two values": rng.integers(edge**2 // 2 + 1)}.get(kind, rim.sum() // 2 + rng.integers(-1, 2))
    page.flat[rng.permutation(np.flatnonzero(rim))[:few]] = ink
    # Just out of the range, and out of what 32 bits can tell.
    beyond, below = rng.choice([0, 0, 0, 1e-9, np.nan]), rng.choice([0, -0.0, 0, 1e-60, -1e-60, -0.5])
    return np.where(page == 0, below, page + beyond)


def outcome(preparation):
    """The bytes, or the message."""
    try:
        return preparation().tobytes()
    except InputError as error:
        return type(error), str(error)


@pytest.mark.parametrize("ink", INKS)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=3),
    dtype=st.sampled_from(["uint8", "bool", "float16", "float32", "float64", "uint16", "int64"]),
    edge=st.sampled_from([1, 2, 3, 5, 8, 28]),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_stack_is_prepared_bit_for_bit_as_its_images_one_by_one(ink, kinds, dtype, edge, seed):
    rng = np.random.default_rng(seed)
    pages = np.stack([near_a_rule(kind, edge, rng) for kind in kinds])
    if dtype in ("uint8", "uint16", "int64"):
        pages = (np.nan_to_num(pages) * rng.choice([1, 255])).clip(0 if dtype[0] == "u" else None)
    if ink == "as_is":  # what a stack leaves as it is, is judged as 32 bits round it
        pages = pages.astype(np.float32)
    images = pages.astype(dtype)

    def one_by_one() -> np.ndarray:
        return np.stack([prepare(image, size=edge, ink=ink, name=f"images[{i}]") for i, image in enumerate(images)])

    assert outcome(lambda: prepare_stack(images, size=edge, ink=ink)) == outcome(one_by_one)


@given(top=st.integers(0, 100), left=st.integers(0, 200))
def test_a_crop_forgets_where_the_drawing_stood(top, left):
    page = np.full((150, 250), 255, np.uint8)
    page[top : top + 28, left : left + 28] = 255 - GLYPHS[0]
    elsewhere = np.full((60, 60), 255, np.uint8)
    elsewhere[16:44, 16:44] = 255 - GLYPHS[0]
    np.testing.assert_array_equal(prepare(page, size=28, crop=True), prepare(elsewhere, size=28, crop=True))


def frame() -> np.ndarray:
    """More than half of it stands out from the border."""
    image = np.zeros((28, 28), np.uint8)
    image[2:26, 2:26] = 255
    return image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((28, 28), np.uint8), "this is blank"),
        (np.full((28, 28), 1, np.uint8), "this is blank"),
        (np.full((28, 28), 0.7), "this is blank"),
        (np.zeros((28, 28, 4), np.uint8), "this is blank"),
        (GLYPHS[0] / 255 / 255, "this is blank"),
        (GLYPHS[0] / 255 * 2 - 1, r"this has values from -1 to .*; expected 0 to 1, 0 to 255 \(bytes\) or 0 to 65535"),
        (GLYPHS[0].astype(np.int64) * 1000, "expected 0 to 1"),
        (np.where(GLYPHS[0] > 0, np.nan, 0.0), "this holds NaN or infinity"),
        (np.where(GLYPHS[0] > 0, np.inf, 0.0), "this holds NaN or infinity"),
        (pencil(240, 200, noise=8)[0], "this has ink that hardly stands out from uneven paper"),
        (np.random.default_rng(0).integers(0, 256, (28, 28)), "this has no plain paper at its border"),
        (frame(), "this has no plain paper at its border"),
        (np.zeros((28, 0)), "at least one number was expected"),
    ],
)
def test_what_fits_no_rule_is_refused_by_name(image, message):
    with pytest.raises(InputError, match=message):
        prepare(image, size=28, name="this")


def of_pillow(mode: str, image: np.ndarray) -> Image.Image:
    """A drawing, dark on white, in one of Pillow's modes; a palette's numbers say nothing of its colours."""
    grey = Image.fromarray(image)
    if mode in ("P", "PA", "P clear"):
        mixed = np.random.default_rng(0).permutation(256)
        picture = Image.fromarray(mixed[image].astype(np.uint8)).convert("P")
        picture.putpalette(np.repeat(np.argsort(mixed), 3).astype(np.uint8).tobytes())
        if mode == "P clear":
            picture.info["transparency"] = int(mixed[255])
        return picture.convert("PA") if mode == "PA" else picture
    return grey.convert("RGB").convert(mode) if mode in ("CMYK", "YCbCr", "HSV", "RGBX") else grey.convert(mode)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "P clear", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "I", "F"]
)
def test_images_of_pillow_are_drawings_in_each_of_its_modes(mode):
    given = np.where(GLYPHS[:4] > 127, 0, 255).astype(np.uint8) if mode == "1" else 255 - GLYPHS[:4]
    pictures = [of_pillow(mode, image) for image in given]
    expected = prepared_drawings(given, size=28, ink="auto", crop=False)
    for images in (pictures, tuple(pictures)):
        found = prepared_drawings(images, size=28, ink="auto", crop=False)
        np.testing.assert_allclose(found, expected, atol=0.03)
    np.testing.assert_allclose(prepare(without_pillow(pictures[0]), size=28), expected[0], atol=0.03)


def test_images_of_pillow_of_several_modes_go_together():
    given = 255 - GLYPHS[:4]
    modes = ("P", "L", "P clear", "CMYK")
    pictures = [of_pillow(mode, image) for mode, image in zip(modes, given, strict=True)]
    found = prepared_drawings(pictures, size=28, ink="auto", crop=False)
    np.testing.assert_allclose(found, prepared_drawings(given, size=28, ink="auto", crop=False), atol=0.03)


def test_a_drawing_too_thin_for_the_size_is_refused_with_the_cure():
    page = np.full((2000, 2000), 255, np.uint8)
    page[1000, 900:1100] = 0
    with pytest.raises(InputError, match=r"ink too thin to be seen at 28 pixels; crop=True"):
        prepare(page, size=28)
    assert prepare(page, size=28, crop=True).max() > 0.9


@pytest.mark.parametrize("ink", ["bright", "dark"])
def test_a_tiny_drawing_without_paper_at_its_border_is_refused_in_words(ink):
    page = np.array([[0.4, 1], [1, 0.4]]) if ink == "bright" else np.array([[0.6, 0], [0, 0.6]])
    with pytest.raises(UnclearInkError, match="this has no paper at its border"):
        prepare(page, size=2, ink=ink, name="this")


def test_only_photographs_are_unclear():
    with pytest.raises(UnclearInkError):
        prepare(frame(), size=28)
    with pytest.raises(InputError) as blank:
        prepare(np.zeros((28, 28)), size=28)
    assert not isinstance(blank.value, UnclearInkError)


@pytest.mark.parametrize(
    ("value", "message"), [("abc", "real numbers"), ([[1], [2, 3]], "one size"), (1j, "real numbers")]
)
def test_what_is_no_image_is_refused(value, message):
    with pytest.raises(InputError, match=message):
        as_pixels(value, "images")


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", ">f8", ">i4", "?", "f2"])
def test_byte_orders_end_in_the_machines_own(kind):
    array = as_pixels(np.eye(3).astype(kind), "images")
    assert array.dtype.isnative
    assert torch.equal(torch.from_numpy(array.astype(np.float32)), torch.eye(3))


def test_ink_has_four_values():
    with pytest.raises(InputError, match="ink='none'"):
        refuse_unprepared("none", crop=False)


@pytest.mark.parametrize("ink", ["auto", "as_is"])
def test_greys_beyond_what_32_bits_can_tell_from_the_range_are_read_alike_alone_and_beside_others(ink):
    page = np.zeros((8, 8))
    page[3, 2:5] = 1 + 1e-9, 0.5, 0.7
    alone = outcome(lambda: prepare(page, size=8, ink=ink, name="images[0]"))
    assert outcome(lambda: prepare_stack(page[None], size=8, ink=ink)[0]) == alone
