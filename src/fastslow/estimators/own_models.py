"""Modules and functions of a user's own, as what makes features of examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.data.scale import refuse_masked
from fastslow.errors import InputError, shown, shown_reason
from fastslow.estimators.vectors import as_vectors

#: Images that a module sees at a time.
_AT_ONCE = 256


def row_by_row(function: Callable[[Any], Any]) -> Callable[[Any], Float[Tensor, "examples features"]]:
    """A function that gives a row an example, as vectors; other numbers of rows are refused."""

    def make(examples: Any) -> Float[Tensor, "examples features"]:  # noqa: ANN401 - whatever users have
        rows, many = as_vectors(function(examples)), _num_examples(examples)
        if many is not None and len(rows) != many:
            raise InputError(f"the model gave {len(rows)} rows for {many} examples; it has to give one row an example")
        return rows

    return make


def by_module(module: nn.Module) -> Callable[[Any], Tensor]:
    """What a module makes of examples, in parts, and as it does when it is not trained."""

    def make(examples: Any) -> Tensor:  # noqa: ANN401 - whatever users have
        inputs, like = _inputs(examples), _first_weight(module)
        were_training = [part for part in module.modules() if part.training]
        module.eval()
        try:
            inputs = inputs.to(like.dtype)
            with torch.inference_mode():
                made = [module(part.to(like.device)) for part in torch.split(inputs, _AT_ONCE)]
                return torch.cat([part.flatten(1).float().cpu() for part in made])
        except Exception as error:  # whatever a user's own code runs into
            raise InputError(
                f"the model makes no features of examples of shape {tuple(inputs.shape)} "
                f"({type(error).__name__}: {shown_reason(error)}); it has to give one tensor with a row an example"
            ) from error
        finally:
            for part in were_training:
                part.training = True

    return make


def _inputs(examples: object) -> Tensor:
    refuse_masked(examples, "examples")
    try:
        if isinstance(examples, Tensor):
            return examples.detach()
        return torch.as_tensor(np.asarray(examples), device="cpu")
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"got {shown(examples)}, which cannot be made a tensor: {shown_reason(error)}") from error


def _first_weight(module: nn.Module) -> Tensor:
    """Of the type and on the device that the module computes with."""
    weights = (part for part in (*module.parameters(), *module.buffers()) if part.is_floating_point())
    return next(weights, torch.empty(0, dtype=torch.float32, device="cpu"))


def _num_examples(examples: Any) -> int | None:  # noqa: ANN401 - whatever users have
    """How many examples are given; None where only the function knows, as of a dictionary of columns."""
    if isinstance(examples, list):
        return len(examples)
    shape = getattr(examples, "shape", None)
    return int(shape[0]) if isinstance(shape, tuple) and shape else None
