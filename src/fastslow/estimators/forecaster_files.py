"""A forecaster in one file: what it has learned; no code, nothing that is run on reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from fastslow.core.motion_network import MotionNetwork
from fastslow.errors import InputError, as_path, shown, shown_path, shown_reason
from fastslow.tensors import load_tensors, save_tensors

if TYPE_CHECKING:
    from fastslow.estimators.forecaster import FastSlowForecaster

    T = TypeVar("T", bound=FastSlowForecaster)

_FORMAT, _KIND = 4, "forecaster"
#: Formats of before: one knew of no slopes, the other of none without a line, whose weights it kept otherwise.
_WITHOUT_SLOPES, _ALWAYS_LINED = 2, 3
_OF_NETWORK = "network."
_MAX_BYTES, _MOST_SAMPLES = 2**28, 100_000
#: Forecasters that ship with the library, and how they are asked for.
_SHIPPED, _PREFIX = Path(__file__).parent.parent / "pretrained" / "forecasters", "pretrained:"
_PARAMETERS = ("rate", "horizon", "learn_every", "max_slots", "empty", "max_gap", "drop_after")
_OF_SLOTS = ("slopes", "line")


def save_forecaster(path: str | Path, forecaster: FastSlowForecaster) -> None:
    """Writes a forecaster, atomically.

    Raises:
        InputError: if no file can be written there.
    """
    path = as_path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"got {shown_path(path)} to save a forecaster to; give a file that ends in .safetensors")
    memory = forecaster.rule_.memory
    network = forecaster.network
    arrays = memory.arrays()
    if network is not None:
        arrays |= {_OF_NETWORK + name: part for name, part in network.arrays().items()}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(part)) for name, part in arrays.items()}
    parameters = {name: getattr(forecaster, name) for name in (*_PARAMETERS, *_OF_SLOTS)}
    header = {
        "format": _FORMAT, "kind": _KIND, "parameters": parameters, "widths": list(forecaster.widths),
        "damping": forecaster.rule_.damping, "num_written": memory.num_written,
        "samples": None if network is None else network.samples,
    }  # fmt: skip
    save_tensors(path, tensors, header)


def load_forecaster(path: str | Path, kind: type[T], **changed: Any) -> T:  # noqa: ANN401
    """Reads a forecaster.

    Args:
        path: of the file; or "pretrained:NAME" of one that ships with the library.
        kind: `FastSlowForecaster`.
        changed: parameters in the place of the file's.

    Raises:
        InputError: if the file is missing, damaged or of another kind; the message names it.
    """
    path = _located(path)
    tensors, header = load_tensors(path, _MAX_BYTES)
    name = shown_path(path)
    if header.get("format") not in (_FORMAT, _ALWAYS_LINED, _WITHOUT_SLOPES) or header.get("kind") != _KIND:
        raise InputError(f"{name} holds no forecaster of format {_FORMAT}; it was saved by something else")
    try:
        parameters = _parameters(header)
        arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
        network = _network(arrays, header)
        forecaster = kind(**parameters | changed, widths=header["widths"], network=network)
        damping, written = header["damping"], header["num_written"]
        if type(damping) is not float or not 0 <= damping < 1 or type(written) is not int or not written < 2**53:
            raise InputError("its numbers are none that a forecaster has")
        forecaster.rule_.memory.restore(arrays, written)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} holds a forecaster that cannot be read ({shown_reason(error)})") from error
    forecaster.rule_.damping = damping
    return forecaster


def _parameters(header: dict[str, Any]) -> dict[str, Any]:
    """Of a file of any format, as those of today."""
    parameters: dict[str, Any] = dict(header["parameters"])
    unsaid: dict[str, Any] = {}
    if header["format"] == _WITHOUT_SLOPES:
        unsaid = {"slopes": False, "line": False}
    elif header["format"] == _ALWAYS_LINED:
        unsaid = {"line": False}
        if parameters.get("slopes") is not False:
            raise InputError("of format 3 none is read that has slopes; teach it anew")
    wanted = {*_PARAMETERS, *_OF_SLOTS} - set(unsaid)
    if set(parameters) != wanted:
        raise InputError(f"its parameters are not {', '.join(sorted(wanted))}")
    return parameters | unsaid


def _network(arrays: dict[str, np.ndarray], header: dict[str, Any]) -> MotionNetwork | None:
    """The network of a file, taken out of its arrays; None if it has none."""
    names = [name for name in arrays if name.startswith(_OF_NETWORK)]
    its = {name.removeprefix(_OF_NETWORK): arrays.pop(name) for name in names}
    samples = header["samples"]
    if samples is None and not its:
        return None
    if type(samples) is not int or not 0 < samples < _MOST_SAMPLES:
        raise InputError("its network is none that a forecaster has")
    return MotionNetwork.of_arrays(its, rate=header["parameters"]["rate"], samples=samples)


def _located(path: str | Path) -> Path:
    if not str(path).startswith(_PREFIX):
        return as_path(path)
    names = sorted(found.stem for found in _SHIPPED.glob("*.safetensors"))
    name = str(path).removeprefix(_PREFIX)
    if name not in names:
        raise InputError(f"got {shown(str(path))}; the forecasters that ship are {', '.join(names)}")
    return _SHIPPED / f"{name}.safetensors"
