"""Trainings killed again and again: what each leaves behind, and whether the end is that of one that was left alone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from fastslow.errors import InputError
from fastslow.files import read_json
from fastslow.methods.files import load_model
from fastslow.protocol.result import read_result
from fastslow.report.metrics import read_metrics
from fastslow.training.loop import CHECKPOINT
from fastslow.training.run import RUN_FILES, Run
from robustness import tiny
from robustness.harness import equal

_TESTS = Path(__file__).parents[1]
KILLED = -9


@dataclasses.dataclass
class Kills:
    """What came of killing.

    Attributes:
        kills: processes that were killed, at a random time or before a random change of a file.
        before_a_checkpoint: of these, those that left nothing to go on from.
        resumed: processes that went on from a checkpoint.
        runs: trainings that came to their end.
        faults: files that are neither old nor new, resumes that failed, ends that differ; each with its seed.
    """

    kills: int = 0
    before_a_checkpoint: int = 0
    resumed: int = 0
    runs: int = 0
    faults: list[str] = dataclasses.field(default_factory=list)


class Nursery:
    """Makes processes and kills them."""

    def __init__(self, folder: Path) -> None:
        path = os.pathsep.join([str(_TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.report = folder / "report.json"
        self._errors = (folder / "errors.txt").open("w+", encoding="utf-8")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "robustness.victim"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=self._errors, text=True, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def live(self, **task: Any) -> int:
        """The exit code of a process that does a task and may be killed in it."""
        assert self._process.stdin
        assert self._process.stdout
        text = json.dumps({**task, "report": str(self.report)}, default=str)
        self._process.stdin.write(text + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def error(self) -> str:
        """The last line that a process left."""
        self._errors.seek(0)
        return (self._errors.read().strip().splitlines() or ["no word"])[-1]

    def close(self) -> None:
        """Ends it and waits for the end."""
        self._process.communicate()
        self._errors.close()


@contextlib.contextmanager
def nursery(folder: Path) -> Iterator[Nursery]:
    """A `Nursery` for the length of a `with` block."""
    made = Nursery(folder)
    try:
        yield made
    finally:
        made.close()


class Whole(NamedTuple):
    """A training that was left alone.

    Attributes:
        run: its folder.
        record: a copy of each of its checkpoints.
        seconds: it took.
        events: changes of files.
    """

    run: Path
    record: Path
    seconds: float
    events: int


def left_alone(processes: Nursery, folder: Path) -> Whole:
    """Trains once, in a folder that is made."""
    record = folder / "record"
    record.mkdir(parents=True)
    assert processes.live(work="train", folder=folder, record=record) == 0, processes.error()
    return Whole(folder / tiny.NAME, record, **read_json(processes.report))


def kill_trainings(processes: Nursery, folder: Path, count: int, *, seed: int = 0) -> Kills:
    """Kills the tiny training `count` times, in runs that each come to their end.

    Args:
        processes: to kill.
        folder: empty.
        count: kills.
        seed: of the moments; those by time depend on the machine as well.
    """
    kills, random, run = Kills(), Random(seed), folder / "runs" / tiny.NAME
    whole = left_alone(processes, folder / "whole")
    while kills.kills < count or run.exists() or not kills.runs:
        before = clock_of(run)
        part = 2 if before is None else 4  # most kills are to come while there is something to lose
        moment = {"event": random.randint(1, whole.events // part)}
        if random.randint(0, 1):
            moment = {"seconds": random.uniform(0, 2 * whole.seconds / part)}
        code = processes.live(work="train", folder=run.parent, **(moment if kills.kills < count else {}))
        found = list(faults(run, whole, before))
        kills.kills += code == KILLED
        kills.resumed += before is not None
        kills.runs += code == 0
        if code not in (0, KILLED):
            found.append(processes.error())
        if code == 0 and (names := {path.name for path in run.iterdir()}) != set(RUN_FILES):
            found.append(f"the end leaves {sorted(names)}")
        kills.before_a_checkpoint += code == KILLED and clock_of(run) is None
        kills.faults += [f"seed {seed}, kill {kills.kills}, {moment}: {fault}" for fault in found]
        if code != KILLED or clock_of(run) is None:
            shutil.rmtree(run.parent, ignore_errors=True)
    return kills


def clock_of(run: Path) -> tuple[int, int] | None:
    """Stage and step of the checkpoint; None where there is none that can be read."""
    try:
        clock = Run.load_checkpoint(run, CHECKPOINT)["clock"]
    except InputError:
        return None
    return clock["stage"], clock["step"]


def faults(run: Path, whole: Whole, before: tuple[int, int] | None) -> Iterator[str]:
    """What is wrong with a run folder, whatever its process was doing when it was killed; its clock was `before`."""
    found = {path.name for path in run.iterdir()} if run.exists() else set()
    strange = [name for name in found - {*RUN_FILES, ".claim"} if not name.startswith(".fastslow-")]
    if strange:
        yield f"there is {strange}"
    try:
        if "checkpoint.pt" in found:
            yield from _checkpoint_faults(Run.load_checkpoint(run, CHECKPOINT), whole.record, before)
        elif before is not None:
            yield "the checkpoint is gone"
        if "config.json" in found and read_json(run / "config.json") != read_json(whole.run / "config.json"):
            yield "config.json differs"
        if "metrics.jsonl" in found:
            losses = [[point.loss for point in read_metrics(each / "metrics.jsonl")] for each in (run, whole.run)]
            if losses[0] != losses[1][: len(losses[0])]:
                yield f"metrics.jsonl has losses {losses[0]}"
        if "model.safetensors" in found:
            weights = [load_model(each).method.state_dict() for each in (run, whole.run)]
            if not equal(dict(weights[0]), dict(weights[1])):
                yield "model.safetensors has other weights"
        if "model.json" in found and read_json(run / "model.json") != read_json(whole.run / "model.json"):
            yield "model.json differs"
        if "result.json" in found:
            numbers = [read_result(each / "result.json").numbers for each in (run, whole.run)]
            if numbers[0] != numbers[1]:
                yield f"result.json has {numbers[0]}"
    except InputError as error:
        yield str(error)


def _checkpoint_faults(state: dict[str, Any], record: Path, before: tuple[int, int] | None) -> Iterator[str]:
    clock = state["clock"]["stage"], state["clock"]["step"]
    if before is not None and clock < before:
        yield f"the checkpoint went back from {before} to {clock}"
    (folder := record.parent / "one").mkdir(exist_ok=True)
    shutil.copy(record / f"{clock[0]}-{clock[1]}.pt", folder / "checkpoint.pt")
    wanted = Run.load_checkpoint(folder, CHECKPOINT)
    for part in ("model", "optimizer", "stage"):
        if not equal(dict(state[part]), dict(wanted[part])):
            yield f"the checkpoint's {part} at {clock} is not that of a run left alone"
