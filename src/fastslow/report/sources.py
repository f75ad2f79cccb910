"""What a page is about: run folders, finished or not, and result files."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastslow.errors import InputError, shown
from fastslow.files import read_json
from fastslow.protocol.checks import check_plain, refuse_large
from fastslow.protocol.result import LARGEST_FILE, Result, read_result
from fastslow.report.metrics import Point, read_metrics

RUN_FILES = ("config.json", "metrics.jsonl", "result.json", "model.safetensors")
#: More classes than any task has.
_MOST_WAYS = 10**6


@dataclasses.dataclass(frozen=True)
class Source:
    """What a run folder or a result file holds; a part that is not there is empty or None.

    Attributes:
        name: of the folder, or of the file without its ending.
        path: the folder or file.
        config: options of the run.
        metrics: lines of `metrics.jsonl`.
        result: of the evaluation.
        has_model: whether there is a trained model in the folder.
    """

    name: str
    path: Path
    config: Mapping[str, Any] | None
    metrics: Sequence[Point]
    result: Result | None
    has_model: bool

    @property
    def command(self) -> str:
        """Repeats the run; "" where that was not recorded."""
        if self.result is not None:
            return self.result.provenance.command
        command = (self.config or {}).get("command", "")
        return command if isinstance(command, str) else ""

    @property
    def n_way(self) -> int | None:
        """Classes a task, where that was recorded."""
        way = (self.config or {}).get("way")
        if self.result is not None:
            way = self.result.provenance.protocol.get("n_way", way)
        return way if type(way) is int and 2 <= way <= _MOST_WAYS else None


def read_source(path: Path) -> Source:
    """Reads a run folder or a result file.

    Raises:
        ValueError: if it is missing, neither, or corrupt; the message names it.
    """
    try:
        is_folder, exists = path.is_dir(), path.exists()
        here = {name for name in RUN_FILES if is_folder and (path / name).exists()}
    except (OSError, ValueError) as error:
        raise InputError(f"{shown(str(path))} cannot be read: {error}") from error
    if not exists:
        raise InputError(f"there is no {path}; give run folders or result files (.json)")
    if not is_folder:
        result = read_result(path)
        return Source(path.stem, path, result.provenance.options or None, (), result, False)
    if not here:
        raise InputError(
            f"{path} is no run folder: it has none of {', '.join(RUN_FILES)}; give run folders, such as those "
            "in it, or result files (.json)"
        )
    return Source(
        name=path.resolve().name, path=path,
        config=_read_config(path / "config.json") if "config.json" in here else None,
        metrics=read_metrics(path / "metrics.jsonl"),
        result=read_result(path / "result.json") if "result.json" in here else None,
        has_model="model.safetensors" in here,
    )  # fmt: skip


def _read_config(path: Path) -> dict[str, Any]:
    refuse_large(path, LARGEST_FILE)
    config = read_json(path)
    try:
        check_plain("config", config)
    except InputError as error:
        raise InputError(f"{path} holds no options of a run: {error}") from error
    return config
