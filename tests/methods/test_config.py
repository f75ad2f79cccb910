import dataclasses
import subprocess
import sys

import pytest

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
        ({"projection": -1}, "got projection=-1; it must be from 1"),
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
