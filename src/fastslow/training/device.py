"""Where to compute."""

from __future__ import annotations

import torch

from fastslow.errors import InputError, shown

#: Names that an option may hold; auto is CUDA where there is a GPU for it, else the processor.
DEVICES = ("auto", "cpu", "cuda", "mps")


def pick_device(name: str) -> torch.device:
    """The device that a name means here.

    Args:
        name: one of `DEVICES`.

    Raises:
        ValueError: if it is none of them, or asks for a GPU that is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if there["cuda"] else "cpu"
    if name not in there:
        raise InputError(f"got device={shown(name)}; choose from {list(DEVICES)}")
    if not there[name]:
        raise InputError(f"got device={name}, but torch finds no GPU for it here; use --device cpu or auto")
    return torch.device(name)
