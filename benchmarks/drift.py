"""The stream learner beside what people use for streams, where classes stay and where they drift.

`python benchmarks/drift.py --json results/benchmark_drift.json`. Vectors in batches of 100, classes by a power law.
Where they drift, the mean of each class turns by half a circle over the stream: in the end it is where nothing was.
Accuracy is on three new vectors of each class seen so far, of where it is now; the mean of ten looks, and the last one.
Online logistic regression is scikit-learn's; the Hoeffding tree is river's (`pip install -e ".[benchmarks]"`), and left
out where that is missing. A learner that takes longer than `--seconds` stops where it is, and its row says where.
"""

from __future__ import annotations

import argparse
import importlib.util
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from sklearn.linear_model import SGDClassifier
from timing import table, write_json
from torch import nn
from torch.nn import functional as F

from fastslow import FastSlowClassifier

FEATURES, BATCH, LOOKS = 128, 100, 10
#: Vectors that the window, and the buffer of the replay, hold: as many as the stream learner keeps.
KEPT = 10_000


class Learner(Protocol):
    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None: ...

    def answer(self, vectors: np.ndarray) -> np.ndarray: ...


class Stream:
    def __init__(self, classes: int, **options: Any) -> None:
        self.learner = FastSlowClassifier(None, max_examples=KEPT, **options)

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        self.learner.partial_fit(vectors, labels)

    def answer(self, vectors: np.ndarray) -> np.ndarray:
        return self.learner.predict(vectors)


class NearestMean:
    def __init__(self, classes: int) -> None:
        self.sums, self.counts = np.zeros((classes, FEATURES)), np.zeros(classes)

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        np.add.at(self.sums, labels, vectors)
        np.add.at(self.counts, labels, 1)

    def answer(self, vectors: np.ndarray) -> np.ndarray:
        known = np.flatnonzero(self.counts)
        means = torch.from_numpy((self.sums[known] / self.counts[known, None]).astype(np.float32))
        return known[torch.cdist(torch.from_numpy(vectors), means).argmin(1).numpy()]


class Window:
    """The class of the nearest of the last vectors."""

    def __init__(self, classes: int) -> None:
        self.vectors, self.labels = np.empty((0, FEATURES), np.float32), np.empty(0, int)

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        self.vectors = np.concatenate([self.vectors, vectors])[-KEPT:]
        self.labels = np.concatenate([self.labels, labels])[-KEPT:]

    def answer(self, vectors: np.ndarray) -> np.ndarray:
        return self.labels[torch.cdist(torch.from_numpy(vectors), torch.from_numpy(self.vectors)).argmin(1).numpy()]


class Logistic:
    def __init__(self, classes: int) -> None:
        self.classes, self.model = np.arange(classes), SGDClassifier(loss="log_loss", random_state=0)

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        self.model.partial_fit(vectors, labels, classes=self.classes)

    def answer(self, vectors: np.ndarray) -> np.ndarray:
        return self.model.predict(vectors)


class Tree:
    def __init__(self, classes: int) -> None:
        from river.tree import HoeffdingTreeClassifier

        self.model = HoeffdingTreeClassifier()

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        for vector, label in zip(vectors.tolist(), labels.tolist(), strict=True):
            self.model.learn_one(dict(enumerate(vector)), label)

    def answer(self, vectors: np.ndarray) -> np.ndarray:
        return np.array([self.model.predict_one(dict(enumerate(vector))) for vector in vectors.tolist()])


