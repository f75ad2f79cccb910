"""What a checkpoint holds, taken up by what it is of, or refused: a right checksum does not make right values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fastslow.errors import InputError, shown

#: What AdamW keeps of a parameter: how often it moved, and two means of its shape.
_MOMENTS = ("exp_avg", "exp_avg_sq")


def fill_model(model: nn.Module, state: Mapping[str, Any]) -> None:
    """Loads a model's weights and buffers.

    Raises:
        ValueError: if they are of another model, or not finite.
    """
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise InputError(f"the checkpoint is of a model of other sizes: {reason}") from error
    if not is_finite(model.state_dict()):
        raise InputError("the checkpoint has weights that are not finite; start anew")


def fill_optimizer(optimizer: torch.optim.AdamW, state: Mapping[str, Any]) -> None:
    """Loads an optimiser's state; its learning rates are set before each step, all else must be as it is.

    Raises:
        ValueError: if it is of another optimiser, of other parameters, or no optimiser gets there.
    """
    groups, wanted = (s["param_groups"] for s in (state, optimizer.state_dict()))
    if [{**group, "lr": 0} for group in groups] != [{**group, "lr": 0} for group in wanted]:
        raise InputError(f"its optimiser has {shown(groups)}; {shown(wanted)} was expected")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, kept in state["state"].items():
        parameter = parameters[index]
        shapes = {"step": torch.Size(), **dict.fromkeys(_MOMENTS, parameter.shape)}
        if {name: value.shape for name, value in kept.items()} != shapes or not _is_reached(kept):
            raise InputError(f"its optimiser has {shown(kept)} of parameter {index}, which no training leaves")
    # With this optimiser's learning rates, whatever the state has there.
    optimizer.load_state_dict({"state": state["state"], "param_groups": wanted})


def is_finite(state: Mapping[str, Tensor]) -> bool:
    """Whether all numbers of all tensors are."""
    return all(bool(value.isfinite().all()) for value in state.values())


def _is_reached(kept: Mapping[str, Tensor]) -> bool:
    floats = all(value.is_floating_point() for value in kept.values())
    return floats and is_finite(kept) and bool(kept["step"] >= 1) and bool((kept["exp_avg_sq"] >= 0).all())
