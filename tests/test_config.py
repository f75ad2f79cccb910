from __future__ import annotations

import math

import pytest

from fastslow.config import load_config, parse
from fastslow.errors import InputError
from fastslow.methods.models import ModelConfig
from fastslow.studies.fewshot_config import CONTROLS, FewShotConfig


def test_values_are_checked_against_their_type():
    assert parse(FewShotConfig, {"steps": "12", "way": 3}).steps == 12
    with pytest.raises(InputError, match="option way: 'many' came"):
        parse(FewShotConfig, {"steps": 1, "way": "many"})
    with pytest.raises(InputError, match="option method: 'magic' came"):
        parse(FewShotConfig, {"steps": 1, "method": "magic"})


def test_unknown_options_are_refused_by_name():
    with pytest.raises(InputError, match=r"unknown option 'wya'; the options are .*way"):
        parse(FewShotConfig, {"steps": 1, "wya": 5})
    with pytest.raises(InputError, match="unknown option 'slotz'"):
        parse(FewShotConfig, {"steps": 1, "model": {"slotz": 5}})


@pytest.mark.parametrize("length", [{}, {"steps": 5, "minutes": 1.0}])
def test_exactly_one_length(length):
    with pytest.raises(InputError, match="give exactly one of them"):
        parse(FewShotConfig, length)


@pytest.mark.parametrize("length", [{"steps": 0}, {"minutes": -1.0}])
def test_the_length_must_be_positive(length):
    with pytest.raises(InputError, match="the length must be positive"):
        parse(FewShotConfig, length)


def test_values_out_of_range_are_refused():
    with pytest.raises(InputError, match="shot=0 came; it must be at least 1"):
        parse(FewShotConfig, {"steps": 1, "shot": 0})
    with pytest.raises(InputError, match="there is no control 'luck'"):
        parse(FewShotConfig, {"steps": 1, "control": "luck"})
    with pytest.raises(InputError, match="none negative"):
        parse(FewShotConfig, {"steps": 1, "shares": [-1, 1, 1]})
    with pytest.raises(InputError, match="there is no preset 'best'"):
        parse(FewShotConfig, {"steps": 1, "preset": "best"})


@pytest.mark.parametrize("control", sorted(set(CONTROLS) - {"none"}))
def test_each_control_changes_the_model(control):
    plain = FewShotConfig(steps=1).model_config()
    changed = FewShotConfig(steps=1, control=control).model_config()
    assert isinstance(changed, ModelConfig)
    assert changed != plain


def test_the_plain_network_has_no_fast_path():
    assert FewShotConfig(steps=1, method="nmn").model_config().fast_controllers == ()


def test_each_support_example_has_a_slot_in_the_default_preset():
    assert FewShotConfig(steps=1, way=20, shot=5).model_config().num_slots > 100


def test_names_tell_runs_apart():
    names = {
        FewShotConfig(steps=1, **options).run_name()
        for options in ({}, {"way": 20}, {"seed": 1}, {"control": "zero_read"}, {"method": "nmn"}, {"preset": "paper"})
    }
    assert len(names) == 6
    assert FewShotConfig(steps=1, name="mine").run_name() == "mine"


def test_yaml(tmp_path):
    path = tmp_path / "options.yaml"
    path.write_text("way: 7\nmodel: {num_slots: 9}\n")
    assert load_config(path) == {"way": 7, "model": {"num_slots": 9}}
    with pytest.raises(InputError, match="there is no configuration file"):
        load_config(tmp_path / "missing.yaml")
    path.write_text("- way\n")
    with pytest.raises(InputError, match="holds list; a mapping"):
        load_config(path)
    path.write_text("way: [\n")
    with pytest.raises(InputError, match="cannot be read as YAML"):
        load_config(path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"way": 1}, "way=1 came; a task needs at least 2 classes"),
        ({"warmup": -1}, "warmup=-1 came; it must not be negative"),
        ({"seed": 10**30}, "seed=10+ came; it must be from 0 to"),
        ({"clip": -1.0}, "they must be positive"),
        ({"learning_rates": [math.nan, 1, 1]}, "they must be positive"),
        ({"steps": None, "minutes": math.nan}, "the length must be positive"),
        ({"shares": [math.nan, 1, 1]}, "none negative"),
        ({"shot": 7, "model": {"num_slots": 34}}, "make 35 examples a task, but num_slots=34 came"),
        ({"model": {"num_slots": 10**13}}, "num_slots=10+ came; it must be from 1 to 100000"),
        ({"model": {"projection": -4}}, "projection=-4 came"),
        ({"model": {"channels": [8, -1, 8]}}, r"channels\[1\]=-1 came"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        parse(FewShotConfig, {"steps": 5, **options})
