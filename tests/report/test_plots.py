"""Every picture is a PNG of a readable size that depends on what it is of; refusals say what was wrong."""

import math

import pytest
import torch
from PIL import Image, ImageStat

from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.methods.models import build_learner, preset
from fastslow.report import plots
from fastslow.report.memory_scene import memory_scene


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (8 * 4, 28, 28), dtype=torch.uint8, generator=generator)
    labels = torch.arange(8).repeat_interleave(4)
    return ClassImages(pictures, labels, tuple(f"a/b/{c}" for c in range(8)))


def learner(**changes):
    torch.manual_seed(0)
    small = {"channels": (4, 4, 4), "projection": 8, "dim": 8, "n_way": 5, "num_slots": 14, "predictor_hidden": 4}
    return build_learner(preset("default", **small | changes))


def line(stage, seconds, done, **gradients):
    quality = {"cosine": 0.5, "relative_error": 0.9, "predicted_norm": 0.1, "true_norm": 10.0}
    return {
        "stage": stage, "step": 1, "seconds": seconds, "done": done, "loss": 1.0 - done / 2, "validation": done,
        "gradients": {name: quality | change for name, change in gradients.items()},
    }  # fmt: skip


#: As a memory is in the paper: one vector a slot, written where it was read.
SHARED = {
    "slots": "shared", "write_policy": "read", "similarity": "dot", "support": "stream", "fast_lifetime": "task",
    "fast_controllers": ("input", "output", "write"), "recurrent": True,
}  # fmt: skip
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
        plots.contact_sheet(images, num_classes=num_classes, per_class=per_class, seed=0, out=tmp_path / "a.png")
        return check_png(tmp_path / "a.png", 300)

    heights = [size(rows, 3)[1] for rows in (2, 4, 6)]
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=1)
    assert heights[1] - heights[0] > 150
    assert size(4, 4)[0] > size(4, 3)[0]
    assert size(100, 100) == size(8, 4)


def test_contact_sheet_is_drawn_dark_on_white_and_by_seed(tmp_path, images):
    blank = ClassImages(torch.zeros_like(images.images), images.labels, images.class_names)
    for seed, name in ((0, "a"), (0, "b"), (1, "c")):
        plots.contact_sheet(images, num_classes=2, per_class=2, seed=seed, out=tmp_path / name)
    plots.contact_sheet(blank, num_classes=2, per_class=2, seed=0, out=tmp_path / "blank")
    data = {name: (tmp_path / name).read_bytes() for name in "abc"}
    assert data["a"] == data["b"] != data["c"]

    def brightness(name):
        with Image.open(tmp_path / name) as picture:
            return ImageStat.Stat(picture.convert("L")).mean[0]

    assert brightness("blank") > 240 > brightness("a")


@pytest.mark.parametrize(("num_classes", "per_class"), [(0, 1), (1, 0)])
def test_contact_sheet_refuses_nothing_to_draw(tmp_path, images, num_classes, per_class):
    with pytest.raises(InputError, match="at least 1"):
        plots.contact_sheet(images, num_classes=num_classes, per_class=per_class, seed=0, out=tmp_path / "a.png")
    empty = ClassImages(images.images[:0], images.labels[:0], ("a",))
    with pytest.raises(InputError, match="no images"):
        plots.contact_sheet(empty, num_classes=1, per_class=1, seed=0, out=tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("lines", [METRICS, METRICS[:1], METRICS[2:], [METRICS[0] | {"seconds": 0.0}]])
def test_learning_curve_of_whole_and_partial_runs(tmp_path, lines):
    plots.learning_curve(lines, tmp_path / "a.png", 0.2)
    check_png(tmp_path / "a.png")


def test_learning_curve_refuses_no_metrics(tmp_path):
    with pytest.raises(InputError, match="no metrics"):
        plots.learning_curve([], tmp_path / "a.png", 0.2)


def test_training_time_adds_up_over_stages_and_turns_into_minutes():
    assert plots._training_time(METRICS) == ([5.0, 10.0, 12.0, 16.0], "s")
    long = [line("encoder", 120.0, 0.5), line("memory", 60.0, 1.0)]
    assert plots._training_time(long) == ([2.0, 3.0], "min")


def test_gradient_quality_shows_the_controllers_there_are_and_says_where_there_are_none(tmp_path):
    changed = [*METRICS[:3], line("finetune", 4.0, 1.0, input={"cosine": 0.5}, write={})]
    for name, lines in (("some", METRICS), ("changed", changed), ("none", METRICS[:2]), ("empty", [])):
        plots.gradient_quality(lines, tmp_path / name)
        check_png(tmp_path / name)
    data = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert data["some"] != data["changed"]
    assert data["none"] == data["empty"]
    assert not plots.has_gradients(METRICS[:2])
    assert plots.has_gradients(METRICS)


def test_accuracy_bars_have_a_row_a_result_and_bear_an_unknown_interval(tmp_path):
    result = {"name": "one", "accuracy_mean": 0.9, "accuracy_ci95": 0.01, "n_way": 5}
    plots.accuracy_bars([result], tmp_path / "a.png")
    plots.accuracy_bars([result, result | {"name": "two", "accuracy_ci95": math.nan}], tmp_path / "b.png")
    assert check_png(tmp_path / "a.png")[1] < check_png(tmp_path / "b.png")[1]
    with pytest.raises(InputError, match="no results"):
        plots.accuracy_bars([], tmp_path / "c.png")


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
    plots.memory_at_work(model, images, tmp_path / "a.png")
    plots.memory_at_work(model, images, tmp_path / "b.png", seed=1)
    check_png(tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() != (tmp_path / "b.png").read_bytes()


def test_memory_at_work_refuses_too_few_classes(tmp_path, images):
    with pytest.raises(InputError, match="class"):
        plots.memory_at_work(learner(), images.select([0, 1]), tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
