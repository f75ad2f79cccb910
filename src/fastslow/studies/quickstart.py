"""The quickstart: few-shot learning of made-up characters from nothing to a report, in a few minutes on two cores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from fastslow.errors import InputError
from fastslow.report.page import write_report
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.fewshot_run import run_fewshot
from fastslow.training.fewshot import Progress

#: Test episodes.
EPISODES = 1000
_RUN_FILES = ("config.json", "metrics.jsonl", "checkpoint.pt", "model.safetensors", "model.json", "result.json")


class Quickstart(NamedTuple):
    """What a quickstart leaves behind.

    Attributes:
        result: accuracies of the model, of its fast path off, and of prototypes, on held-out characters.
        run: the run folder.
        report: the HTML page.
    """

    result: dict[str, Any]
    run: Path
    report: Path


def quickstart_config(*, minutes: float | None, steps: int | None, seed: int) -> FewShotConfig:
    """The options of a quickstart: 5-way 1-shot on the embedded glyphs, everything else at its default.

    Raises:
        ValueError: if the length is not positive.
    """
    length = minutes if steps is None else steps
    if length is None or length <= 0:
        raise InputError(f"minutes={minutes} and steps={steps} came; give a positive length")
    return FewShotConfig(
        data="glyphs", way=5, shot=1, minutes=minutes if steps is None else None, steps=steps, seed=seed
    )


def run_quickstart(
    config: FewShotConfig, *, out: Path, resume: bool = False, on_progress: Callable[[Progress], None] | None = None
) -> Quickstart:
    """Trains, measures on held-out characters, writes the report. A finished quickstart in `out` is replaced.

    Args:
        config: from `quickstart_config`.
        out: folder of run and report.
        resume: go on from the checkpoint of an interrupted quickstart.
        on_progress: called after each step of training.

    Returns:
        What is left behind.

    Raises:
        ValueError: if `out` holds an interrupted quickstart and `resume` is not given, or the reverse.
        Interrupted: on Ctrl-C, after a checkpoint has been written.
    """
    run = out / config.run_name()
    if not resume:
        _clear(run)
    result = run_fewshot(config, runs=out, resume=resume, episodes=EPISODES, on_progress=on_progress)
    assert result is not None  # one process
    report = out / "report.html"
    write_report([run], report)
    return Quickstart(result, run, report)


def _clear(run: Path) -> None:
    """Deletes the files of a finished run, and only those, so that it can be run afresh."""
    if (run / "checkpoint.pt").exists() and not (run / "result.json").exists():
        raise InputError(f"{run} holds an interrupted quickstart; go on with --resume, or choose another --out")
    for name in _RUN_FILES:
        (run / name).unlink(missing_ok=True)
