"""Files that are never half written: to a temporary name first, then renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fastslow.errors import InputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a temporary file beside `path`, then renames it: `path` is old or new, never half.

    Raises:
        ValueError: if no file can be written there, see `refuse_unwritable`.
    """
    refuse_unwritable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_unwritable(path: Path) -> None:
    """Refuses a path at which no file can be written: for before the work whose result is to go there.

    Raises:
        ValueError: if it is a folder, or lies below a file or in a folder that cannot be written to.
    """
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if path.is_dir() or not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(f"{path} cannot be written: give a file in a folder that you may write to")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes JSON atomically, indented."""
    text = json.dumps(content, indent=2, default=str) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text))


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of one object.

    Raises:
        ValueError: if it is missing, cannot be read, or holds something else; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"there is no file {path}") from error
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{path} is no JSON ({error})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds {type(content).__name__}; an object of names and values was expected")
    return content
