"""Every picture is a PNG of a readable size that depends on what it is of; refusals say what was wrong."""

import math

import pytest
import torch
from PIL import Image, ImageStat

from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.methods import build_method
from fastslow.methods.config import preset
from fastslow.protocol.result import Interval
from fastslow.report.figures.accuracy_bars import AccuracyBars
from fastslow.report.figures.adaptation import Adaptation
from fastslow.report.figures.base import LINES, canvas, label, lift_apart
from fastslow.report.figures.contact_sheet import contact_sheet
from fastslow.report.figures.exposures import Exposures
from fastslow.report.figures.gradient_quality import GradientQuality
from fastslow.report.figures.learning_curve import LearningCurve
from fastslow.report.figures.memory_at_work import MemoryAtWork
from fastslow.report.figures.update_curves import UpdateCurves
from fastslow.report.memory_scene import memory_scene
from fastslow.report.metrics import Point, Quality
from fastslow.studies import rare_learners, sharing_learners, ten_tracks


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (8 * 4, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.arange(8).repeat_interleave(4)
    return ClassImages(pictures, labels, tuple(f"a/b/{c}" for c in range(8)))


def learner(name="default", **changes):
    torch.manual_seed(0)
    small = {"channels": (4, 4, 4), "projection": 8, "dim": 8, "n_way": 5, "num_slots": 14, "predictor_hidden": 4}
    return build_method(preset(name, **small | changes))


def line(stage, seconds, done, **gradients):
    quality = {"cosine": 0.5, "relative_error": 0.9, "predicted_norm": 0.1, "true_norm": 10.0}
    qualities = {name: Quality(**quality | change) for name, change in gradients.items()}
    return Point(stage, 1, seconds, done, 1.0 - done / 2, done, qualities)


#: As a memory is in the paper: one vector a slot, written where it was read.
SHARED = {"name": "paper", "projection": 0}
METRICS = [
    line("encoder", 5.0, 0.3),
    line("encoder", 10.0, 0.6),
    line("memory", 2.0, 0.7, input={}, write={}),
    line("finetune", 4.0, 1.0, input={"cosine": -0.5}, write={}),
]


def check_png(path, least_width=700):
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.width >= least_width
        colours = picture.convert("RGB").getcolors(maxcolors=1 << 24)
        assert len(colours) > 10, "the picture is empty"
        return picture.size


def test_contact_sheet_has_a_row_a_class_and_clips_to_what_there_is(tmp_path, images):
    def size(num_classes, per_class):
        contact_sheet(images, num_classes=num_classes, per_class=per_class, seed=0, out=tmp_path / "a.png")
        return check_png(tmp_path / "a.png", 300)

    heights = [size(rows, 3)[1] for rows in (2, 4, 6)]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=1)
    assert heights[1] - heights[0] > 150
    assert size(4, 4)[0] > size(4, 3)[0]
    assert size(100, 100) == size(8, 4)


def test_contact_sheet_is_drawn_dark_on_white_and_by_seed(tmp_path, images):
    blank = ClassImages(torch.zeros_like(images.images), images.labels, images.class_names)
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        contact_sheet(images, num_classes=2, per_class=2, seed=seed, out=tmp_path / name)
    contact_sheet(blank, num_classes=2, per_class=2, seed=0, out=tmp_path / "blank")
    data = {name: (tmp_path / name).read_bytes() for name in "abc"}
    assert data["a"] == data["b"] != data["c"]

    def brightness(name):
        with Image.open(tmp_path / name) as picture:
            return ImageStat.Stat(picture.convert("L")).mean[0]

    assert brightness("blank") > 240 > brightness("a")


