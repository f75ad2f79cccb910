from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal

import pytest
import torch

from conftest import SMALL_SIZES as SIZES
from conftest import TINY_MODEL
from fastslow.config import parse
from fastslow.core.views import ViewsEncoder
from fastslow.data import make_glyphs, registry
from fastslow.data.base import ClassImages
from fastslow.data.images.resize import resized
from fastslow.data.splits import make_split, random_split
from fastslow.errors import InputError
from fastslow.methods.files import load_model, save_model
from fastslow.methods.protonet import PrototypicalNetwork
from fastslow.protocol import fewshot as protocol
from fastslow.protocol.classes import class_digests
from fastslow.protocol.result import read_result
from fastslow.studies import fewshot_data, fewshot_training
from fastslow.studies.fewshot import run_fewshot
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_record import Record, resume_record
from fastslow.training.interruption import Interrupted, Passes
from fastslow.training.run import RUN_FILES
from fastslow.training.validation import Validation

# Measured without coverage, which takes half as long again: what it runs is covered by the tests of its parts.
pytestmark = pytest.mark.no_cover


@pytest.fixture
def options(few_glyphs, tiny_model):
    def make(**changes):
        base = {"data": "glyphs", "way": 3, "queries": 2, "model": tiny_model, "steps": 30, "shares": [1, 1, 1]}
        return parse(FewShotConfig, base | changes)

    return make


def run(options, runs, **others):
    return run_fewshot(options, runs=runs, **{"episodes": 5, "sizes": SIZES} | others)


def weights(folder):
    return load_model(folder).method.state_dict()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def small_drawings(**numbers):
    images = make_glyphs(**numbers, seed=3)
    return dataclasses.replace(images, images=resized(images.images, TINY_MODEL["image_size"]))


def stop_after(steps, number=signal.SIGINT):
    seen = []

    def interrupt(progress):
        if isinstance(progress, Passes):
            return
        seen.append(progress)
        if len(seen) == steps:
            os.kill(os.getpid(), number)

    interrupt.seen = seen
    return interrupt


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def stopped_run(tmp_path_factory):
    """Made once, see `interrupted`."""
    runs = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "GLYPH_CLASSES", (40, 10, 10))
        options = {"data": "glyphs", "way": 3, "queries": 2, "model": TINY_MODEL, "steps": 30, "shares": [1, 1, 1]}
        with pytest.raises(Interrupted):
            run({**options, "name": "c"}, runs, on_progress=stop_after(14))
    return runs / "c"


@pytest.fixture
def interrupted(stopped_run, tmp_path, few_glyphs):
    """A run of 30 steps, stopped at the fourth of the memory stage."""
    return shutil.copytree(stopped_run, tmp_path / "c")


@pytest.mark.parametrize("steps", [4, 13, 27])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(options, tmp_path, steps):
    whole = run(options(name="c"), tmp_path / "whole")
    interrupt = stop_after(steps)
    with pytest.raises(Interrupted):
        run(options(name="c"), tmp_path / "parts", on_progress=interrupt)
    assert len(interrupt.seen) == steps
    resumed = run({"name": "c"}, tmp_path / "parts", resume=True)
    assert equal(weights(tmp_path / "whole" / "c"), weights(tmp_path / "parts" / "c"))
    assert resumed.numbers == whole.numbers
    losses = [[line["loss"] for line in lines(tmp_path / name / "c")] for name in ("whole", "parts")]
    assert losses[0] == losses[1]


def test_a_finished_training_resumes_into_its_evaluation(options, tmp_path):
    whole = run(options(name="x"), tmp_path)
    (tmp_path / "x" / "result.json").unlink()
    again = run({"name": "x"}, tmp_path, resume=True)
    assert again.numbers == whole.numbers
    assert read_result(tmp_path / "x" / "result.json").numbers == whole.numbers


