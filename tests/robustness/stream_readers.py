"""Readers of what a stream learner saves and starts from."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from fastslow.core.gaussian import class_statistics
from fastslow.estimators.statistics import load_statistics, save_statistics
from fastslow.estimators.stream import FastSlowClassifier
from fastslow.tensors import load_tensors, save_tensors
from mutations import ODD, damage, damage_values
from robustness.harness import Reader, equal
from robustness.stream_saves import vector

_MIB = 2**20
_ODD_TENSORS = (
    torch.zeros(0), torch.zeros(2, 2, dtype=torch.int64), torch.ones(3, 12, dtype=torch.int64), torch.ones(12, 4),
    -torch.ones(3, 12, dtype=torch.int64), torch.full((3, 12), 2**62), torch.ones(4, 4, dtype=torch.float64),
)  # fmt: skip


def stream_reader(folder: Path) -> Reader:
    """A saved learner, and what it answers."""
    path, queries = folder / "learner.safetensors", np.stack([vector(number) for number in range(100, 106)])
    examples = np.stack([vector(number) for number in range(12)])
    FastSlowClassifier(None).fit(examples, [f"class {number % 3}" for number in range(12)]).save(path)
    content, (tensors, header) = path.read_bytes(), load_tensors(path)
    odd = tuple(value for value in ODD if value == value)

    def large() -> bytes:
        save_tensors(path, tensors | {"features": torch.ones(31 * _MIB // 4, 4)}, header)
        return path.read_bytes()

    def write(random: Random) -> None:
        if random.randint(0, 1):
            path.write_bytes(damage(content, random))
        elif random.randint(0, 1):
            save_tensors(path, tensors, damage_values(header, random, odd))
        else:
            save_tensors(path, tensors | {random.choice([*tensors, "more"]): random.choice(_ODD_TENSORS)}, header)

    def read() -> tuple[FastSlowClassifier, np.ndarray, np.ndarray]:
        learner = FastSlowClassifier.load(path)
        learner.learn_one(queries[0], "another")
        return learner, learner.predict(queries), learner.novelty(queries)

    original = read()

    def judge(got: Any) -> str:
        learner, answers, novelty = got
        if not set(answers.tolist()) <= set(learner.classes_.tolist()) or np.isnan(novelty).any():
            return f"it answers {answers} with novelty {novelty}"[:300]
        same = learner.examples_ == original[0].examples_ and learner.get_params() == original[0].get_params()
        return "identical" if same and equal(torch.from_numpy(novelty), torch.from_numpy(original[2])) else "different"

    hostile = {"zeros": lambda: 255 * _MIB, "more zeros": lambda: 2**40, "many rows": large}
    return Reader("stream learner", write, read, judge, (path.name,), path, hostile)


def statistics_reader(folder: Path) -> Reader:
    """Statistics of features, as they lie beside a model."""
    path = folder / "model.statistics"
    features = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    save_statistics(path, class_statistics(features, torch.arange(40) % 5), "0", {"data": "x"})
    content, (tensors, header) = path.read_bytes(), load_tensors(path)
    original = load_statistics(path, 3, "0")
    values = (torch.full((3, 3), math.inf), torch.zeros(3), -torch.eye(3), torch.zeros(3, 3), torch.ones(2, 2))

    def write(random: Random) -> None:
        if random.randint(0, 1):
            path.write_bytes(damage(content, random))
            return
        finite = [value for value in values if value.isfinite().all()]
        save_tensors(path, tensors | {random.choice([*tensors, "more"]): random.choice(finite)}, header)

    def judge(got: Any) -> str:
        if got is None or not all(part.isfinite().all() for part in got):
            return f"it is {got}"[:300]
        return "identical" if all(torch.equal(a, b) for a, b in zip(got, original, strict=True)) else "different"

    return Reader("statistics", write, lambda: load_statistics(path, 3, "0"), judge, (path.name,), path,
                  {"zeros": lambda: 31 * _MIB, "more zeros": lambda: 2**40})  # fmt: skip
