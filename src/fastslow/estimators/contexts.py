"""Torch as it is outside of any context that a user may be in."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")
_NOTHING = contextlib.nullcontext()


def plain_torch() -> AbstractContextManager[None]:
    """Tensors are ordinary ones on the CPU unless said otherwise, and are computed in the type that they have.

    Tensors made under `inference_mode` could not be changed outside of it; under `autocast`, examples would be looked
    at otherwise than they were learned.
    """
    inference, casts = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    elsewhere = torch.empty(0).device.type != "cpu"  # quicker than to ask for the default device
    # As nearly always, and then quickly: this is done for each example that is learned.
    return _plain(inference, casts, elsewhere) if inference or casts or elsewhere else _NOTHING


def plainly(function: Callable[P, R]) -> Callable[P, R]:
    """A function that is called in `plain_torch`."""

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        with plain_torch():
            return function(*args, **kwargs)

    return called


@contextlib.contextmanager
def _plain(inference: bool, casts: bool, elsewhere: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        if inference:
            stack.enter_context(torch.inference_mode(False))
        if casts:
            stack.enter_context(torch.autocast("cpu", enabled=False))
        if elsewhere:
            stack.enter_context(torch.device("cpu"))
        yield
