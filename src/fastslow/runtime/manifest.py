"""What is said in `manifest.json` of an exported model, and the files that it vouches for."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastslow.errors import InputError, shown, shown_path
from fastslow.files import read_bytes, read_json, to_json

MANIFEST = "manifest.json"
#: The graphs of a model: what each takes and gives is in `docs/export.md`.
EMBED, EMBED_INT8, BEGIN, LEARN, ANSWER = "embed.onnx", "embed.int8.onnx", "begin.onnx", "learn.onnx", "answer.onnx"
FILES = (EMBED, EMBED_INT8, BEGIN, LEARN, ANSWER)
#: What names of a state's parts begin with: as graphs take it, and as `learn.onnx` gives it.
STATE, AFTER = "state.", "after."
_FORMAT = 2
#: Where a manifest says what its other values sum to.
_SEAL = "sha256"
#: A graph of more bytes is no model of this library.
_MAX_BYTES = 2**30
#: A logit is smaller.
_MOST_LOGIT = 1e30


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a program needs to know of an exported model."""

    source: str
    """What was exported."""
    image_size: int
    """Height and width of the images, pixels."""
    num_classes: int
    """The most classes that can be told apart at a time."""
    max_examples: int | None
    """The most examples between two resets; None if there is no such limit."""
    examples_at_once: int | None
    """The most examples that `learn.onnx` takes at a time; None for any number."""
    images_at_once: int
    """How many images `embed.onnx` is quickest with."""
    state: tuple[str, ...]
    """Names of the parts of the state."""
    files: Mapping[str, str]
    """SHA-256 of each file, by its name."""
    expected: tuple[tuple[float | None, ...], ...]
    """Logits of `drawings.trial_drawings`, shape (3, num_classes), once each was learned as a class of its own (as the
    last class where there are fewer); None for minus infinity."""
    details: Mapping[str, Any]
    """What is for people: how images are prepared, the model's options, versions."""

    def to_json(self) -> dict[str, Any]:
        """As `read_manifest` reads it."""
        return sealed({"format": _FORMAT, **dataclasses.asdict(self)})


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Values with the SHA-256 over all of them, so that a changed one is found.

    Args:
        content: without one.
    """
    plain = json.loads(to_json(content))
    return {**plain, _SEAL: hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()}


def read_manifest(folder: Path) -> Manifest:
    """What an exported model says of itself.

    Raises:
        ValueError: if the folder holds no exported model, or one of another version; the message names it.
    """
    path = folder / MANIFEST
    cure = "give a folder that `fastslow export` wrote, or export the model again"
    if not path.is_file():
        raise InputError(f"{shown_path(folder)} is no exported model, for it has no {MANIFEST}; {cure}")
    content = read_json(path)
    if content.get("format") != _FORMAT:
        raise InputError(
            f"{shown_path(path)} has format {shown(content.get('format'))}; this version reads {_FORMAT}: {cure}"
        )
    names = {"format", _SEAL, *(field.name for field in dataclasses.fields(Manifest))}
    if content.keys() != names:
        raise InputError(f"{shown_path(path)} says {shown(sorted(content))}; {sorted(names)} was expected: {cure}")
    said = content.pop(_SEAL)
    if sealed(content)[_SEAL] != said:
        raise InputError(
            f"{shown_path(path)} was changed or damaged since it was written (its SHA-256 differs); {cure}"
        )
    del content["format"]
    wrong = next((name for name, fits in _checks(content).items() if not fits), None)
    if wrong is not None:
        raise InputError(f"{shown_path(path)} has {wrong}={shown(content[wrong])}, which no export writes; {cure}")
    expected = (tuple(None if value is None else float(value) for value in row) for row in content["expected"])
    return Manifest(**content | {"state": tuple(content["state"]), "expected": tuple(expected)})


def read_file(folder: Path, name: str, manifest: Manifest) -> bytes:
    """One of the files that a manifest vouches for.

    Raises:
        ValueError: if it is missing or not the file that was exported; the message names it.
    """
    path = folder / name
    content = read_bytes(path, _MAX_BYTES)
    if hashlib.sha256(content).hexdigest() != manifest.files[name]:
        raise InputError(
            f"{shown_path(path)} is not what {MANIFEST} vouches for (its SHA-256 differs): it was damaged, or replaced "
            "in part; export the model again"
        )
    return content


def _checks(content: Mapping[str, Any]) -> dict[str, bool]:
    """Whether each value is one that an export writes."""
    state, files, expected = content["state"], content["files"], content["expected"]
    return {
        "source": isinstance(content["source"], str),
        "image_size": _is_size(content["image_size"]),
        "num_classes": _is_size(content["num_classes"]),
        "max_examples": content["max_examples"] is None or _is_size(content["max_examples"]),
        "examples_at_once": content["examples_at_once"] is None or _is_size(content["examples_at_once"]),
        "images_at_once": _is_size(content["images_at_once"]),
        "state": isinstance(state, list) and bool(state) and all(isinstance(name, str) for name in state),
        "files": isinstance(files, dict) and set(files) == set(FILES),
        "expected": isinstance(expected, list)
        and len(expected) == 3
        and all(_are_numbers(row) and len(row) == content["num_classes"] for row in expected),
        "details": isinstance(content["details"], dict),
    }


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100_000


def _are_numbers(row: object) -> bool:
    """Whether they are those of logits; a whole number may be too large for one."""
    if not isinstance(row, list) or any(isinstance(value, bool) for value in row):
        return False
    return all(value is None or (isinstance(value, int | float) and abs(value) < _MOST_LOGIT) for value in row)
