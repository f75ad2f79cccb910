"""Small models that are exported in tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import jaxtyping
import torch

from fastslow import build_method, preset
from fastslow.methods.files import TrainedModel

SMALL = {"channels": (4, 8), "residual": (False, True), "projection": 16, "dim": 16, "predictor_hidden": 8}


@contextlib.contextmanager
def types_unchecked() -> Iterator[None]:
    """While a graph is traced, numbers of examples are symbols, which are no `int`."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def built(**changes: Any) -> TrainedModel:
    """An untrained model of which no part is zero."""
    torch.manual_seed(0)
    config = preset(**changes)
    method = build_method(config).eval()
    for parameter in method.parameters():
        if parameter.abs().max() == 0:
            torch.nn.init.normal_(parameter, std=0.1)
    return TrainedModel(method, config, {})
