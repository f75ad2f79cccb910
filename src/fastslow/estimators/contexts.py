"""Torch as it is outside of any context that a user may be in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def plain_torch(device: str = "cpu") -> Iterator[None]:
    """Tensors are ordinary ones on the CPU unless said otherwise, and are computed in the type that they have.

    Of what is kept, tensors made under `inference_mode` could not be changed outside of it; under `autocast`, examples
    would be looked at otherwise than they were learned. To be used with `with`, or to decorate a function.

    Args:
        device: kind of device that is computed on.
    """
    inference, casts = torch.is_inference_mode_enabled(), torch.is_autocast_enabled(device)
    elsewhere = torch.get_default_device().type != "cpu"
    if not (inference or casts or elsewhere):  # as nearly always, and then quickly
        yield
        return
    with contextlib.ExitStack() as stack:
        if inference:
            stack.enter_context(torch.inference_mode(False))
        if casts:
            stack.enter_context(torch.autocast(device, enabled=False))
        if elsewhere:
            stack.enter_context(torch.device("cpu"))
        yield
