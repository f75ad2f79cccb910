"""Stream learners killed while they learn and save: the file holds a whole state, none older than one saved before."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np

from fastslow.errors import InputError
from fastslow.estimators.stream import FastSlowClassifier
from robustness.kills import KILLED, Kills, Nursery

#: Examples that a life of a victim learns, saving after each.
EXAMPLES = 5
_NAME = "learner.safetensors"


def vector(number: int) -> np.ndarray:
    """The example of this number, the same in every process."""
    return np.random.default_rng(number).normal(size=4).astype(np.float32) + 9 * (number % 3)


def learn_and_save(folder: Path) -> None:
    """Goes on with the learner in a folder: learns one example after another, saves after each, writes that it has."""
    path, done = folder / _NAME, folder / "done"
    learner = FastSlowClassifier.load(path) if path.exists() else FastSlowClassifier(None)
    known = len(learner.examples_) if path.exists() else 0
    for number in range(known, known + EXAMPLES):
        learner.learn_one(vector(number), f"class {number % 3}").save(path)
        done.write_text(str(number + 1), encoding="utf-8")


def kill_saves(processes: Nursery, folder: Path, count: int, *, seed: int = 0) -> Kills:
    """Kills a learner `count` times, at random changes of files and random times; each life goes on from the file.

    Args:
        processes: to kill.
        folder: is made.
        count: kills.
        seed: of the moments.
    """
    kills, random = Kills(), Random(seed)
    folder.mkdir(parents=True)
    assert processes.live(work="save", folder=folder) == 0, processes.error()
    while kills.kills < count:
        moment = {"event": random.randint(1, 12 * EXAMPLES)}
        if random.randint(0, 1):
            moment = {"seconds": random.uniform(0, 0.2)}
        before = _known(folder)
        code = processes.live(work="save", folder=folder, **moment)
        kills.kills += code == KILLED
        kills.runs += code == 0
        kills.resumed += 1
        found = [] if code in (0, KILLED) else [processes.error()]
        found += _faults(folder, before)
        kills.faults += [f"seed {seed}, kill {kills.kills}, {moment}: {fault}" for fault in found]
    return kills


def _known(folder: Path) -> int:
    text = (folder / "done").read_text(encoding="utf-8")
    return int(text) if text else 0  # killed as it was written


def _faults(folder: Path, before: int) -> list[str]:
    try:
        learner = FastSlowClassifier.load(folder / _NAME)
    except InputError as error:
        return [str(error)]
    known = len(learner.examples_)
    if known < max(before, _known(folder)):
        return [f"{known} examples are left of {max(before, _known(folder))} that were saved"]
    expected = FastSlowClassifier(None).partial_fit(
        np.stack([vector(number) for number in range(known)]), [f"class {number % 3}" for number in range(known)]
    )
    if not np.array_equal(learner.memory_.examples.features, expected.memory_.examples.features):
        return [f"the {known} examples are not those that were learned"]
    left = {path.name for path in folder.iterdir()} - {_NAME, "done"}
    return [f"there is {name}" for name in left if not name.startswith(".fastslow-")]
