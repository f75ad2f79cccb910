"""The run folder: configuration, metrics, checkpoint for exact resume, and result, none of them ever half written."""

from __future__ import annotations

import json
import os
import platform
import resource
import tempfile
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

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


def versions() -> dict[str, str]:
    """Versions of what a number depends on."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in ("fastslow", "torch", "numpy")
    }


def peak_memory_mib() -> float:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Run:
    """A folder under `runs/` and the files of design's section 7 in it.

    Args:
        folder: created if missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint_path = folder / "checkpoint.pt"
        self.metrics_path = folder / "metrics.jsonl"
        folder.mkdir(parents=True, exist_ok=True)

    def log(self, **metrics: Any) -> None:  # noqa: ANN401 - anything JSON can hold
        """Appends one line to `metrics.jsonl`."""
        with self.metrics_path.open("a") as file:
            file.write(json.dumps(metrics) + "\n")

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of `metrics.jsonl` so far."""
        if not self.metrics_path.exists():
            return []
        return [json.loads(line) for line in self.metrics_path.read_text().splitlines()]

    def truncate_metrics(self, num_lines: int) -> None:
        """Keeps the first lines only: those that the checkpoint knows of."""
        lines = self.metrics_path.read_text().splitlines(keepends=True) if self.metrics_path.exists() else []
        write_atomically(self.metrics_path, lambda temporary: temporary.write_text("".join(lines[:num_lines])))

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replaces `checkpoint.pt` atomically."""
        write_atomically(self.checkpoint_path, lambda temporary: torch.save(dict(state), temporary))

    @staticmethod
    def load_checkpoint(folder: Path) -> dict[str, Any]:
        """Reads the checkpoint of a run folder; writes nothing.

        Raises:
            ValueError: if it is missing or cannot be read; the message names it.
        """
        path = folder / "checkpoint.pt"
        if not path.exists():
            raise InputError(f"nothing to resume: there is no {path}; run without --resume first")
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file fails in a dozen ways, depending on the byte
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise InputError(
                f"{path} is corrupt or truncated ({reason}); delete it and start without --resume"
            ) from error
        return state
