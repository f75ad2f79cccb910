"""State that someone edited and gave the right checksum is refused in words."""

import copy
import math

import pytest
import torch
from torch import nn

from fastslow.errors import InputError
from fastslow.training.checkpoint import fill_model, fill_optimizer


def trained():
    """A model and its optimiser after two steps."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW([{"params": list(model.parameters())}], weight_decay=0.1)
    for _ in range(2):
        model(torch.ones(1, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def test_what_training_left_is_taken_up_whatever_its_rate():
    model, optimizer = trained()
    other, its = trained()
    state = copy.deepcopy(optimizer.state_dict())
    state["param_groups"][0]["lr"] = torch.full((3,), math.inf)
    before = its.state_dict()["param_groups"]
    fill_optimizer(its, state)
    assert its.state_dict()["param_groups"] == before
    fill_model(other, model.state_dict())
    for kept, wanted in zip(its.state.values(), optimizer.state.values(), strict=True):
        assert all(torch.equal(kept[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s["param_groups"][0].update(betas=(0.9, 99.0)), lambda s: s["param_groups"][0].update(eps=math.nan),
        lambda s: s["param_groups"][0].update(amsgrad=True), lambda s: s["param_groups"][0].update(colour=1),
        lambda s: s["param_groups"][0].pop("eps"), lambda s: s["param_groups"].append({}),
        lambda s: s["param_groups"][0].update(params=[0]), lambda s: s["state"][0].pop("exp_avg"),
        lambda s: s["state"][0].update(step=torch.tensor(-1.0)), lambda s: s["state"][0].update(step=torch.tensor(3)),
        lambda s: s["state"][1].update(exp_avg=torch.ones(3)), lambda s: s["state"][1].update(more=torch.ones(2)),
        lambda s: s["state"][0]["exp_avg"].fill_(math.nan), lambda s: s["state"][0]["exp_avg_sq"].fill_(-1.0),
    ],
    ids=range(14),
)  # fmt: skip
def test_an_optimisers_state_that_no_training_leaves_is_refused(change):
    _, optimizer = trained()
    before = copy.deepcopy(optimizer.state_dict())
    state = copy.deepcopy(before)
    change(state)
    with pytest.raises(InputError, match="its optimiser has"):
        fill_optimizer(optimizer, state)
    assert str(optimizer.state_dict()) == str(before)


def test_weights_that_are_not_finite_or_of_other_sizes_are_refused():
    model, _ = trained()
    with pytest.raises(InputError, match="weights that are not finite"):
        fill_model(model, {**model.state_dict(), "bias": torch.tensor([1.0, math.inf])})
    with pytest.raises(InputError, match=r"model of other sizes: .*bias"):
        fill_model(model, {**model.state_dict(), "bias": torch.ones(3)})
