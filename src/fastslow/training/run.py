"""The run folder: configuration, metrics, checkpoint for exact resume, and result, none of them ever half written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from fastslow.errors import InputError
from fastslow.files import write_atomically


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
