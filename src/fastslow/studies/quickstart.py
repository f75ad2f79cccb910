"""The quickstart: few-shot learning of made-up characters from nothing to a report, in a few minutes on two cores."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import NamedTuple

from fastslow.claims import Claim
from fastslow.errors import InputError, shown_path
from fastslow.protocol.result import Result
from fastslow.report.page import write_report
from fastslow.studies.fewshot import run_fewshot
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.training.loop import OnProgress
from fastslow.training.run import RUN_FILES

#: Test episodes.
EPISODES = 1000
#: Folders in a quickstart's own: of a run that will replace a finished one, and of that one while it is replaced.
_NEW, _OLD = ".new", ".old"


class Quickstart(NamedTuple):
    """What a quickstart leaves behind.

    Attributes:
        result: accuracies of the model, of its fast path off, and of prototypes, on held-out characters.
        run: the run folder.
        report: the HTML page.
    """

    result: Result
    run: Path
    report: Path


def quickstart_config(*, minutes: float | None, steps: int | None, seed: int) -> FewShotConfig:
    """The options of a quickstart: 5-way 1-shot on the embedded glyphs, everything else at its default.

    Raises:
        ValueError: if the length is not positive.
    """
    return FewShotConfig(
        data="glyphs", way=5, shot=1, minutes=minutes if steps is None else None, steps=steps, seed=seed
    )


def run_quickstart(
    config: FewShotConfig,
    *,
    out: str | Path,
    resume: bool = False,
    on_progress: OnProgress | None = None,
) -> Quickstart:
    """Trains, measures on held-out characters, writes the report.

    A finished quickstart of these options in `out` is replaced, as soon as the new one is complete.

    Args:
        config: from `quickstart_config`.
        out: folder of run and report.
        resume: go on from the checkpoint of an interrupted quickstart.
        on_progress: called after each step of training, and on work between them.

    Returns:
        What is left behind.

    Raises:
        ValueError: if `out` holds an interrupted quickstart and `resume` is not given, or the reverse.
        Interrupted: on Ctrl-C, after a checkpoint has been written.
    """
    out, name = Path(out), config.run_name()
    run, new = out / name, out / _NEW / name
    old = out / _OLD / name
    if (new / "result.json").exists() or old.exists():  # a quickstart was killed before it had replaced the old one
        _replace(run, new, old)
    runs = new.parent if (run / "result.json").exists() else out
    found = interrupted_run(config, out)
    if found is not None and not resume:
        raise InputError(
            f"{shown_path(found)} holds an interrupted quickstart; go on with --resume, or choose another --out"
        )
    if resume:
        runs = out if found is None else found.parent
    result = run_fewshot(config, runs=runs, resume=resume, episodes=EPISODES, on_progress=on_progress)
    assert result is not None  # one process
    if runs != out:
        _replace(run, new, old)
    report = out / "report.html"
    write_report([run], report)
    return Quickstart(result, run, report)


def interrupted_run(config: FewShotConfig, out: str | Path) -> Path | None:
    """The folder of an interrupted quickstart of these options, with its checkpoint; None if there is none."""
    name = config.run_name()
    return next((run for run in (Path(out) / _NEW / name, Path(out) / name) if _is_interrupted(run)), None)


def _is_interrupted(run: Path) -> bool:
    return (run / "checkpoint.pt").exists() and not (run / "result.json").exists()


def _replace(run: Path, new: Path, old: Path) -> None:
    """Puts a finished run in the place of another; files in that one's folder that are not a run's move along.

    Wherever it was killed, another call does what is left of it.

    Raises:
        InUseError: if another process still works in the new one.
    """
    if new.exists():
        Claim(new).release()  # with it goes that of a process that was killed
    old.parent.mkdir(exist_ok=True)
    if run.exists() and not old.exists():
        run.rename(old)
    if not run.exists():
        (new if (new / "result.json").exists() else old).rename(run)
    for path in old.iterdir() if old.exists() else ():
        if path.name not in RUN_FILES:
            path.rename(run / path.name)
    shutil.rmtree(old, ignore_errors=True)
    for folder in (new.parent, old.parent):
        with contextlib.suppress(OSError):  # gone already, or with runs of other options in it
            folder.rmdir()
