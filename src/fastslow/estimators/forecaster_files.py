"""A forecaster in one file: what it has learned; no code, nothing that is run on reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from fastslow.errors import InputError, shown_path, shown_reason
from fastslow.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from fastslow.estimators.forecaster import FastSlowForecaster

    T = TypeVar("T", bound=FastSlowForecaster)

_FORMAT, _KIND = 1, "forecaster"
_MAX_BYTES = 2**28
_PARAMETERS = ("rate", "horizon", "learn_every", "max_slots", "empty", "max_gap", "drop_after")


def save_forecaster(path: str | Path, forecaster: FastSlowForecaster) -> None:
    """Writes a forecaster, atomically.

    Raises:
        InputError: if no file can be written there.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"got {shown_path(path)} to save a forecaster to; give a file that ends in .safetensors")
    memory = forecaster.rule_.memory
    tensors = {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in memory.arrays().items()}
    parameters = {name: getattr(forecaster, name) for name in _PARAMETERS}
    header = {
        "format": _FORMAT, "kind": _KIND, "parameters": parameters, "widths": list(forecaster.widths),
        "damping": forecaster.rule_.damping, "num_written": memory.num_written,
    }  # fmt: skip
    save_tensors(path, tensors, header)


def load_forecaster(path: str | Path, kind: type[T]) -> T:
    """Reads a forecaster.

    Raises:
        InputError: if the file is missing, damaged or of another kind; the message names it.
    """
    tensors, header = load_tensors(path, _MAX_BYTES)
    name = shown_path(path)
    if header.get("format") != _FORMAT or header.get("kind") != _KIND:
        raise InputError(f"{name} holds no forecaster of format {_FORMAT}; it was saved by something else")
    try:
        if set(header["parameters"]) != set(_PARAMETERS):
            raise InputError(f"its parameters are not {', '.join(_PARAMETERS)}")
        forecaster = kind(**header["parameters"], widths=header["widths"])
        damping, written = header["damping"], header["num_written"]
        if type(damping) is not float or not 0 <= damping < 1 or type(written) is not int or not written < 2**53:
            raise InputError("its numbers are none that a forecaster has")
        forecaster.rule_.memory.restore({name: tensor.numpy() for name, tensor in tensors.items()}, written)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} holds a forecaster that cannot be read ({shown_reason(error)})") from error
    forecaster.rule_.damping = damping
    return forecaster
