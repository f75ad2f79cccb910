import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest

from exported_sample import types_unchecked
from fastslow.errors import InputError
from fastslow.methods.config import (
    CONTROLLERS,
    METHODS,
    PRESETS,
    ModelConfig,
    controls_of,
    preset,
    refuse_overfull,
)


def test_the_paper_preset_is_the_papers_text():
    paper = preset("paper")
    assert paper == ModelConfig()
    assert (paper.channels, paper.num_slots, paper.projection) == ((64, 64, 64), 10, 0)
    assert (paper.compose, paper.fast_controllers) == ("literal", CONTROLLERS)


def test_a_preset_with_changes_leaves_the_preset_alone():
    assert preset("default", dim=7, projection=7).dim == 7
    assert preset("default").dim == PRESETS["default"].dim != 7
    with pytest.raises(dataclasses.FrozenInstanceError):
        preset("default").dim = 3


def test_options_do_not_need_torch():
    code = "import sys, fastslow.methods.config; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_only_a_memory_of_one_slot_an_example_has_a_capacity():
    assert preset("default", num_slots=7).capacity == 7
    assert preset("paper").capacity is None
    refuse_overfull(7, 7)
    refuse_overfull(10**9, None)
    with pytest.raises(InputError, match=r"got 8 examples in a task; this model's memory holds 7.*\(num_slots\)"):
        refuse_overfull(8, 7)


def test_every_method_has_the_control_none_under_every_preset():
    for method in METHODS:
        for name in PRESETS:
            assert controls_of(method, name)[0] == "none"
            preset(name, method=method)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "maml2"}, "got method='maml2'; choose from"),
        ({"control": "zero"}, r"got control='zero'; choose from \['none', 'fast_path_off'"),
        ({"n_way": 0}, "got n_way=0; it must be from 1 to 100000"),
        ({"channels": (32, 0, 128)}, r"got channels\[1\]=0; it must be from 1"),
        ({"projection": -1}, "got projection=-1; it must be from 0"),
        ({"image_size": 4}, "got image_size=4; 3 blocks halve it to nothing: use images of at least 8 pixels"),
        ({"residual": (True,)}, "got 3 channels and 1 residual flags; give one flag per block"),
        ({"projection": 8}, "got projection=8, dim=128; in preset 'default' queries are the projected features"),
        ({"compose": "query"}, "which has one way only; they are options of preset='paper'"),
        ({"fast_controllers": ("write",)}, "which has one way only; they are options of preset='paper'"),
        ({"fast_controllers": ("read",)}, "got fast_controllers='read'; choose from"),
    ],
    ids=str,
)
def test_refusals(changes, message):
    with pytest.raises(InputError, match=message):
        preset("default", **changes)


def test_a_control_that_a_design_has_not_is_refused():
    with pytest.raises(InputError, match="got control='write_where_read'; choose from"):
        preset("paper", control="write_where_read")
    with pytest.raises(InputError, match=r"got control='label_only'; choose from \['none'\]"):
        preset("default", method="protonet", control="label_only")


def test_unknown_presets_and_options_are_refused():
    with pytest.raises(InputError, match=r"no preset 'papr'; choose from \['default', 'paper'\]"):
        preset("papr")
    with pytest.raises(InputError, match=r"no option \['dims'\]; its options are \['channels', "):
        preset("paper", dims=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_way": 5.5}, "got n_way=5.5; it must be from 1 to 100000, a whole number"),
        ({"dim": 12.5}, "got dim=12.5; it must be"),
        ({"dim": True}, "got dim=True; it must be"),
        ({"image_size": 28.0}, "got image_size=28.0; it must be"),
        ({"num_slots": "10"}, "got num_slots='10'; it must be"),
        ({"channels": 64}, "got channels=64; give a tuple"),
        ({"channels": (32, 64.5, 128)}, r"got channels\[1\]=64.5; it must be"),
        ({"residual": True}, "got residual=True; give a tuple"),
        ({"fast_controllers": "input"}, "got fast_controllers='input'; give a tuple"),
        ({"step_size": "1"}, "got step_size='1'; it is learned in logarithms"),
        ({"inner_rate": math.inf}, "got inner_rate=inf; it must be a positive number, or 0"),
        ({"inner_rate": -0.1}, "got inner_rate=-0.1; it must be a positive number, or 0"),
        ({"inner_steps": 1.5}, "got inner_steps=1.5; it must be from 0 to 100000, a whole number"),
        ({"inner_steps": 1}, "with method='fastslow'; they are options of maml, fomaml, mamlpp: leave them out"),
        ({"method": "protonet", "inner_rate": 0.1}, "got inner_steps=0, inner_rate=0.1 with method='protonet'"),
    ],
    ids=str,
)
def test_what_is_no_size_is_refused(changes, message):
    with types_unchecked(), pytest.raises(InputError, match=message):
        preset("paper", **changes)


def test_sizes_of_numpy_become_pythons():
    with types_unchecked():
        config = preset("paper", n_way=np.int64(7), channels=[np.int32(8)] * 3)
    assert (config.n_way, config.channels) == (7, (8, 8, 8))
    assert {type(size) for size in (config.n_way, *config.channels)} == {int}
