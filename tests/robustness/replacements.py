"""Quickstarts killed while they replace a finished one: some finished run stays, and the next one puts all in order."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random

from fastslow.errors import InputError
from fastslow.files import read_json
from fastslow.protocol.result import read_result
from fastslow.training.run import RUN_FILES
from robustness.kills import KILLED, Kills, Nursery

#: Changes of files from the end of a quickstart back in which it replaces and reports.
_LAST = 60


def kill_replacements(processes: Nursery, folder: Path, count: int, *, seed: int = 0) -> Kills:
    """Kills a quickstart `count` times near its end, each time over a finished one, and starts another.

    Args:
        processes: to kill.
        folder: is made.
        count: kills.
        seed: of the moments.
    """
    kills, random, out, finished = Kills(), Random(seed), folder / "out", folder / "finished"
    assert processes.live(work="replace", folder=finished) == 0, processes.error()
    (_run(finished) / "notes.txt").write_text("mine", encoding="utf-8")
    shutil.copytree(finished, out)
    assert processes.live(work="replace", folder=out) == 0, processes.error()
    events = read_json(processes.report)["events"]
    while kills.kills < count:
        shutil.rmtree(out)
        shutil.copytree(finished, out)
        event = random.randint(max(1, events - _LAST), events)
        kills.kills += processes.live(work="replace", folder=out, event=event) == KILLED
        found = [] if any(map(_is_finished, out.rglob("result.json"))) else ["no finished run is left"]
        code = processes.live(work="replace", folder=out)
        kills.runs += code == 0
        found += list(_faults(out)) if code == 0 else [processes.error()]
        kills.faults += [f"seed {seed}, event {event} of {events}: {fault}" for fault in found]
    return kills


def _run(out: Path) -> Path:
    (run,) = (path for path in out.iterdir() if path.is_dir() and path.name[0] != ".")
    return run


def _is_finished(path: Path) -> bool:
    try:
        return read_result(path).numbers["accuracy"].count == 3
    except InputError:
        return False


def _faults(out: Path) -> Iterator[str]:
    run = _run(out)
    if {path.name for path in out.iterdir()} != {run.name, "report.html"}:
        yield f"the end leaves {sorted(path.name for path in out.iterdir())}"
    if {path.name for path in run.iterdir()} != {*RUN_FILES, "notes.txt"}:
        yield f"the run has {sorted(path.name for path in run.iterdir())}"
    if not _is_finished(run / "result.json"):
        yield "the run is not finished"