@pytest.mark.parametrize(("num_classes", "per_class"), [(0, 1), (1, 0)])
def test_contact_sheet_refuses_nothing_to_draw(tmp_path, images, num_classes, per_class):
    with pytest.raises(InputError, match="at least 1"):
        contact_sheet(images, num_classes=num_classes, per_class=per_class, seed=0, out=tmp_path / "a.png")
    empty = ClassImages(images.images[:0], images.labels[:0], ("a",))
    with pytest.raises(InputError, match="no images"):
        contact_sheet(empty, num_classes=1, per_class=1, seed=0, out=tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


EMPTY_STAGE = [line("encoder", 0.0, 0.3)]
NAMED = [line("$x", 5.0, 0.3), line("<b>" * 30, 10.0, 0.6), line("[/x]\n\u6f22", 2.0, 0.7)]


@pytest.mark.parametrize("lines", [METRICS, METRICS[:1], METRICS[2:], EMPTY_STAGE, NAMED])
def test_learning_curve_of_whole_and_partial_runs(tmp_path, lines):
    LearningCurve(lines, None if lines is NAMED else 0.2).plot(tmp_path / "a.png")
    check_png(tmp_path / "a.png")


def test_learning_curve_gives_its_data_as_columns_and_refuses_none():
    frame = LearningCurve(METRICS, 0.2).frame()
    assert frame["seconds"] == [5.0, 10.0, 12.0, 16.0]
    assert frame["stage"] == ["encoder", "encoder", "memory", "finetune"]
    assert frame["validation"] == [0.3, 0.6, 0.7, 1.0]
    assert LearningCurve([line("encoder", 600.0, 0.5)], 0.2).frame()["seconds"] == [600.0]
    assert {len(column) for column in frame.values()} == {4}
    with pytest.raises(InputError, match="no metrics"):
        LearningCurve([], 0.2)


def test_names_of_short_stages_do_not_touch(tmp_path, monkeypatch):
    from fastslow.report.figures import learning_curve

    figures = []
    monkeypatch.setattr(learning_curve, "save", lambda figure, path: figures.append(figure))
    short = [line("encoder", 75.0, 0.75), line("memory", 15.0, 0.9), line("finetune", 10.0, 1.0)]
    shorter = [line("encoder", 96.0, 0.96), line("memory", 2.0, 0.98), line("finetune", 2.0, 1.0)]
    for lines in (short, shorter, METRICS, short[1:]):
        LearningCurve(lines, 0.2).plot(tmp_path / "a.png")
    for figure in figures:
        figure.draw_without_rendering()
        for axes in figure.axes:
            boxes = [text.get_window_extent() for text in [*axes.texts, axes.title]]
            assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_gradient_quality_shows_the_controllers_there_are_and_says_where_there_are_none(tmp_path):
    changed = [*METRICS[:3], line("finetune", 4.0, 1.0, input={"cosine": 0.5}, write={})]
    unknown = [line("memory", 1.0, 0.5, write={"relative_error": math.nan, "cosine": math.nan})]
    pictures = {"some": METRICS, "changed": changed, "none": METRICS[:2], "empty": [], "unknown": unknown}
    for name, lines in pictures.items():
        GradientQuality(lines).plot(tmp_path / name)
        check_png(tmp_path / name)
    data = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert data["some"] != data["changed"]
    assert data["none"] == data["empty"]


def test_gradient_quality_gives_its_data_as_columns():
    frame = GradientQuality(METRICS).frame()
    assert frame["controller"] == ["input", "write", "input", "write"]
    assert frame["seconds"] == [12.0, 12.0, 16.0, 16.0]
    assert frame["cosine"] == [0.5, 0.5, -0.5, 0.5]
    assert GradientQuality([]).frame()["cosine"] == []


def test_accuracy_bars_have_a_row_a_result_and_bear_an_unknown_interval(tmp_path):
    one, two = ("one", Interval(0.9, 0.01, 5)), ("two", Interval(0.9, None, 1))
    AccuracyBars([one], 5).plot(tmp_path / "a.png")
    AccuracyBars([one, two]).plot(tmp_path / "b.png")
    assert check_png(tmp_path / "a.png")[1] < check_png(tmp_path / "b.png")[1]
    frame = AccuracyBars([one, two]).frame()
    assert frame == {"name": ["one", "two"], "mean": [0.9, 0.9], "half_width": [0.01, None], "count": [5, 1]}
    with pytest.raises(InputError, match="no results"):
        AccuracyBars([])


NASTY = ["$x", "$x$", "a$b^{", r"\$x\frac$", "[/x]", "<b>|", "x" * 5000, "a\nb\x1b", "\u6f22\u5b57", "\ud800", ""]


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_are_text_to_the_drawing_and_no_formulas(name):
    from matplotlib.cbook import is_math_text

    assert not is_math_text(label(name))
    printed = "".join(sign if sign.isprintable() else " " for sign in name)
    assert label(name).replace(r"\$", "$") == (printed if len(name) < 40 else "x" * 47 + "…")


def test_any_names_can_be_drawn_without_a_warning(tmp_path, images, recwarn):
    AccuracyBars([(name, Interval(0.5, 0.1, 9)) for name in NASTY]).plot(tmp_path / "bars.png")
    named = ClassImages(images.images, images.labels, tuple(f"{name}/{name}" for name in NASTY[:8]))
    contact_sheet(named, num_classes=8, per_class=1, seed=0, out=tmp_path / "sheet.png")
    for path in tmp_path.iterdir():
        check_png(path, 200)
    assert not recwarn.list


def test_scene_learns_one_class_at_a_time_into_least_used_slots(images):
    model = learner()
    model.train()
    scene = memory_scene(model, images)
    assert model.training
    before, after = scene.slots
    changed = (before != after).any(1).nonzero().flatten().tolist()
    assert changed == scene.written[-1:]
    assert len(set(scene.written)) == 5
    assert scene.key_width == 8
    torch.testing.assert_close(scene.addresses.sum(1), torch.ones(2))
    torch.testing.assert_close(scene.probabilities.sum(1), torch.ones(2))


def test_scene_asks_about_another_drawing_of_the_class_just_learned(images):
    def label_of(drawing):
        return int(images.labels[(images.images == drawing).flatten(1).all(1)])

    scene = memory_scene(learner(), images)
    labels = [label_of(drawing) for drawing in scene.learned]
    assert len(set(labels)) == 5
    assert label_of(scene.asked) == labels[-1]
    assert not torch.equal(scene.asked, scene.learned[-1])


@pytest.mark.parametrize(
    "changes",
    [{}, {"n_way": 3}, {"num_slots": 6}, SHARED],
)
def test_memory_at_work_of_any_kind_of_memory(tmp_path, images, changes):
    model = learner(**changes)
    MemoryAtWork.of(model, images).plot(tmp_path / "a.png")
    other = MemoryAtWork.of(model, images, seed=1)
    other.plot(tmp_path / "b.png")
    check_png(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()
    frame = other.frame()
    assert frame["class"] == list("ABCDE"[: len(frame["slot"])])
    assert sum(frame["after"]) == pytest.approx(1)


def test_memory_at_work_refuses_too_few_classes(images):
    with pytest.raises(InputError, match="class"):
        MemoryAtWork.of(learner(), images.select([0, 1]))


def test_names_of_points_that_nearly_coincide_are_lifted_apart_and_the_others_left():
    figure = canvas(4.0, 3.0)
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    places = [(0.3, 0.5), (0.3, 0.5), (0.32, 0.51), (0.3, 0.55), (0.8, 0.1)]
    names = [axes.annotate("a name", place, xytext=(6, 4), textcoords="offset points") for place in places]
    lift_apart(figure, names)
    figure.draw_without_rendering()
    boxes = [name.get_window_extent() for name in names]
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
    assert names[-1].xyann == (6, 4)
    assert all(name.xyann[0] == 6 for name in names)


def test_no_two_rows_of_a_study_are_drawn_alike():
    assert len({(colour, str(dashes)) for colour, dashes in LINES}) == len(LINES)
    assert len(LINES) >= max(len(rare_learners.LEARNERS), len(sharing_learners.ROWS), len(ten_tracks.LEARNERS))


def test_as_many_curves_as_there_are_lines_are_drawn(tmp_path):
    curves = {f"row {k}": [0.5, 0.4, 0.3] for k in range(len(LINES))}
    for figure in (Exposures("t", curves), UpdateCurves("t", [0, 1, 2], curves, "CV"), Adaptation("t", curves)):
        figure.plot(tmp_path / "a.png")
