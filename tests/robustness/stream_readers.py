"""Readers of what a stream learner and a forecaster save and start from."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch

from fastslow.core.gaussian import class_statistics
from fastslow.core.motion_frames import AlignedFrame
from fastslow.core.motion_network import Layer, MotionNetwork
from fastslow.estimators.forecaster import FastSlowForecaster, Forecast
from fastslow.estimators.statistics import load_statistics, save_statistics
from fastslow.estimators.stream import FastSlowClassifier
from fastslow.tensors import load_tensors, save_tensors
from mutations import ODD, damage, damage_values
from robustness.harness import Reader, equal
from robustness.stream_saves import vector
from track_sample import turning

_MIB = 2**20
#: Beyond what a forecaster has never seen, metres.
_MOST_METRES = 1e15
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


def network_reader(folder: Path) -> Reader:
    """As `forecaster_reader`, of one that has a network."""
    random = np.random.default_rng(0)
    sizes = [2 * AlignedFrame(10.0).num_shown(15), 4, 10]
    layers = [Layer(random.normal(size=pair) / 10, random.normal(size=pair[1]) / 10) for pair in pairwise(sizes)]
    return forecaster_reader(folder, MotionNetwork(layers, rate=10.0, samples=15))


def forecaster_reader(folder: Path, network: MotionNetwork | None = None) -> Reader:
    """A saved forecaster, what it forecasts, and that it learns on."""
    path, (tracks, others) = folder / "forecaster.safetensors", (turning(6), turning(2, seed=1, length=40))
    FastSlowForecaster(rate=10, horizon=0.5, max_slots=8, network=network).fit(tracks).save(path)
    content, (tensors, header) = path.read_bytes(), load_tensors(path)
    odd = tuple(value for value in ODD if value == value)

    def changed(part: torch.Tensor, random: Random) -> torch.Tensor:
        new = part.clone()
        new.view(-1)[random.randrange(new.numel())] = random.choice([0.0, -1.0, 0.5, 5.0, 1e9, 1e20, 1e300, -1e300])
        return random.choice([new, new, new, part[:-1], part.float(), -part, part * 1e160, random.choice(_ODD_TENSORS)])

    def write(random: Random) -> None:
        if random.randint(0, 1):
            path.write_bytes(damage(content, random))
        elif random.randint(0, 1):
            save_tensors(path, tensors, damage_values(header, random, odd))
        else:
            name = random.choice(sorted(tensors))
            new = {name: changed(tensors[name], random)} if random.randint(0, 9) else {"more": torch.zeros(3)}
            finite = all(part.isfinite().all() for part in new.values())
            save_tensors(path, tensors | new if finite else {}, header)

    def read() -> tuple[FastSlowForecaster, list[Forecast]]:
        forecaster = FastSlowForecaster.load(path)
        starts = others.starts.tolist()
        for row in range(starts[-1]):
            forecaster.update(others.names[others.track[row]], others.times[row], *others.positions[row])
        ready = [name for name in others.names if forecaster.ready(name)]
        return forecaster, [forecaster.predict(name) for name in ready]

    original = read()

    def judge(got: Any) -> str:
        forecaster, forecasts = got
        memory = forecaster.rule_.memory
        if memory.size > forecaster.max_slots or memory.counts.sum() != memory.num_written:
            return f"it has {memory.size} slots of {memory.counts} errors, {memory.num_written} in all"
        for forecast in forecasts:
            parts = (forecast.positions, forecast.plain, forecast.spread)
            fits = all(np.isfinite(part).all() and np.abs(part).max() < _MOST_METRES for part in parts)
            if not fits or not 0 <= forecast.evidence <= memory.num_written or (forecast.spread < 0).any():
                return f"it forecasts {forecast}"[:300]
        same = len(forecasts) == len(original[1]) and all(
            np.array_equal(one, other) for pair in zip(forecasts, original[1], strict=True)
            for one, other in zip(*pair, strict=True)
        )  # fmt: skip
        return "identical" if same and forecaster.rate == original[0].rate else "different"

    def large() -> bytes:
        parts = {"errors": torch.zeros(2**23 // 8, 5, 2, dtype=torch.float64)}
        save_tensors(path, tensors | parts, header)
        return path.read_bytes()

    def full() -> bytes:
        forecaster = FastSlowForecaster(rate=1000, horizon=1.0, max_slots=4096)
        memory = forecaster.rule_.memory
        arrays = {
            name: np.zeros(part.shape if len(part) else (4096, *part.shape[1:]))  # an empty memory has no slots
            for name, part in memory.arrays().items()
        }
        keys = np.arange(4096 * 6.0).reshape(4096, 6)
        memory.restore(arrays | {"keys": keys, "counts": np.ones(4096)}, 4096)
        forecaster.save(path)
        return path.read_bytes()

    hostile = {"zeros": lambda: 255 * _MIB, "more zeros": lambda: 2**40, "other shapes": large, "all slots": full}
    return Reader("forecaster", write, read, judge, (path.name,), path, hostile)


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
