"""The run folder: configuration, metrics, checkpoint for exact resume, and result, none of them ever half written."""

from __future__ import annotations

import hashlib
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fastslow import tensors
from fastslow.claims import Claim
from fastslow.errors import InputError, shown, shown_path, shown_reason
from fastslow.files import in_words, read_bytes, read_json_lines, to_json, write_atomically

#: What a run leaves in its folder.
RUN_FILES = ("config.json", "metrics.jsonl", "checkpoint.pt", "model.safetensors", "model.json", "result.json")
#: The largest metrics that are read, bytes; a checkpoint is read whatever its size, since its run wrote it.
MAX_BYTES = 256 * 2**20
_DIGEST_LENGTH = 64
#: Ends a zip file: the record of its end without a comment, as torch writes it.
_END, _END_LENGTH = b"PK\5\6", 22
#: By key, the type that a checkpoint's value must have; whole numbers within a range; floats are finite.
Schema = Mapping[str, type | range]


class Run:
    """A folder under `runs/` and the files of design's section 7 in it; claimed until it is closed.

    Args:
        folder: made if missing; goes again if nothing was written to it.
        resume: go on with the run that is there; otherwise the folder must hold none of a run's files.

    Raises:
        ValueError: if another process works in the folder, a run is there that is not resumed, or there is none to
            resume; nothing has been written then.
    """

    def __init__(self, folder: str | Path, *, resume: bool = False) -> None:
        self.folder = Path(folder)
        self.checkpoint_path = self.folder / "checkpoint.pt"
        self.metrics_path = self.folder / "metrics.jsonl"
        self._claim = Claim(self.folder)
        try:
            self._refuse_nothing_to_resume() if resume else self._refuse_taken()
        except InputError:
            self.close()
            raise

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the folder free for other processes."""
        self._claim.release()

    def log(self, **metrics: Any) -> None:  # noqa: ANN401 - anything JSON can hold
        """Appends one line to `metrics.jsonl`, whole or not at all; numbers that are not finite as null.

        Raises:
            ValueError: if the disk is full, ...
        """
        with in_words(self.metrics_path), self.metrics_path.open("ab") as file:
            length = file.tell()
            try:
                file.write((to_json(metrics) + "\n").encode())
                file.flush()
            except OSError:
                os.truncate(self.metrics_path, length)
                raise

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines of `metrics.jsonl` so far.

        Raises:
            ValueError: if a line is damaged; the message names it.
        """
        return read_json_lines(self.metrics_path) if self.metrics_path.exists() else []

    def truncate_metrics(self, num_lines: int) -> None:
        """Keeps the first whole lines only: those that the checkpoint knows of."""
        content = read_bytes(self.metrics_path, MAX_BYTES) if self.metrics_path.exists() else b""
        whole = content.split(b"\n")[:-1][:num_lines]
        kept = b"".join(line + b"\n" for line in whole)
        write_atomically(self.metrics_path, lambda temporary: temporary.write_bytes(kept))

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replaces `checkpoint.pt` atomically: torch's format, with a SHA-256 of the rest as the archive's comment.

        Args:
            state: tensors and plain values; with the options and the split's checksum in it, `load_checkpoint` can
                compare them.

        Raises:
            ValueError: if the disk is full, ...
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getvalue()
        assert content[-_END_LENGTH:].startswith(_END)
        content = content[:-2] + _DIGEST_LENGTH.to_bytes(2, "little")
        content += hashlib.sha256(content).hexdigest().encode()
        write_atomically(self.checkpoint_path, lambda temporary: temporary.write_bytes(content))

    @staticmethod
    def load_checkpoint(folder: str | Path, schema: Schema | None = None) -> dict[str, Any]:
        """Reads the checkpoint of a run folder; writes nothing.

        Args:
            folder: of the run.
            schema: the keys, all of them, and what their values are; not compared if None.

        Raises:
            ValueError: if it is missing, cannot be read, is damaged in any bit, or holds other than the schema says;
                the message names it.
        """
        path = Path(folder) / "checkpoint.pt"
        if not path.exists():
            raise InputError(f"nothing to resume: there is no {shown_path(path)}; run without --resume first")
        content = read_bytes(path, path.stat().st_size)
        digest = hashlib.sha256(memoryview(content)[:-_DIGEST_LENGTH]).hexdigest().encode()
        if content[-_DIGEST_LENGTH:] != digest:
            raise _corrupt(path, "its checksum is another")
        try:
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except Exception as error:  # a file with a checksum of its own fails in a dozen ways, depending on the byte
            raise _corrupt(path, shown_reason(error)) from error
        if not isinstance(state, dict):
            raise _corrupt(path, f"it holds {type(state).__name__}")
        if schema is not None:
            _refuse_other(state, schema, path)
        return state

    def _refuse_taken(self) -> None:
        found = [name for name in RUN_FILES if (self.folder / name).exists()]
        if found:
            cure = "go on with --resume" if "checkpoint.pt" in found else f"move its {', '.join(found)} away"
            raise InputError(f"{shown_path(self.folder)} holds a run already; {cure}, or choose another --name")

    def _refuse_nothing_to_resume(self) -> None:
        if not self.checkpoint_path.exists():
            raise InputError(
                f"nothing to resume: there is no {shown_path(self.checkpoint_path)}; run without --resume first"
            )


def refuse_unreadable(model: nn.Module) -> None:
    """Refuses to train a model whose file could not be read back: for before the training.

    Raises:
        ValueError: if its state leaves no room for names and header within the largest model file that is read.
    """
    size = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    most = tensors.MAX_BYTES - tensors.MAX_HEADER_BYTES
    if size > most:
        raise InputError(
            f"got a model of {size / 2**20:.4g} MiB; the largest that is read back from a file has "
            f"{most / 2**20:.4g} MiB: make it smaller (model)"
        )


def _refuse_other(state: Mapping[str, Any], schema: Schema, path: Path) -> None:
    for key in [*schema, *state]:
        if key not in schema or key not in state:
            there = "has no" if key in schema else "has a superfluous"
            raise InputError(
                f"{shown_path(path)} {there} {shown(key)}; it is of another version: start without --resume"
            )
        kind, value = schema[key], state[key]
        if not _fits(value, kind):
            wanted = kind.__name__ if isinstance(kind, type) else f"one of {kind.start} to {kind.stop - 1}"
            raise InputError(
                f"{shown_path(path)} has {key}={shown(value)}; {wanted} was expected: start without --resume"
            )


def _fits(value: object, kind: type | range) -> bool:
    if isinstance(kind, range):
        return type(value) is int and value in kind
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _corrupt(path: Path, reason: str) -> InputError:
    return InputError(
        f"{shown_path(path)} is corrupt or truncated, or of another version ({reason}); delete it and start without "
        "--resume"
    )
