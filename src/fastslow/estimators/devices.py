"""Devices by name, refused in words where torch cannot use them."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

from fastslow.errors import InputError, shown

T = TypeVar("T")


def usable_device(device: str | torch.device) -> torch.device:
    """A device that torch can compute on here.

    Raises:
        ValueError: if there is no such kind of device, or none of it on this machine.
    """
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"got device={shown(device)}; give 'cpu', 'cuda', 'cuda:1' or 'mps'") from error
    counts = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if found.type not in counts:
        raise InputError(f"got device={shown(str(device))}; give one of {', '.join(counts)}")
    if (found.index or 0) >= counts[found.type]:
        raise InputError(
            f"got device={shown(str(device))}, but torch finds {counts[found.type]} of kind {found.type} here; "
            "use 'cpu', or install a torch built for it"
        )
    return found


def on_device(state: T, device: torch.device) -> T:
    """A state of tensors in tuples, lists and dictionaries, all of it on a device."""
    if isinstance(state, Tensor):
        return state.to(device)  # type: ignore[return-value]
    if isinstance(state, dict):
        return type(state)((name, on_device(part, device)) for name, part in state.items())
    if isinstance(state, tuple | list):
        parts = [on_device(part, device) for part in state]
        return type(state)(*parts) if hasattr(state, "_fields") else type(state)(parts)
    return state