def test_a_run_leaves_its_folder_behind(options, tmp_path):
    result = run(options(), tmp_path)
    folder = tmp_path / options().run_name()
    assert {path.name for path in folder.iterdir()} == set(RUN_FILES)
    assert read_result(folder / "result.json") == result
    assert result.cell.key == folder.name
    facts = result.provenance.protocol
    assert {"episodes", "split", "split_sha256", "seed", "part"} <= set(facts)
    assert facts["transductive"] is False
    assert set(result.numbers) == {"accuracy", "fast_path_off", "protonet"}
    assert [line["stage"] for line in lines(folder)] == ["encoder", "memory", "end_to_end"]
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert {name: config[name] for name in options().plain()} == options().plain()


def test_the_same_seed_gives_the_same_model_and_another_seed_another(options, tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(options(seed=seed, name=name), tmp_path)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert equal(a, b)
    assert not equal(a, c)


def test_a_run_depends_on_no_global_state_of_torch_and_leaves_it_alone(options, tmp_path):
    run(options(name="a"), tmp_path)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        run(options(name="b"), tmp_path)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(torch.get_rng_state(), before)
    assert weights(tmp_path / "b").keys() == weights(tmp_path / "a").keys()


def test_it_learns(options, tmp_path):
    model = {**options().model, "step_size": 1.0}
    rates = {"encoder": 5e-3, "memory": 1e-2}
    sizes = {"encoder": {"num_classes": 20}, "memory": {"tasks": 16}, "validation": {"episodes": 4}}
    sizes |= {name: {**sizes[name], "learning_rate": rate} for name, rate in rates.items()}
    result = run(options(steps=240, shares=[2, 2, 0], model=model), tmp_path, episodes=50, sizes=sizes)
    assert result.numbers["accuracy"].mean > 0.6
    assert abs(result.numbers["fast_path_off"].mean - 1 / 3) < 0.1


@pytest.mark.parametrize(("method", "beside"), [("protonet", set()), ("nmn", {"protonet"})])
def test_the_other_methods_train_their_encoder_only(options, tmp_path, method, beside):
    result = run(options(method=method, steps=10, name="x"), tmp_path)
    assert result.cell.method == method
    assert set(result.numbers) == {"accuracy", *beside}
    assert [line["stage"] for line in lines(tmp_path / "x")] == ["encoder"]


@pytest.mark.parametrize(
    "control", ["fast_path_off", "zero_read", "label_only", "random_predictor", "true_gradient", "write_where_read"]
)
def test_every_control_runs(options, tmp_path, control):
    result = run(options(control=control, steps=6), tmp_path)
    assert result.cell.options["control"] == control
    assert load_model(next(tmp_path.iterdir())).config.control == control


def test_without_the_test_classes_it_measures_on_those_for_validation(options, tmp_path):
    result = run(options(steps=4, test=False), tmp_path)
    assert result.provenance.protocol["part"] == "validation"
    assert "--no-test" in result.provenance.command
    with pytest.raises(InputError, match="trained on measure nothing"):
        options(steps=4, test=False, train_on="train+validation")


def test_paper_preset_runs_end_to_end_from_nothing(options, tmp_path):
    model = {"channels": [4, 4], "residual": [False, False], "dim": 8, "predictor_hidden": 8}
    result = run(options(preset="paper", steps=4, shares=[0, 0, 1], model=model), tmp_path)
    assert result.cell.options["preset"] == "paper"


def test_starting_from_a_trained_encoder_skips_its_stage_and_remembers_its_classes(options, tmp_path):
    run(options(method="protonet", steps=10, name="encoder", train_on="train+validation"), tmp_path)
    run(options(encoder=str(tmp_path / "encoder"), shares=[1, 1, 0], name="memory"), tmp_path)
    assert [line["stage"] for line in lines(tmp_path / "memory")] == ["memory"]
    before, after = weights(tmp_path / "encoder"), weights(tmp_path / "memory")
    assert all(torch.equal(after[key], value) for key, value in before.items() if key.startswith("encoder."))
    details = [load_model(tmp_path / name).details for name in ("encoder", "memory")]
    assert details[0]["trained_on"]["classes"] == details[1]["trained_on"]["classes"]


def test_a_run_that_started_from_an_encoder_resumes_without_it(options, tmp_path):
    run(options(method="protonet", steps=10, name="encoder"), tmp_path)
    with pytest.raises(Interrupted):
        run(options(encoder=str(tmp_path / "encoder"), name="c"), tmp_path, on_progress=stop_after(4))
    (tmp_path / "encoder").rename(tmp_path / "elsewhere")
    assert run({"name": "c"}, tmp_path, resume=True).numbers["accuracy"].count == 5


@pytest.mark.parametrize("use", ["encoder", "teacher"])
def test_an_encoder_without_features_of_its_own_is_no_start_and_no_teacher_of_one_with(options, tmp_path, use):
    run(options(method="maml", steps=1, name="maml"), tmp_path)
    with pytest.raises(InputError, match="takes images as they are: its encoder has no features"):
        run(options(steps=2, **{use: str(tmp_path / "maml")}), tmp_path)
    run(options(method="mamlpp", steps=1, encoder=str(tmp_path / "maml")), tmp_path)


@pytest.fixture
def taught(options, tiny_model, tmp_path):
    """Options of a run with a teacher of several views and larger images."""
    model = tiny_model | {"image_size": 20, "views": True}
    run(options(method="protonet", steps=3, model=model, name="teacher"), tmp_path, say=lambda _: None)
    return options(method="protonet", steps=6, teacher=str(tmp_path / "teacher"), name="c")


def test_a_run_with_a_teacher_resumes_bit_for_bit_and_with_no_other(options, taught, tmp_path):
    said, seen = [], []
    run(taught, tmp_path / "whole", say=said.append, on_progress=seen.append)
    assert said == ["all images are embedded by the teacher in 8 views each, before the next step"]
    passes = [one for one in seen if isinstance(one, Passes)]
    assert list(dict.fromkeys((one.what, one.unit) for one in passes)) == [
        ("teacher", "images"), ("features", "images"), ("test", "images"), ("test", "episodes"),
    ]  # fmt: skip
    assert all(0 <= one.done <= one.total for one in passes)
    assert (passes[0].done, passes[0].total, seen.index(passes[0])) == (0, 800, 0)
    with pytest.raises(Interrupted):
        run(taught, tmp_path / "parts", on_progress=stop_after(4), say=said.append)
    model = tmp_path / "teacher" / "model.safetensors"
    other = tmp_path / "whole" / "c" / "model.safetensors"
    content = model.read_bytes()
    for wrong, message in ((other.read_bytes(), "this run was begun with one of"), (None, "there is no model")):
        model.unlink()
        if wrong is not None:
            model.write_bytes(wrong)
        with pytest.raises(InputError, match=message):
            run({"name": "c"}, tmp_path / "parts", resume=True, say=said.append)
    model.write_bytes(content)
    run({"name": "c"}, tmp_path / "parts", resume=True, say=said.append)
    assert equal(weights(tmp_path / "whole" / "c"), weights(tmp_path / "parts" / "c"))
    run(dataclasses.replace(taught, teacher=None), tmp_path / "untaught")
    assert not equal(weights(tmp_path / "whole" / "c"), weights(tmp_path / "untaught" / "c"))


def test_a_run_counts_the_classes_of_its_teacher_as_its_own(taught, options, tmp_path):
    path = tmp_path / "teacher" / "model.safetensors"
    teacher = load_model(path)
    details = {**teacher.details, "trained_on": {**teacher.details["trained_on"], "classes": ["01234567"]}}
    save_model(path, teacher._replace(details=details))
    run(taught, tmp_path, say=lambda _: None)
    of_run = load_model(tmp_path / "c").details["trained_on"]["classes"]
    assert "01234567" in of_run
    assert len(of_run) == len(teacher.details["trained_on"]["classes"]) + 1


def test_a_teacher_where_no_stage_trains_the_encoder_alone_is_refused(options, tmp_path):
    with pytest.raises(InputError, match="got teacher='x' and no stage that trains the encoder alone"):
        run(options(shares=[0, 1, 1], teacher="x"), tmp_path)
    with pytest.raises(InputError, match="there is no model x"):
        run(options(teacher="x"), tmp_path)


def test_views_of_a_trained_encoder_are_joined_before_the_memory_learns(options, tiny_model, tmp_path):
    run(options(method="protonet", steps=10, name="encoder"), tmp_path)
    changes = {"encoder": str(tmp_path / "encoder"), "model": tiny_model | {"views": True}, "shares": [0, 1, 0]}
    said = []
    result = run(options(**changes, name="views"), tmp_path, say=said.append)
    assert said == ["800 images are embedded in 8 views, to find their axes"]
    assert result.provenance.protocol["views"] == 8
    assert set(result.numbers) == {"accuracy", "fast_path_off", "protonet", "protonet_one_view"}
    encoder = load_model(tmp_path / "views").method.encoder
    assert torch.equal(
        encoder.encoder.blocks[0].conv.weight, weights(tmp_path / "encoder")["encoder.encoder.blocks.0.conv.weight"]
    )
    assert encoder.mean.abs().max() > 0
    # What is joined is not trained on: another run, of other tasks, has the same views.
    run(options(**changes | {"name": "others", "method": "protonet"}), tmp_path, say=said.append)
    assert torch.equal(load_model(tmp_path / "others").method.encoder.axes, encoder.axes)


@pytest.mark.parametrize("stopped", [0, 5, 10], ids=["in one go", "interrupted", "interrupted at the last step"])
def test_an_encoder_trained_on_one_view_joins_all_of_them_when_its_stage_ends(options, tiny_model, tmp_path, stopped):
    plain = {"method": "protonet", "steps": 10}
    run(options(**plain, name="encoder"), tmp_path)
    views = plain | {"model": tiny_model | {"views": True}, "name": "views"}
    after = views | {"encoder": str(tmp_path / "encoder"), "shares": [0, 1, 0], "name": "after"}
    said = []
    seen = []
    run(options(**after), tmp_path, say=said.append, on_progress=seen.append)
    assert seen[0] == Passes("views", 0, 800)
    if stopped:
        with pytest.raises(Interrupted):
            run(options(**views), tmp_path, say=said.append, on_progress=stop_after(stopped))
    result = run({"name": "views"} if stopped else options(**views), tmp_path, say=said.append, resume=stopped > 0)
    to_join = "800 images are embedded in 8 views, to find their axes"
    assert said == [to_join, f"when the encoder is trained, {to_join}"]
    before, expected, found = (weights(tmp_path / name) for name in ("encoder", "after", "views"))
    assert all(torch.equal(found[name], value) for name, value in before.items())
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert result.numbers == read_result(tmp_path / "after" / "result.json").numbers
    validation = [lines(tmp_path / name)[-1]["validation"] for name in ("encoder", "views")]
    assert validation[0] == validation[1]  # in the one view that it is trained on


def test_a_training_stopped_while_views_are_joined_joins_them_when_it_goes_on(
    options, tiny_model, tmp_path, monkeypatch
):
    """And the memory learns on all of them."""
    changes = {"model": tiny_model | {"views": True}, "steps": 12, "shares": [1, 1, 0]}
    monkeypatch.setattr("fastslow.core.views.images_per_pass", lambda _encoder: 100)
    run(options(**changes, name="whole"), tmp_path, say=[].append)
    joined, passes = ViewsEncoder.joined, []

    def stopping(encoder, images):
        passes.append(len(images))
        if len(passes) == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return joined(encoder, images)

    monkeypatch.setattr(ViewsEncoder, "joined", stopping)
    with pytest.raises(Interrupted):
        run(options(**changes, name="stopped"), tmp_path, say=[].append)
    assert passes == [100]
    run({"name": "stopped"}, tmp_path, say=[].append, resume=True)
    assert equal(weights(tmp_path / "stopped"), weights(tmp_path / "whole"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": 161}, "161 classes of at least 2 drawings, and of 160 classes 160 have as many"),
        ({"shot": 20, "model": {"num_slots": 100}}, "at least 21 drawings, and of 160 classes 0 have as many"),
        ({"encoder": "nowhere"}, "there is no model nowhere"),
        ({"method": "protonet", "shares": [0, 1, 1]}, "method protonet trains in encoder: give one of these a share"),
        ({"shares": [0, 1, 1], "model": {"views": True}}, "got model.views and neither a trained encoder nor a stage"),
        (
            {"method": "protonet", "model": {"views": True, "projection": 800}},
            "got 800 images to fit 800 principal axes",
        ),
        ({"method": "maml", "model": {"views": True}}, "got model.views and neither a trained encoder nor a stage"),
        ({"data": "nowhere"}, "got data='nowhere'; give glyphs"),
    ],
    ids=str,
)
def test_refusals_write_nothing(options, tmp_path, changes, message):
    changes["model"] = options().model | changes.get("model", {})
    with pytest.raises(InputError, match=message):
        run(options(**changes), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_method_without_room_for_a_task_is_refused_before_any_training(options, tmp_path, monkeypatch):
    monkeypatch.setattr(PrototypicalNetwork, "capacity", 2)
    with pytest.raises(InputError, match="got 3 examples in a task; this model's memory holds 2"):
        run(options(method="protonet"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_there_is_nothing_to_resume_where_nothing_was_begun(options, tmp_path):
    with pytest.raises(InputError, match="nothing to resume"):
        run(options(), tmp_path, resume=True)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_folder_is_not_overwritten(options, tmp_path):
    run(options(steps=3), tmp_path)
    with pytest.raises(InputError, match="holds a run already; go on with --resume"):
        run(options(steps=3), tmp_path)


OTHERS = {
    "seed": 99, "control": "label_only", "method": "protonet", "preset": "paper", "shares": [1, 0, 0], "way": 4,
    "shot": 2, "queries": 3, "encoder": "pretrained:omniglot-5w1s", "fit_weight": 1.0, "data": "omniglot",
    "split": "lake", "train_on": "train+validation", "test": False, "precision": "auto",
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_run_keeps_its_options_and_refuses_others_by_name(interrupted, tmp_path, name):
    before = {path.name: path.read_bytes() for path in interrupted.iterdir()}
    changes = {"name": "c", name: OTHERS[name]}
    if name == "preset":
        changes["model"] = {}
    with pytest.raises(
        InputError, match=f"this run was begun with (model|{name})=.*leave it out, or start another run"
    ):
        run(changes, tmp_path, resume=True)
    assert {path.name: path.read_bytes() for path in interrupted.iterdir()} == before


def test_a_resumed_run_takes_a_new_length_and_records_both(options, interrupted, tmp_path):
    result = run({"name": "c", "steps": 60}, tmp_path, resume=True)
    lengths = [{"steps": 30, "minutes": None, "stage": 1, "step": 4}]
    config = json.loads((interrupted / "config.json").read_text(encoding="utf-8"))
    assert (config["steps"], config["seed"], config["lengths"]) == (60, 0, lengths)
    assert [line["step"] for line in lines(interrupted)] == [10, 20, 20]
    assert result.cell.options["lengths"] == lengths
    assert result.cell.key != options(steps=60).cell().key
    first, second = result.provenance.command.splitlines()
    assert "--steps 30" in first
    assert first.endswith("# stopped at step 4 of stage 2")
    assert second == "fastslow train fewshot --resume --name c --steps 60"


def test_a_resumed_run_of_the_same_length_records_one(options, interrupted, tmp_path):
    result = run({"name": "c", "steps": 30, "seed": 0}, tmp_path, resume=True)
    assert result.cell == options().cell()
    assert result.provenance.command.count("\n") == 0


def test_a_training_that_is_over_takes_no_other_length(options, tmp_path):
    run(options(name="c"), tmp_path)
    with pytest.raises(InputError, match="training of 30 steps is over; got 60 steps: leave the length out"):
        run({"name": "c", "steps": 60}, tmp_path, resume=True)


@pytest.mark.parametrize("quicker", [True, False])
def test_a_run_records_what_it_was_trained_on_through_a_resume(options, tmp_path, monkeypatch, quicker):
    from fastslow.training.run import Run

    monkeypatch.setattr("fastslow.training.stages.pairs.bfloat16_is_quicker", lambda _: quicker)
    with pytest.raises(Interrupted):  # in the memory stage, when the choice of the encoder stage is past
        run(options(name="c", precision="auto"), tmp_path, on_progress=stop_after(14))
    first = {"device": "cpu", "processes": 1, "bfloat16": quicker}
    assert Run.load_checkpoint(tmp_path / "c")["about"]["machines"] == [first]
    result = run({"name": "c"}, tmp_path, resume=True)
    assert result.provenance.protocol["machines"] == [first]
    assert read_result(tmp_path / "c" / "result.json").provenance.protocol["machines"] == [first]


@pytest.mark.parametrize("name", ["lengths", "machines"])
def test_a_record_with_an_entry_that_lacks_something_is_refused(name):
    with pytest.raises(InputError, match=f"got .* among its {name}; each has "):
        Record({}, "", None, **{name: [{"steps": 3}]})


def test_options_that_a_record_lacks_are_at_their_defaults():
    about = {"options": {"steps": 30}, "data_sha256": "", "trained_on": None, "lengths": [], "machines": []}
    state = {"about": about, "clock": {"stage": 1, "step": 3}}
    record = resume_record(state, {"steps": 40})
    assert record.lengths == [{"steps": 30, "minutes": None, "stage": 1, "step": 3}]
    assert resume_record(state, {}).lengths == []


def test_a_record_has_every_machine_that_a_run_went_on_upon():
    record = Record({}, "", None)
    for machine in (("cpu", 1, True), ("cpu", 1, False), ("cuda", 2, False)):
        record = record.on_machine(*machine)
    assert record.machines == [
        {"device": "cpu", "processes": 1, "bfloat16": True}, {"device": "cuda", "processes": 2, "bfloat16": True},
    ]  # fmt: skip


def test_a_model_too_large_to_be_read_back_is_refused_before_anything_is_written(options, tmp_path, monkeypatch):
    monkeypatch.setattr("fastslow.tensors.MAX_BYTES", 2**20 + 1000)
    with pytest.raises(InputError, match="the largest that is read back from a file"):
        run(options(name="c"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_resumed_on_other_data(interrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "GLYPH_SEED", 1)
    with pytest.raises(InputError, match=r"this run was begun on data of checksum .* give those it was begun on"):
        run({"name": "c"}, tmp_path, resume=True)


@pytest.mark.parametrize(("entry", "value"), [("stage", 99), ("step", 10**400), ("step", -1), ("num_logged", 2**64)])
def test_a_checkpoint_of_a_place_that_no_training_is_at_is_refused(interrupted, tmp_path, entry, value):
    from fastslow.training.run import Run

    state = Run.load_checkpoint(interrupted)
    state["clock"][entry] = value
    with Run(interrupted, resume=True) as folder:
        folder.save_checkpoint(state)
    with pytest.raises(InputError, match=r"the checkpoint has .*; there are 3 stages"):
        run({"name": "c"}, tmp_path, resume=True)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs the signal of a terminal's end")
def test_the_end_of_the_terminal_loses_nothing(options, tmp_path):
    with pytest.raises(Interrupted):
        run(options(name="c"), tmp_path, on_progress=stop_after(14, signal.SIGHUP))
    run({"name": "c"}, tmp_path, resume=True)
    run(options(name="whole"), tmp_path)
    assert equal(weights(tmp_path / "c"), weights(tmp_path / "whole"))


@pytest.mark.parametrize("validation", [0, 1, 2])
def test_ctrl_c_in_the_last_validation_of_a_stage_is_not_swallowed(options, tmp_path, monkeypatch, validation):
    real, calls = Validation.accuracy, []

    def accuracy(self, method, features):
        calls.append(method)
        if len(calls) == validation + 1:
            signal.raise_signal(signal.SIGINT)
        return real(self, method, features)

    with monkeypatch.context() as patch:
        patch.setattr(Validation, "accuracy", accuracy)
        with pytest.raises(Interrupted):
            run(options(name="c"), tmp_path)
    assert len(lines(tmp_path / "c")) == validation
    run({"name": "c"}, tmp_path, resume=True)
    run(options(name="whole"), tmp_path)
    assert equal(weights(tmp_path / "c"), weights(tmp_path / "whole"))
    for mine, other in zip(lines(tmp_path / "c"), lines(tmp_path / "whole"), strict=True):
        assert [mine[k] for k in ("stage", "step", "loss")] == [other[k] for k in ("stage", "step", "loss")]


@pytest.mark.parametrize("shares", [[1, 1, 1], [0, 1, 1]])
def test_ctrl_c_while_features_are_cached_is_not_swallowed(options, tmp_path, monkeypatch, shares):
    from fastslow.training.stages import features

    real, seen = features.features_of, []

    def features_of(encoder, images, stop):
        signal.raise_signal(signal.SIGINT)
        try:
            return real(encoder, images, stop)
        finally:
            seen.append(stop.requested)

    with monkeypatch.context() as patch:
        patch.setattr(features, "features_of", features_of)
        with pytest.raises(Interrupted):
            run(options(name="c", shares=shares), tmp_path)
    assert seen == [True]  # left off in the first of two passes over the images
    run({"name": "c"}, tmp_path, resume=True)
    run(options(name="whole", shares=shares), tmp_path)
    assert equal(weights(tmp_path / "c"), weights(tmp_path / "whole"))


def test_a_model_says_which_classes_it_was_trained_on_turned_ones_by_their_own_name(options, tmp_path):
    run(options(steps=3, name="x"), tmp_path)
    images, split = registry.load_source("glyphs")
    trained = load_model(tmp_path / "x").details["trained_on"]
    assert trained["data"] == "glyphs"
    assert trained["split"] == split.name
    assert trained["classes"] == sorted(class_digests(images.class_names[c] for c in split.train))
    assert len(trained["classes"]) == 40


def test_mirror_images_are_trained_on_and_measured_never(options):
    plain, mirrored = (fewshot_data.load_data(options(mirrors=mirrors)) for mirrors in (False, True))
    assert (plain.train.num_classes, mirrored.train.num_classes) == (160, 320)
    assert mirrored.validation.num_classes == plain.validation.num_classes == 10
    assert mirrored.trained.class_names == plain.trained.class_names


def test_the_encoder_stage_takes_its_rate_and_classes_a_step_from_the_options(options, few_glyphs):
    config = options(pair_classes=10, encoder_rate=1e-3)
    [stage, *_] = fewshot_training.build_training(config, fewshot_data.load_data(config)).stages
    assert (stage.sampler.n_way, stage.learning_rate) == (10, 1e-3)


def test_data_are_loaded_once(options, tmp_path, monkeypatch):
    real, calls = fewshot_data.load_source, []
    monkeypatch.setattr(fewshot_data, "load_source", lambda *args, **kw: calls.append(args) or real(*args, **kw))
    run(options(steps=3), tmp_path)
    assert len(calls) == 1


def test_episodes_for_evaluation_do_not_depend_on_the_training_seed(options, tmp_path, monkeypatch):
    seeds, real = [], protocol.evaluate_episodes

    def spy(*args, **kwargs):
        seeds.append(kwargs["seed"])
        return real(*args, **kwargs)

    monkeypatch.setattr(protocol, "evaluate_episodes", spy)
    for seed in (0, 1):
        run(options(steps=3, seed=seed), tmp_path)
    assert len(seeds) == 6
    assert len(set(seeds)) == 1


@pytest.mark.parametrize(
    ("classes", "drawings", "part", "notes"),
    [
        (5, 20, "all", ["classes for validation are 0", "classes for test are 0"]),
        (
            60,
            10,
            "test",
            ["9 queries of each class in validation, not 15", "9 queries of each class in the final"],
        ),
        (12, 4, "all", ["classes for validation are 2", "3 queries of each class in the final figure"]),
    ],
)
def test_a_small_folder_is_trained_on_and_what_is_done_otherwise_is_said(
    options, tmp_path, monkeypatch, classes, drawings, part, notes
):
    images = small_drawings(num_classes=classes, per_class=drawings)
    small = (images, random_split(images.class_names, seed=0))
    monkeypatch.setattr(fewshot_data, "load_source", lambda *_, **__: small)
    said = []
    result = run(options(steps=6), tmp_path, say=said.append)
    assert result.provenance.protocol["part"] == result.cell.options["part"] == part
    assert result.provenance.protocol["notes"] == said
    for note in notes:
        assert any(note in line for line in said)
    if part == "all":
        assert result.provenance.protocol["trained_on_classes"] > 0


def test_classes_of_too_few_drawings_for_a_task_are_named(options, monkeypatch):
    images = small_drawings(num_classes=30, per_class=20)
    drawings = 20 - 17 * torch.isin(images.labels, torch.tensor([1, 2, 21]))
    keep = torch.arange(600) % 20 < drawings
    images = ClassImages(images.images[keep], images.labels[keep], images.class_names)
    split = make_split("x", images.class_names, train=range(10), validation=range(20, 25), test=range(10, 20))
    monkeypatch.setattr(fewshot_data, "load_source", lambda *_, **__: (images, split))
    one, two, other = (repr(images.class_names[k]) for k in (1, 2, 21))
    assert fewshot_data.load_data(options(queries=3)).notes == (
        f"2 of 10 classes in training have fewer than 4 drawings and are in no task there: {one}, {two}",
        f"1 of 5 classes in validation have fewer than 16 drawings and are in no task there: {other}",
    )
    assert fewshot_data.load_data(options(queries=2)).notes[0].startswith("1 of 5 classes in validation")


@pytest.mark.parametrize(("validation", "part"), [(0, "train+validation"), (2, "train+validation"), (3, "validation")])
def test_test_classes_never_pick_a_model_where_there_are_too_few_for_validation(options, monkeypatch, validation, part):
    images = small_drawings(num_classes=12, per_class=4)
    first = 6 + validation
    split = make_split("x", images.class_names, train=range(6), validation=range(6, first), test=range(first, 12))
    monkeypatch.setattr(fewshot_data, "load_source", lambda *_, **__: (images, split))
    data = fewshot_data.load_data(options(steps=6))
    assert data.part == "test"
    held_out = {images.class_names[c] for c in split.test}
    assert not held_out & set(data.validation.class_names)
    assert any("validated on all classes but those for test" in note for note in data.notes) == (part != "validation")
    assert fewshot_data.load_data(options(steps=6, test=False)).part == part


def test_classes_too_few_to_validate_on_without_those_for_test_are_refused_where_test_is_off(options, monkeypatch):
    images = small_drawings(num_classes=8, per_class=4)
    split = make_split("x", images.class_names, train=range(2), validation=(), test=range(2, 8))
    monkeypatch.setattr(fewshot_data, "load_source", lambda *_, **__: (images, split))
    assert any("also those for test" in note for note in fewshot_data.load_data(options(steps=6)).notes)
    with pytest.raises(InputError, match="nothing but the test classes is left to measure; leave out --no-test"):
        fewshot_data.load_data(options(steps=6, test=False))


def test_a_folder_of_one_class_cannot_be_measured_and_is_refused(options, tmp_path, monkeypatch):
    images = small_drawings(num_classes=1, per_class=9)
    small = (images, random_split(images.class_names, seed=0))
    monkeypatch.setattr(fewshot_data, "load_source", lambda *_, **__: small)
    with pytest.raises(InputError, match="3 classes of at least 2 drawings, and of 1 classes 1 have as many"):
        run(options(steps=6), tmp_path)
    assert list(tmp_path.iterdir()) == []
