"""Road users that arrive one after another: each is forecast, and then learned from (after the paper's Sec. 4.2)."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastslow.core.motion import Widths, samples_needed
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.duplicates import each_movement_once
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.registry import load_tracks
from fastslow.data.tracks.resample import first_pieces, resampled, windows_of
from fastslow.errors import InputError, shown
from fastslow.estimators.forecaster import FastSlowForecaster
from fastslow.protocol.provenance import peak_memory_mib, processor_name, versions
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.shipped import budget_of

#: Samples that are seen before a forecast, and samples of one: by rate, Hz, two or four seconds each.
_SEEN = _STEPS = 50
_RATES = {"25 Hz": 25.0, "12.5 Hz": 12.5}
#: What is learned first, as far as anything is, and what comes then.
_BEFORE, _THEN = "cyclist", "pedestrian"
#: Data that there is such a study on, and how many pedestrians of them do not count yet, by rate.
_FIRST = {"junction": {"25 Hz": 50, "12.5 Hz": 50}, "vru": {"25 Hz": 300, "12.5 Hz": 100}}


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget is.

    Attributes:
        data: that it is for.
        seeds: how many: of the order in which they come and, on junctions, of the place.
    """

    data: str
    seeds: int


#: By budget.
PLANS: dict[Budget, Plan] = {"quick": Plan("junction", 2), "cpu": Plan("vru", 5), "paper": Plan("vru", 5)}
_Maker = Callable[..., FastSlowForecaster]
#: Forecasters by the name of their row.
METHODS: dict[str, _Maker] = {
    "constant-velocity": FastSlowForecaster,
    "damped": FastSlowForecaster,
    "memory": FastSlowForecaster,
    "memory-2048": functools.partial(FastSlowForecaster, max_slots=2048),
    "memory-without-place": functools.partial(FastSlowForecaster, widths=Widths(place=1e6)),
}
#: Those that are told nothing of the pedestrians, and the one that is told nothing of the cyclists either.
_FROZEN, _UNTOLD = ("constant-velocity", "damped"), "constant-velocity"
#: Tracks of a made-up junction.
_TRACKS = 400


class TrajectoriesStudy:
    """The stream protocol: the first window of each track is forecast before any of the track is learned."""

    name = "trajectories"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        data = data or PLANS[budget].data
        if data not in _FIRST:
            raise InputError(f"got data={shown(data)}; study {self.name} runs on {' or '.join(_FIRST)}")
        options = {task: {"task": task, "protocol": "stream", "first": _FIRST[data][task]} for task in _RATES}
        return [
            Cell(self.name, method, data, options[task], seed)
            for seed in range(PLANS[budget].seeds) for task in _RATES for method in METHODS
        ]  # fmt: skip

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        budget = budget_of(self, PLANS, cell)
        began = time.monotonic()
        rate, first = _RATES[str(cell.options["task"])], int(str(cell.options["first"]))
        before, then = _tracks(cell.data, cell.seed)
        errors = _streamed(cell.method, before, then, rate, cell.seed)
        if len(errors) <= first:
            raise InputError(
                f"got {len(errors)} tracks of {cell.data} that are long enough; more than {first} were expected"
            )
        numbers = {
            name: Interval.of(errors[first:, column].tolist(), unit)
            for column, (name, unit) in enumerate((("mse", "m^2"), ("ade", "m"), ("fde", "m")))
        }
        provenance = Provenance(
            command=f"fastslow reproduce {self.name} --budget {budget} --data {cell.data} --methods {cell.method}",
            versions=versions(), processor=processor_name(), seconds=round(time.monotonic() - began, 2),
            peak_memory_mib=peak_memory_mib(),
            protocol={"tracks": len(errors), "counted": len(errors) - first, "seen": _SEEN, "steps": _STEPS},
        )  # fmt: skip
        return Result(cell, numbers, provenance)

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        rows = []
        for data in dict.fromkeys(result.cell.data for result in results):
            for task in _RATES:
                its = [r for r in results if (r.cell.data, r.cell.options["task"]) == (data, task)]
                plain = {r.cell.seed: r.numbers["mse"].mean for r in its if r.cell.method == _UNTOLD}
                for method in METHODS:
                    found = [result for result in its if result.cell.method == method]
                    if found:
                        columns = [mean_over_seeds([r.numbers[name] for r in found]) for name in ("ade", "fde")]
                        rows.append([f"{data}, {task}", method, *columns, _ratio(found, plain)])
        title = (
            "Pedestrians in a stream: distance from where they then were, and squared error over constant velocity's"
        )
        table = Table(title, ["tracks", "forecaster", "mean", "at the horizon", "ratio of squares"], rows)
        return Page("Trajectories (after Sec. 4.2)", [table])


def _tracks(data: str, seed: int) -> tuple[TrackData, TrackData]:
    """Those from before, and those that come then: each movement once."""
    tracks = (
        make_junction(sites=1, tracks_per_site=_TRACKS, seed=seed) if data == "junction" else _each_movement_once(data)
    )
    return tracks.of_kind(_BEFORE), tracks.of_kind(_THEN)


@functools.lru_cache(maxsize=1)
def _each_movement_once(data: str) -> TrackData:
    return each_movement_once(load_tracks(data))


def _streamed(method: str, before: TrackData, then: TrackData, rate: float, seed: int) -> np.ndarray:
    """Squared, mean and last error of each track's forecast, shape (tracks, 3), in the order in which they come."""
    forecaster = METHODS[method](rate=rate, horizon=_STEPS / rate)
    if method != _UNTOLD:
        known = resampled(before, rate)
        damping = METHODS["damped"](rate=rate, horizon=_STEPS / rate).fit(known).rule_.damping
        forecaster.rule_.damping = damping
    even = resampled(then, rate)
    windows, whole = windows_of(even, seen=_SEEN, future=_STEPS), first_pieces(then, even)
    errors = []
    for row in np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(windows.track, whole))):
        past = windows.seen[row][None, -samples_needed(rate) :]
        off = np.hypot(*(forecaster.rule_.forecast(past).positions[0] - windows.future[row]).T)
        errors.append((np.square(off).mean(), off.mean(), off[-1]))
        if method not in _FROZEN:
            forecaster.partial_fit(even.select([int(windows.track[row])]))
    return np.array(errors).reshape(-1, 3)


def _ratio(found: Sequence[Result], plain: Mapping[int, float]) -> str:
    """Paired by seed; mean and standard error."""
    ratios: list[Any] = [r.numbers["mse"].mean / plain[r.cell.seed] for r in found if plain.get(r.cell.seed)]
    if not ratios:
        return "-"
    spread = f" ± {np.std(ratios, ddof=1) / math.sqrt(len(ratios)):.3f}" if len(ratios) > 1 else ""
    return f"{np.mean(ratios):.3f}{spread}"


STUDY = TrajectoriesStudy()
