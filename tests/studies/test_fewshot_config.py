from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from fastslow.cli import main
from fastslow.config import parse
from fastslow.errors import InputError
from fastslow.methods.config import METHODS
from fastslow.methods.files import load_model
from fastslow.studies import fewshot
from fastslow.studies.fewshot_config import FewShotConfig, command_line, resume_options

#: For each option a value other than its default, and two for the length.
CHANGES = [
    {"data": "a folder"}, {"data_dir": "da ta"}, {"split": "lake"}, {"train_on": "train+validation"}, {"way": 7},
    {"shot": 2}, {"queries": 4}, {"tasks": 8}, {"method": "nmn"}, {"preset": "paper"}, {"control": "label_only"},
    {"seed": 3},
    {"model": {"channels": [4, 8], "residual": [False, True], "step_size": 1e-3}},
    {"preset": "paper", "model": {"fast_controllers": ["write", "input"], "compose": "query"}},
    {"preset": "paper", "model": {"fast_controllers": []}},
    {"device": "cpu"}, {"steps": None, "minutes": 2.5}, {"steps": 61}, {"shares": [0.5, 0.25, 0.25]},
    {"encoder": "runs/x"}, {"fit_weight": 0.5}, {"precision": "auto"}, {"test": False}, {"name": "a name"},
    {"ink": "bright"}, {"crop": True}, {"mirrors": True}, {"pair_classes": 128}, {"encoder_rate": 2.5e-3},
    {"teacher": "pretrained:omniglot-5w1s"},
    {"cached_images": 1000},
]  # fmt: skip
BOOKKEEPING = ({"data_dir": "da ta"}, {"device": "cpu"}, {"name": "a name"})


def options(**changes):
    return parse(FewShotConfig, {"steps": 60, **changes})


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_the_command_recorded_is_read_back_as_the_same_options(monkeypatch, tmp_path, changes):
    read = []
    monkeypatch.setattr(fewshot, "run_fewshot", lambda given, **_: read.append(given))
    monkeypatch.chdir(tmp_path)
    config = options(**changes)
    words = shlex.split(command_line(config.plain()))
    assert words[0] == "fastslow"
    main(words[1:])
    assert parse(FewShotConfig, read[0]) == config


def test_every_option_is_among_those_whose_command_is_read_back():
    assert {name for changes in CHANGES for name in changes} == set(options().plain())


def test_no_two_runs_of_different_options_share_a_name():
    configs = [options(), *(options(**changes) for changes in CHANGES if changes not in BOOKKEEPING)]
    assert len({config.run_name() for config in configs}) == len(configs)
    for changes in BOOKKEEPING[:2]:
        assert options(**changes).run_name() == options().run_name()
    assert options(name="x").run_name() == "x"


def test_a_resumed_run_may_have_another_length_and_other_bookkeeping_only():
    start = options(seed=1, model={"dim": 16, "projection": 16}).plain()
    assert resume_options(start, {}).plain() == start
    assert resume_options(start, {"minutes": 3.0}).plain() == {**start, "steps": None, "minutes": 3.0}
    assert resume_options(start, {"steps": 90, "minutes": None}).steps == 90
    assert resume_options(start, {"seed": 1, "device": "cpu", "name": "x"}).device == "cpu"
    with pytest.raises(InputError, match="this run was begun with seed=1; got seed=99; leave it out, or start another"):
        resume_options(start, {"steps": 90, "seed": 99})
    with pytest.raises(InputError, match="unknown option 'sead'"):
        resume_options(start, {"sead": 99})
    with pytest.raises(InputError, match="give exactly one of them"):
        resume_options(start, {"steps": 90, "minutes": 1.0})


@pytest.mark.parametrize(
    ("begun", "given"),
    [
        ({"data": "chars"}, {"data": "./chars"}),
        ({"data": "./chars/"}, {"data": "chars"}),
        ({"model": {"num-slots": 40}}, {"model": {"num_slots": 40}}),
    ],
    ids=str,
)
def test_a_run_is_resumed_with_the_same_options_written_otherwise(begun, given):
    resume_options(options(**begun).plain(), given)


def test_a_run_on_a_data_set_is_not_resumed_on_a_folder_of_its_name():
    with pytest.raises(InputError, match=r"begun with data='digits'; got data='\./digits'"):
        resume_options(options(data="digits").plain(), {"data": "./digits"})


def test_a_value_that_looks_like_an_option_is_read_back_from_the_command(monkeypatch, tmp_path):
    read = []
    monkeypatch.setattr(fewshot, "run_fewshot", lambda given, **_: read.append(given))
    monkeypatch.chdir(tmp_path)
    config = options(name="-x", data="--chars")
    assert "--name=-x" in command_line(config.plain())
    main(shlex.split(command_line(config.plain()))[1:])
    assert parse(FewShotConfig, read[0]) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"way": 1}, "got way=1; a task needs at least 2 classes"),
        ({"shot": 0}, "got shot=0; it must be at least 1"),
        ({"queries": 0}, "got queries=0; it must be at least 1"),
        ({"steps": 0}, "the length must be positive"),
        ({"steps": None, "minutes": -1.0}, "the length must be positive"),
        ({"steps": None}, "give exactly one of them as the length"),
        ({"minutes": 1.0}, "give exactly one of them as the length"),
        ({"seed": -1}, "got seed=-1; it must be from 0"),
        ({"fit_weight": -1.0}, "must not be negative"),
        ({"pair_classes": 1}, "got pair_classes=1; it must be at least 2"),
        ({"encoder_rate": 0.0}, "got encoder_rate=0.0; it must be positive"),
        ({"shares": [0, 0, 0]}, "not all zero"),
        ({"shares": [1, -1, 1]}, "none negative"),
        ({"method": "magic"}, "got method='magic'; choose from"),
        ({"preset": "large"}, "got preset='large'; choose from"),
        ({"control": "magic"}, "got control='magic'; choose from"),
        ({"method": "protonet", "control": "label_only"}, "got control='label_only'; choose from"),
        ({"model": {"control": "label_only"}}, "got model.control; give it as --control"),
        ({"model": {"n_way": 4}}, "a model must have room for its tasks' classes"),
        ({"model": {"num_slots": 4}}, "got 5 examples in a task; this model's memory holds 4"),
        ({"model": {"wrong": 4}}, "wrong"),
        ({"model": {"step_size": -1.0}}, "got step_size=-1.0; it is learned in logarithms"),
        ({"teacher": "x", "encoder": "runs/y"}, "got teacher='x' and encoder='runs/y'; an encoder that is already"),
        ({"name": "../x"}, "without separators"),
        ({"test": False, "train_on": "train+validation"}, "validation classes trained on measure nothing"),
    ],
    ids=str,
)
def test_options_that_cannot_be_used_are_refused_in_words(changes, message):
    with pytest.raises(InputError, match=message):
        options(**changes)


@pytest.mark.parametrize("method", METHODS)
def test_every_registered_method_can_be_trained(method):
    assert options(method=method).model_config().method == method


def test_a_memory_has_room_for_a_large_task():
    assert options(way=20, shot=2).model_config().num_slots == 41


def test_options_need_no_torch():
    code = "import sys, fastslow.studies.fewshot_config as c; c.FewShotConfig(steps=1); exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_command_of_a_result_makes_its_weights(few_glyphs, tiny_model, small_trainings, tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    first = fewshot.run_fewshot(options(way=3, steps=3, model=tiny_model), runs="first")
    main([*shlex.split(first.provenance.command)[1:], "--runs", "second"])
    weights = [load_model(tmp_path / runs / first.cell.key).method.state_dict() for runs in ("first", "second")]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
