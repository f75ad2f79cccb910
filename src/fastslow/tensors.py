"""Tensors and what they are in one safetensors file that tells when it was damaged.

The file's metadata have one entry, `fastslow`: JSON with the header, the dtypes that tensors had before they were
halved, and a SHA-256 over both and over every tensor's name, dtype, shape and bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from fastslow.errors import InputError, as_path, shown, shown_path, shown_reason
from fastslow.files import from_json, read_bytes, to_json, write_atomically

#: The largest file that is read, bytes; a model of this library takes some 3 MB.
MAX_BYTES = 128 * 2**20
#: The largest part of it that may be names, shapes and header.
MAX_HEADER_BYTES = 2**20
_MAX_SIDE, _MAX_SIDES = 2**31, 8
_ENTRY = "fastslow"
#: The dtypes that a file can hold, by their names in it.
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class _Entry(NamedTuple):
    """One tensor as the file announces it; `begin` and `end` count bytes from the first tensor's first."""

    name: str
    dtype: str
    shape: list[int]
    begin: int
    end: int


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any], *, half: bool = False
) -> None:
    """Writes tensors and a header as one file, atomically.

    Args:
        path: of the file.
        tensors: by name, any shapes, of a dtype in `_DTYPES`, wherever they are.
        header: what they are: plain values, as JSON can hold them.
        half: store floats of 32 and 64 bits in 16; `load_tensors` gives them back in the dtype they had.

    Raises:
        ValueError: if a tensor has another dtype or numbers that are not finite (in 16 bits, where asked for), the
            header is too large, or the file cannot be written.
    """
    stored = {name: _stored(tensor, half) for name, tensor in tensors.items()}
    _refuse_unstorable(stored, shown_path(path))
    halved = {name: _NAMES[tensor.dtype] for name, tensor in tensors.items() if tensor.dtype != stored[name].dtype}
    about = {"header": json.loads(to_json(header)), "halved": halved}
    parts = [(name, _NAMES[tensor.dtype], list(tensor.shape), _bytes(tensor)) for name, tensor in stored.items()]
    content = save(stored, {_ENTRY: json.dumps({**about, "sha256": _checksum(about, parts)})})
    _entries(content, f"what is to be written to {shown_path(path)}")  # nothing is written that cannot be read back
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def load_tensors(path: str | Path, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what `save_tensors` wrote, or nothing.

    Args:
        path: of the file.
        max_bytes: the largest file to read; reading takes three times its size.

    Returns:
        The tensors by name, on the CPU, in the dtypes they had, and the header.

    Raises:
        ValueError: if the file is missing, larger, damaged in any bit, of another kind, or holds numbers that are not
            finite; the message names it.
    """
    path = as_path(path)
    name = shown_path(path)
    content = read_bytes(path, max_bytes)
    entries, about, start = _entries(content, name)
    view = memoryview(content)[start:]
    parts = [(entry.name, entry.dtype, entry.shape, view[entry.begin : entry.end]) for entry in entries]
    if _checksum({"header": about["header"], "halved": about["halved"]}, parts) != about["sha256"]:
        raise _damaged(name, "its checksum is another")
    try:
        with torch.device("cpu"):
            tensors = load(content)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise _damaged(name, shown_reason(error)) from error
    _refuse_unstorable(tensors, name)
    return {key: _restored(tensor, about["halved"].get(key), name) for key, tensor in tensors.items()}, about["header"]


def refuse_others(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Refuses tensors that are not those expected: names, shapes and dtypes are compared, no numbers.

    Args:
        expected: by name; may be on the meta device, so that a file can be refused before memory is taken.
        tensors: those of the file.
        path: of the file, for the message.

    Raises:
        ValueError: at the first name that is missing or too many, or tensor of another shape or dtype.
    """
    cure = "its header and its tensors do not belong together; copy or train it again"
    for name in [*expected, *tensors]:
        if name not in tensors or name not in expected:
            there = "has no" if name not in tensors else "has a superfluous"
            raise InputError(f"{shown_path(path)} {there} {shown(name)[1:-1]}: {cure}")
        for what in ("shape", "dtype"):
            got, wanted = (getattr(group[name], what) for group in (tensors, expected))
            if got != wanted:
                got, wanted = (tuple(v) if what == "shape" else v for v in (got, wanted))
                raise InputError(
                    f"{shown_path(path)} has {shown(name)[1:-1]} of {what} {shown(got)}, but its header asks for "
                    f"{shown(wanted)}: {cure}"
                )


def fill(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Loads tensors into a module, all or none.

    Args:
        module: with all of the tensors' names in its state.
        tensors: those of the file.
        path: of the file, for the message.

    Raises:
        ValueError: see `refuse_others`; the module is unchanged then.
    """
    refuse_others(module.state_dict(), tensors, path)
    module.load_state_dict(dict(tensors))


def _stored(tensor: Tensor, half: bool) -> Tensor:
    """A copy of its own, so that tensors that share memory can be written."""
    wide = tensor.dtype in (torch.float32, torch.float64)
    return tensor.detach().to("cpu", torch.float16 if half and wide else tensor.dtype, copy=True).contiguous()


def _restored(tensor: Tensor, dtype: str | None, name: str) -> Tensor:
    if dtype is None:
        return tensor
    if tensor.dtype != torch.float16 or dtype not in ("F32", "F64"):
        raise _damaged(name, f"{shown(dtype)} cannot have been halved")
    return tensor.to(_DTYPES[dtype])


def _refuse_unstorable(tensors: Mapping[str, Tensor], path: str) -> None:
    for name, tensor in tensors.items():
        if tensor.dtype not in _NAMES:
            raise InputError(f"{path}: got {shown(name)} of {tensor.dtype}; a file holds {', '.join(_NAMES.values())}")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InputError(
                f"{path}: got {shown(name)} with numbers that are not finite in {tensor.dtype}; train with a smaller "
                "learning rate, or store numbers this large in 32 bits"
            )


def _bytes(tensor: Tensor) -> bytes:
    return tensor.reshape(-1).view(torch.uint8).numpy().tobytes()


def _checksum(about: Mapping[str, Any], parts: Iterable[tuple[str, str, list[int], bytes | memoryview]]) -> str:
    """SHA-256 over name, dtype, shape and bytes of each tensor in the order of their names, then over what they are."""
    digest = hashlib.sha256()
    for *what, content in sorted(parts, key=lambda part: part[0]):
        digest.update(json.dumps([*what, len(content)]).encode() + b"\n")
        digest.update(content)
    digest.update(json.dumps(about, sort_keys=True).encode())
    return digest.hexdigest()


def _entries(content: bytes, name: str) -> tuple[list[_Entry], dict[str, Any], int]:
    """The tensors announced, the `fastslow` entry of the metadata, and where the first tensor begins.

    What is announced fits the file to the byte, so that no more memory is taken than the file is long.
    """
    start = 8 + int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 8 < start <= min(len(content), MAX_HEADER_BYTES):
        raise _damaged(name, "its first bytes are none of a safetensors file")
    try:
        announced = from_json(content[8:start].decode("utf-8"), name)
    except UnicodeDecodeError as error:
        raise _damaged(name, "its names are no UTF-8") from error
    about = _about(announced.pop("__metadata__", None), name)
    entries = [_entry(key, value, name) for key, value in announced.items()]
    position = 0
    for entry in sorted(entries, key=lambda entry: (entry.begin, entry.end)):
        if entry.begin != position:
            raise _damaged(name, f"{shown(entry.name)} does not begin where the tensor before it ends")
        position = entry.end
    if start + position != len(content):
        raise _damaged(name, f"it announces {start + position} bytes and has {len(content)}")
    return entries, about, start


def _about(metadata: object, name: str) -> dict[str, Any]:
    match metadata:
        case {"fastslow": str(text)}:
            about = from_json(text, name)
        case _:
            raise InputError(f"{name} does not say what its tensors are; give a file that this version wrote")
    match about:
        case {"header": dict(), "halved": dict(), "sha256": str()} if len(about) == 3:
            return about
    raise _damaged(name, f"it describes its tensors by {shown(about)}")


def _entry(key: str, value: object, name: str) -> _Entry:
    match value:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(begin), int(end)]} if (
            dtype in _DTYPES
            and len(shape) <= _MAX_SIDES
            and all(type(side) is int and 0 <= side < _MAX_SIDE for side in shape)
            and 0 <= begin <= end
            and end - begin == math.prod(shape) * _DTYPES[dtype].itemsize
        ):
            return _Entry(key, dtype, shape, begin, end)
    raise _damaged(name, f"it announces {shown(key)} as {shown(value)}")


def _damaged(name: str, reason: str) -> InputError:
    return InputError(f"{name} is corrupt or truncated ({reason}); copy or train it again")
