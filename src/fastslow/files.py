"""Files that are never half written, and text that is read within bounds; every trouble with them in words.

A file is written to a temporary name in its folder, flushed to the disk and then renamed. What is read is bounded in
size and nesting before it is believed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import stat
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.processes import is_alive, this_machine

#: The largest text that is read, bytes: read as JSON it takes up to 30 times as much memory, and seconds.
MAX_TEXT_BYTES = 2 * 2**20
#: The largest file of one JSON object a line.
_MAX_LINES_BYTES = 4 * 2**20
#: How deep lists and objects may lie in one another.
MAX_NESTING = 64
#: What else than an object JSON may be, in its own words.
_KINDS = {list: "a list", str: "a text", int: "a number", float: "a number", bool: "true or false", type(None): "null"}
#: Temporary files of writers on another machine are left alone for this long, seconds.
_FOREIGN_AGE = 24 * 3600.0


class UnwritableError(InputError):
    """A place where no file can be written: `what` and why, and the `cure` for whoever gave a file."""

    def __init__(self, what: str, cure: str = "give a file in a folder that you may write to") -> None:
        super().__init__(what, cure)
        self.what, self.cure = what, cure

    def __str__(self) -> str:
        return f"{self.what}: {self.cure}"


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Has `write` fill a temporary file beside `path`, then renames it: `path` is old or new, never half.

    The new content is on the disk before it takes the name. What killed writers of `path` left behind is removed.

    Raises:
        ValueError: if no file can be written there, the disk is full, ...; the file is then the old one.
    """
    path = Path(path)
    refuse_unwritable(path)
    with in_words(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(path)
        temporary = path.with_name(f"{_prefix(path)}{this_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
        try:
            temporary.touch(exist_ok=False)
            write(temporary)
            temporary.chmod(0o644)
            _flush(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        flush_folder(path.parent)


def remove_stale(path: Path) -> None:
    """Removes the temporary files that writers of `path` left behind when they were killed, never a living one's."""
    prefix = _prefix(path)
    for found in path.parent.iterdir():
        if found.name.startswith(prefix) and found.suffix == ".tmp" and _is_stale(found, found.name[len(prefix) : -4]):
            with contextlib.suppress(OSError):
                found.unlink()


def refuse_unwritable(path: str | Path) -> None:
    """Refuses a path at which no file can be written: for before the work whose result is to go there.

    Raises:
        ValueError: if it is a folder or a device, has a name that cannot be, or lies below a file or in a folder that
            cannot be written to.
    """
    path = Path(path)
    if "\0" in str(path):
        raise UnwritableError(f"{shown_path(path)} cannot be written")
    try:
        nearest = next(folder for folder in path.absolute().parents if folder.is_symlink() or folder.exists())
        blocked = path.exists() and not path.is_file()
        os.fsencode(path)
    except (OSError, UnicodeError, StopIteration) as error:
        raise UnwritableError(f"{shown_path(path)} cannot be written ({shown_reason(error)})") from error
    if blocked or not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise UnwritableError(f"{shown_path(path)} cannot be written")


def refuse_unwritable_folder(folder: str | Path, *names: str) -> None:
    """Refuses a folder in which files cannot be written: for before the work whose results are to go there.

    Args:
        folder: need not be there.
        names: of the files.

    Raises:
        ValueError: if it is a file or lies below one, cannot be written to, or holds what cannot be replaced.
    """
    folder = Path(folder)
    for name in names:
        try:
            refuse_unwritable(folder / name)
        except UnwritableError as error:
            nearest = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
            kind = "is a file" if os.path.exists(nearest) else "is a link to nothing"
            what = error.what if nearest.is_dir() else f"{shown_path(nearest)} {kind}, and a folder is needed there"
            raise UnwritableError(what, "give a folder that you may write to, or that is yet to be made") from error


def write_text(path: str | Path, text: str) -> None:
    """Writes text atomically, in UTF-8; halves of characters, as in names that are no UTF-8, as their number."""
    content = text.encode("utf-8", "backslashreplace")
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Writes JSON atomically, indented, as `to_json` puts it."""
    write_text(path, to_json(content, indent=2) + "\n")


def to_json(content: object, *, indent: int | None = None) -> str:
    """JSON that every reader takes.

    Numbers that are not finite become null, arrays and tensors lists, and what JSON has no word for its text.
    """
    return json.dumps(_plain(content), indent=indent, default=str, allow_nan=False)


def read_bytes(path: str | Path, max_bytes: int) -> bytes:
    """The content of a file.

    Raises:
        ValueError: if it is missing, no ordinary file, larger than `max_bytes`, or cannot be read.
    """
    name = shown_path(path)
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise InputError(f"{name} is a folder, a device or a pipe; give a file")
        if about.st_size <= max_bytes:
            with open(path, "rb") as file:
                return file.read(max_bytes)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {name}") from error
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{name} has {about.st_size / 2**20:.3g} MiB, more than fit into memory; give another"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read ({shown_reason(error)}); see that you may read it") from error
    raise InputError(f"{name} is larger than {max_bytes / 2**20:.3g} MiB, the most that is read; give another file")


def read_text(path: str | Path, max_bytes: int = MAX_TEXT_BYTES) -> str:
    """The text of a file in UTF-8.

    Raises:
        ValueError: as `read_bytes`, or if it is no UTF-8.
    """
    try:
        return read_bytes(path, max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown_path(path)} is no text in UTF-8 ({error.reason}); save it as UTF-8") from error


def read_json(path: str | Path) -> dict[str, Any]:
    """Reads a JSON file of one object.

    Raises:
        ValueError: if it is missing, cannot be read, or holds something else; the message names it.
    """
    return from_json(read_text(path), shown_path(path))


def read_json_lines(path: str | Path) -> list[dict[str, Any]]:
    """Reads a file of one JSON object a line; empty lines are passed over.

    Raises:
        ValueError: as `read_json`; the message names the line.
    """
    lines = read_text(path, _MAX_LINES_BYTES).split("\n")
    return [from_json(line, f"{shown_path(path)}, line {i + 1},") for i, line in enumerate(lines) if line.strip()]


def from_json(text: str, name: str) -> dict[str, Any]:
    """Reads one JSON object: keys given once, numbers finite, nested no deeper than `MAX_NESTING`.

    Args:
        text: the JSON.
        name: of where it comes from, for messages.

    Raises:
        ValueError: if it is anything else.
    """
    try:
        content = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number, parse_float=_finite)
        deep = _is_deeper(content, MAX_NESTING)
    except RecursionError as error:
        raise InputError(f"{name} is nested too deep; {MAX_NESTING} levels are the most that is read") from error
    except ValueError as error:
        raise InputError(f"{name} is no JSON ({shown_reason(error)}); copy or write it again") from error
    if deep:
        raise InputError(f"{name} is nested too deep; {MAX_NESTING} levels are the most that is read")
    if not isinstance(content, dict):
        raise InputError(f"{name} holds {_KINDS[type(content)]}; an object of names and values was expected")
    return content


def _prefix(path: Path) -> str:
    """Of the temporary files of one target: short whatever its name, since names have a greatest length."""
    return f".fastslow-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:12]}-"


def _is_stale(found: Path, writer: str) -> bool:
    machine, _, rest = writer.partition("-")
    pid = rest.partition("-")[0]
    if machine == this_machine() and pid.isdecimal():
        return not is_alive(int(pid))
    try:
        return time.time() - found.stat().st_mtime > _FOREIGN_AGE
    except OSError:
        return False


@contextlib.contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turns what the system says against writing `path` into words."""
    try:
        yield
    except OSError as error:
        raise UnwritableError(
            f"{shown_path(path)} cannot be written ({shown_reason(error)})",
            "free space, or give a file in a folder that you may write to; what was there is unchanged",
        ) from error


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Makes a rename last through a power cut, on systems that let folders be opened; elsewhere it lasts by itself."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _plain(value: Any) -> Any:  # noqa: ANN401 - anything JSON can hold
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # Arrays, tensors and single numbers of either.
    return _plain(value.tolist()) if hasattr(value, "tolist") else value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(name for name in names if names.count(name) > 1))} stands there twice")
    return content


def _no_number(token: str) -> NoReturn:
    raise ValueError(f"{token} is no number")


def _finite(token: str) -> float:
    number = float(token)
    return number if math.isfinite(number) else _no_number(shown(token))


def _is_deeper(value: object, levels: int) -> bool:
    """Level by level: a call for each of millions of values would take longer than reading them."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        parts = [part for parent in level for part in (parent.values() if isinstance(parent, dict) else parent)]
        level = [part for part in parts if isinstance(part, dict | list)]
    return bool(level)
