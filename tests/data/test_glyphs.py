import numpy as np
import pytest
import torch

from fastslow.data.base import ClassImages
from fastslow.data.glyphs.drawing import NUM_NORMALS, draw
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.glyphs.motor import compile_programs
from fastslow.data.glyphs.programs import NUM_STROKES, Program, sample_program
from fastslow.data.glyphs.strokes import NUM_SEGMENTS, Segment, Stroke
from fastslow.errors import InputError


@pytest.fixture(scope="module")
def glyphs() -> ClassImages:
    return make_glyphs(num_classes=120, per_class=20, seed=0)


def drawn(*strokes: Stroke, size: float = 16.0) -> torch.Tensor:
    """The program without any noise, shape (28, 28)."""
    return draw(compile_programs([Program(strokes, size)]), torch.zeros(1, 1, NUM_NORMALS))[0, 0]


def test_shapes_dtypes_and_names(glyphs):
    assert glyphs.images.shape == (2400, 28, 28)
    assert glyphs.images.dtype == torch.uint8
    assert glyphs.labels.tolist() == [c for c in range(120) for _ in range(20)]
    assert glyphs.class_names[0] == "glyph0000"
    assert glyphs.class_names[119] == "glyph0119"


def test_same_seed_same_images_and_other_seed_others(glyphs):
    again = make_glyphs(num_classes=120, per_class=20, seed=0)
    other = make_glyphs(num_classes=120, per_class=20, seed=1)
    assert torch.equal(again.images, glyphs.images)
    assert (other.images != glyphs.images).flatten(1).any(1).float().mean() > 0.99


def test_an_image_does_not_depend_on_how_many_are_asked_for(glyphs):
    images = glyphs.images.unflatten(0, (120, 20))
    few = make_glyphs(num_classes=7, per_class=3, seed=0)
    assert torch.equal(few.images.unflatten(0, (7, 3)), images[:7, :3])
    many = make_glyphs(num_classes=2, per_class=300, seed=0)  # more than are drawn at once
    assert torch.equal(many.images.unflatten(0, (2, 300))[:, :20], images[:2])


def test_global_random_state_is_neither_used_nor_changed():
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    make_glyphs(num_classes=2, per_class=2, seed=0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.random.get_state()[1].tolist() == numpy_state  # noqa: NPY002


def test_ink_is_like_that_of_omniglot_at_this_size(glyphs):
    """Omniglot resized to 28x28: mean 21, 8 % of pixels above half."""
    images = glyphs.images.float()
    assert 18 < images.mean() < 24
    assert 0.06 < (images > 127).float().mean() < 0.10
    assert (images.flatten(1).max(1).values > 200).all(), "no image is empty or faint"
    assert images[:, [0, -1]].max() == images[:, :, [0, -1]].max() == 0, "ink keeps clear of the border"


def test_classes_differ_and_samples_of_one_are_alike(glyphs):
    images = glyphs.images.float().unflatten(0, (120, 20))
    small = torch.nn.functional.avg_pool2d(images.flatten(0, 1)[:, None], 2).unflatten(0, (120, 20)).flatten(2)
    means = small[:, :10].mean(1)
    nearest = torch.cdist(small[:, 10:].flatten(0, 1), means).argmin(1)
    accuracy = (nearest == torch.arange(120).repeat_interleave(10)).float().mean()
    assert accuracy > 0.35, "chance is 1/120"


def test_samples_of_a_class_are_not_copies(glyphs):
    images = glyphs.images.float().unflatten(0, (120, 20))
    assert (images[:, 0] - images[:, 1]).abs().flatten(1).mean(1).min() > 2


def test_programs_keep_within_their_bounds():
    for c in range(500):
        program = sample_program(np.random.default_rng((0, c)))
        assert 1 <= len(program.strokes) <= NUM_STROKES
        for s, stroke in enumerate(program.strokes):
            assert 1 <= len(stroke.segments) <= NUM_SEGMENTS
            assert stroke.bridge < max(s, 1)
            assert stroke.anchor < max(s, 1), "a stroke is placed by an earlier one"


def test_number_of_strokes_varies():
    counts = {len(sample_program(np.random.default_rng((0, c))).strokes) for c in range(200)}
    assert counts == set(range(1, NUM_STROKES + 1))


def test_a_line_is_drawn_where_it_should_be():
    image = drawn(Stroke((Segment(1.0, 0.0, 0.0),)))
    rows, columns = (image > 127).nonzero().unbind(1)
    assert set(rows.tolist()) <= {13, 14}
    assert 14 <= len(set(columns.tolist())) <= 22
    assert columns.min() + columns.max() == 27


def test_a_closed_stroke_ends_where_it_started():
    """A ring has ink to the left, right, above and below, and paper in the middle."""
    ring = drawn(Stroke((Segment(3.0, 0.0, 6.2831853),), closed=True))
    assert ring[14, 14] == 0
    assert all(line.max() > 127 for line in (ring[14, :10], ring[14, 18:], ring[:10, 14], ring[18:, 14]))


def test_a_bridge_reaches_from_point_to_point():
    down = Segment(1.0, np.pi / 2, 0.0)
    posts = (Stroke((down,)), Stroke((down,), anchor=0, offset=(1.0, 0.0)))
    bar = Stroke((Segment(5.0, 1.0, 0.0),), anchor=0, anchor_at=0.5, bridge=1, bridge_at=0.5)
    gap = drawn(*posts)[12:16, 9:19]
    filled = drawn(*posts, bar)[12:16, 9:19]
    assert gap.max() == 0
    assert (filled.max(0).values > 127).all()


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("num_classes", 0, 1), ("per_class", -1, 1), ("seed", -1, 0), ("per_class", True, 1)],
)
def test_refuses_bad_arguments(name, value, least):
    arguments = {"num_classes": 2, "per_class": 2, "seed": 0, name: value}
    with pytest.raises(InputError, match=f"{name} is {value}; give a whole number of at least {least}"):
        make_glyphs(**arguments)


def test_a_hand_draws_as_it_does_and_the_same_characters():
    usual = make_glyphs(num_classes=30, per_class=4, seed=0)
    for style in (None, {}, {"pen": 0.0}):
        assert torch.equal(make_glyphs(num_classes=30, per_class=4, seed=0, style=style).images, usual.images)
    ink = {pen: make_glyphs(num_classes=30, per_class=4, seed=0, style={"pen": pen}).images for pen in (-4.0, 4.0)}
    for thin, plain, thick in zip(ink[-4.0], usual.images, ink[4.0], strict=True):
        assert thin.float().sum() < plain.float().sum() < thick.float().sum()
        assert bool((thin <= plain).all() & (plain <= thick).all())  # nothing else differs


@pytest.mark.parametrize("style", [{"ink": 1.0}, {"pen": float("nan")}])
def test_a_style_that_is_none_is_refused(style):
    with pytest.raises(InputError, match="finite numbers by rounding, size, width, slant, turn, pen were expected"):
        make_glyphs(num_classes=1, per_class=1, seed=0, style=style)