class Replay:
    """A network of one hidden layer by backpropagation, on each batch and on as many vectors of a reservoir."""

    def __init__(self, classes: int) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(FEATURES, 512), nn.ReLU(), nn.Linear(512, classes))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.random, self.seen = np.random.default_rng(0), 0
        self.vectors, self.labels = np.empty((KEPT, FEATURES), np.float32), np.empty(KEPT, int)

    def learn(self, vectors: np.ndarray, labels: np.ndarray) -> None:
        shown, named = vectors, labels
        if held := min(self.seen, KEPT):
            old = self.random.integers(held, size=len(labels))
            shown, named = np.concatenate([vectors, self.vectors[old]]), np.concatenate([labels, self.labels[old]])
        self.optimiser.zero_grad()
        F.cross_entropy(self.model(torch.from_numpy(shown)), torch.from_numpy(named)).backward()
        self.optimiser.step()
        for vector, label in zip(vectors, labels, strict=True):
            place = self.seen if self.seen < KEPT else int(self.random.integers(self.seen + 1))
            self.seen += 1
            if place < KEPT:
                self.vectors[place], self.labels[place] = vector, label

    @torch.inference_mode()
    def answer(self, vectors: np.ndarray) -> np.ndarray:
        return self.model(torch.from_numpy(vectors)).argmax(1).numpy()


LEARNERS: dict[str, Callable[[int], Learner]] = {
    "stream learner": Stream,
    "stream learner, the last 20 of each class": lambda classes: Stream(classes, per_class=20, eviction="oldest"),
    "nearest class mean": NearestMean,
    "nearest of the last 10,000": Window,
    "online logistic regression": Logistic,
    "replay network": Replay,
    "Hoeffding tree": Tree,
}


class Batch(NamedTuple):
    """What comes, and, at a look, what is asked."""

    vectors: np.ndarray
    labels: np.ndarray
    asked: tuple[np.ndarray, np.ndarray] | None


def batches(count: int, classes: int, *, drift: bool) -> Iterator[Batch]:
    generator = np.random.default_rng(0)
    first, second = generator.normal(size=(2, classes, FEATURES))
    share = 1 / np.arange(1, classes + 1)
    noise = np.where(np.arange(FEATURES) % 2, 1.0, 3.0)  # half of the directions say little
    seen = np.zeros(classes, bool)
    for start in range(0, count, BATCH):
        angle = np.pi * start / count if drift else 0.0
        means = np.cos(angle) * first + np.sin(angle) * second

        def draw(labels: np.ndarray, means: np.ndarray = means) -> np.ndarray:
            return (means[labels] + noise * generator.normal(size=(len(labels), FEATURES))).astype(np.float32)

        labels = generator.choice(classes, BATCH, p=share / share.sum())
        seen[labels] = True
        vectors = draw(labels)
        asked = None
        if (start + BATCH) % (count // LOOKS) == 0:
            wanted = np.tile(np.flatnonzero(seen), 3)
            asked = (draw(wanted), wanted)
        yield Batch(vectors, labels, asked)


def row(name: str, count: int, classes: int, *, drift: bool, seconds: float) -> dict[str, Any]:
    learner, learning, answering, asked = LEARNERS[name](classes), 0.0, 0.0, 0
    found: list[float] = []
    seen = 0
    for batch in batches(count, classes, drift=drift):
        began = time.perf_counter()
        learner.learn(batch.vectors, batch.labels)
        learning += time.perf_counter() - began
        seen += len(batch.labels)
        if batch.asked is not None:
            began = time.perf_counter()
            found.append(float((learner.answer(batch.asked[0]) == batch.asked[1]).mean()))
            answering += time.perf_counter() - began
            asked += len(batch.asked[1])
        if learning + answering > seconds:
            break
    return {
        "classes": "drift" if drift else "stay",
        "learner": name,
        "vectors": seen,
        "accuracy %": 100 * float(np.mean(found)) if found else None,
        "at the end %": 100 * found[-1] if found else None,
        "learned/s": seen / learning,
        "answered/s": asked / answering if answering else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    names = [name for name in LEARNERS if name != "Hoeffding tree" or importlib.util.find_spec("river")]
    rows = []
    for drift in (False, True):
        for name in names:
            rows.append(row(name, options.count, options.classes, drift=drift, seconds=options.seconds))
            print(rows[-1], file=sys.stderr, flush=True)
    what = "vectors of 128 numbers, half of which say little; one thread; see the docstring of benchmarks/drift.py"
    write_json(options.json, f"python {shlex.join(sys.argv)}", rows, what=what)
    print(table(rows))


if __name__ == "__main__":
    main()
