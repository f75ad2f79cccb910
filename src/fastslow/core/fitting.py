"""Checks that the parts of a memory share; cheap, for they are made at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from fastslow.errors import InputError


def refuse_other_type(name: str, given: Tensor, own: Tensor) -> None:
    """Refuses numbers of another type than the weights or the memory that they are to meet; autocast takes any.

    Raises:
        InputError: the message gives both.
    """
    if given.dtype != own.dtype and not torch.is_autocast_enabled(own.device.type):
        raise InputError(f"got {name} of {given.dtype}; {own.dtype} was expected: convert them by .to({own.dtype})")


def refuse_other_batch(batch_size: int, states: int) -> None:
    """Refuses inputs for another number of memories, or controllers, than there are states of.

    Raises:
        InputError: the message gives both.
    """
    if batch_size != states:
        raise InputError(
            f"got inputs of batch size {batch_size} with a state of batch size {states}; make one by "
            f"initial_state({batch_size})"
        )
