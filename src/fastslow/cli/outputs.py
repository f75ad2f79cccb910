"""Files that commands write: with the ending that is due, where there can be one, and never one that is read."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from fastslow.errors import InputError, shown
from fastslow.files import refuse_unwritable

#: What a run folder holds of its run.
_OF_RUNS = ("config.json", "model.json", "model.safetensors", "checkpoint.pt", "metrics.jsonl", "result.json")


def refuse_output(
    flag: str, path: Path | None, *endings: str, others: Mapping[str, str | Path | None] | None = None
) -> None:
    """Refuses a file to write to before any work is done.

    Args:
        flag: that it was given by, for messages.
        path: the file; nothing is refused if None.
        endings: that its name may have; any if none is given.
        others: what else the command was given that it reads or writes, by what it is called: files, run folders, or
            names that are neither.

    Raises:
        ValueError: if it has another ending, is one of the others or of such a run folder, or cannot be written.
    """
    if path is None:
        return
    refuse_unwritable(path)
    if endings and path.suffix.lower() not in endings:
        *most, last = endings
        expected = f"{', '.join(most)} or {last}" if most else last
        raise InputError(f"got {flag} {shown(str(path))}; give a file whose name ends in {expected}")
    for name, other in (others or {}).items():
        if other is not None and any(_is_same(path, file) for file in _files_of(Path(other))):
            raise InputError(
                f"got {flag} {shown(str(path))}, which is {name} too and would be lost; give a file of another name"
            )


def _files_of(other: Path) -> list[Path]:
    """The file itself; of a model that has its JSON beside it both, of a run folder all that is its own."""
    if other.is_dir():
        return [other / name for name in _OF_RUNS]
    return [other, other.with_suffix(".json")] if other.suffix == ".safetensors" else [other]


def _is_same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return os.path.samefile(path, other)
    return path.resolve() == other.resolve()
