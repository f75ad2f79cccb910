"""Road users (the paper's Sec. 4.2): ten are learned from, as there; or each is, one after another, once forecast."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastslow.core.motion import Widths, samples_needed
from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.duplicates import each_movement_once
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.registry import load_tracks
from fastslow.data.tracks.resample import Windows, first_pieces, resampled, windows_of
from fastslow.errors import InputError, shown
from fastslow.estimators.forecaster import FastSlowForecaster
from fastslow.protocol.result import Cell, Interval, Result
from fastslow.report.figures.adaptation import Adaptation
from fastslow.report.tables import mean_over_seeds
from fastslow.studies.base import Budget, Page, Table
from fastslow.studies.drawn import Notes, learned, write_drawn
from fastslow.studies.measuring import Measured, budget_of, result_of
from fastslow.studies.ten_tracks import LEARNERS, QUICK, errors_of, measured, remembering_mlp, shown_ten
from fastslow.studies.track_drawings import with_drawings
from fastslow.studies.track_learners import SEEN, STEPS, Setting, TrackLearner, rows_of
from fastslow.studies.track_networks import Supervised, mlp
from fastslow.studies.track_slow import QuickAndSlow
from fastslow.studies.trajectories_page import drawn_of, is_drawn

#: By rate, Hz: 50 samples are two or four seconds.
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
        seeds: how many: of weights, of what is drawn or the order in which it comes and, on junctions, of the place.
        effort: share of the usual steps of training.
        networks: rows of the stream beside `METHODS`.
        steps: of adaptation to ten.
        ten: rows of that protocol.
    """

    data: str
    seeds: int
    effort: float
    networks: tuple[str, ...]
    steps: int
    ten: tuple[str, ...]


_Maker = Callable[..., FastSlowForecaster]


def _quick_and_slow(setting: Setting, *, written: bool = True) -> QuickAndSlow:
    return QuickAndSlow(setting, remembering_mlp(setting, stream=True, slots=256), written=written)


#: Forecasters by the name of their row.
METHODS: dict[str, _Maker] = {
    "constant-velocity": FastSlowForecaster,
    "damped": FastSlowForecaster,
    "memory": FastSlowForecaster,
    "memory-2048": functools.partial(FastSlowForecaster, max_slots=2048),
    "memory-without-place": functools.partial(FastSlowForecaster, widths=Widths(place=1e6)),
}
#: Networks in a stream, by the name of their row: the control by backpropagation, and a memory on one that rests, its
#: slots with slopes and a line beside, with slopes alone, or means; and a second network that learns what the memory
#: leaves, and all that the first leaves.
#: Rates of 3e-4 to 2e-3 were level in streams of held-out cyclists and of junctions at 25 Hz; 1e-3 was best at 12.5 Hz.
NETWORKS: dict[str, Callable[[Setting], TrackLearner]] = {
    "replayed-mlp": functools.partial(Supervised, make=mlp, adapt_rate=1e-3, replay=True),
    "mlp": functools.partial(Supervised, make=mlp),
    "memory-on-mlp": functools.partial(remembering_mlp, stream=True),
    "memory-256-on-mlp": functools.partial(remembering_mlp, stream=True, slots=256),
    "memory-slopes-on-mlp": functools.partial(remembering_mlp, stream=True, line=False),
    "memory-slopes-256-on-mlp": functools.partial(remembering_mlp, stream=True, slots=256, line=False),
    "memory-means-on-mlp": functools.partial(remembering_mlp, stream=True, slopes=False, line=False),
    "memory-means-256-on-mlp": functools.partial(remembering_mlp, stream=True, slots=256, slopes=False, line=False),
    "memory-256-and-slow-on-mlp": _quick_and_slow,
    "slow-on-mlp": functools.partial(_quick_and_slow, written=False),
}
#: Those of the smallest budget.
_QUICK_NETWORKS = ("replayed-mlp", "mlp", "memory-on-mlp", "memory-256-on-mlp", "memory-256-and-slow-on-mlp")
#: By budget.
PLANS: dict[Budget, Plan] = {
    "quick": Plan("junction", 2, 0.1, _QUICK_NETWORKS, 5, QUICK),
    "cpu": Plan("vru", 5, 1.0, tuple(NETWORKS), 20, tuple(LEARNERS)),
    "paper": Plan("vru", 5, 1.0, tuple(NETWORKS), 20, tuple(LEARNERS)),
}
#: Seconds from one window that they are trained on to the next, and from one moment that they learn to the next.
_EVERY, _MOMENTS = 0.4, 0.2
#: Those that are told nothing of the pedestrians, and the one that is told nothing of the cyclists either.
_FROZEN, _UNTOLD = ("constant-velocity", "damped"), "constant-velocity"
#: Tracks of a made-up junction.
_TRACKS = 400


class TrajectoriesStudy:
    """Two protocols: of ten tracks, see `ten_tracks`; of a stream, in which each track is forecast, then learned."""

    name = "trajectories"

    def cells(self, budget: Budget, data: str | None = None) -> list[Cell]:
        """See `Study.cells`."""
        data = data or PLANS[budget].data
        if data not in _FIRST:
            raise InputError(f"got data={shown(data)}; study {self.name} runs on {' or '.join(_FIRST)}")
        plan = PLANS[budget]
        cells = []
        for seed in range(plan.seeds):
            for task in _RATES:
                stream = {"task": task, "protocol": "stream", "first": _FIRST[data][task]}
                cells += [Cell(self.name, method, data, stream, seed) for method in METHODS]
                trained = {**stream, "effort": plan.effort}
                cells += [Cell(self.name, method, data, trained, seed) for method in plan.networks]
                ten = {"task": task, "protocol": "ten", "steps": plan.steps, "effort": plan.effort}
                cells += [Cell(self.name, method, data, ten, seed) for method in plan.ten]
        return cells

    def run(self, cell: Cell, folder: Path) -> Result:
        """See `Study.run`.

        Raises:
            ValueError: if it is no cell of this study.
        """
        measure = functools.partial(_measured, folder=folder)
        return result_of(self, PLANS, cell, measure, options=f"--methods {cell.method}")

    def page(self, results: Sequence[Result]) -> Page:
        """See `Study.page`."""
        of = {name: [r for r in results if r.cell.options["protocol"] == name] for name in ("ten", "stream")}
        tables: list[Table] = []
        figures: list[Adaptation] = []
        if of["ten"]:
            table, figures = shown_ten(of["ten"], functools.partial(_ratio, of["ten"]))
            tables.append(table)
        if of["stream"]:
            tables.append(_shown_stream(of["stream"]))
        return Page("Trajectories (Sec. 4.2)", tables, figures)

    def illustrated(self, results: Sequence[Result], runs: Path) -> Page:
        """See `Illustrated.illustrated`."""
        budget = budget_of(self, PLANS, *(result.cell for result in results))
        return with_drawings(self.page(results), drawn_of(results), runs, budget)


def _measured(cell: Cell, plan: Plan, *, folder: Path) -> Measured:
    rate, before_and_then = _RATES[str(cell.options["task"])], _tracks(cell.data, cell.seed)
    numbers_of = _ten_numbers if cell.options["protocol"] == "ten" else _stream_numbers
    return numbers_of(cell, *before_and_then, Setting(rate, cell.seed, plan.effort), folder)


def _shown_stream(results: Sequence[Result]) -> Table:
    rows = []
    for data in dict.fromkeys(result.cell.data for result in results):
        for task in _RATES:
            its = [r for r in results if (r.cell.data, r.cell.options["task"]) == (data, task)]
            for method in (*METHODS, *NETWORKS):
                found = [result for result in its if result.cell.method == method]
                if found:
                    columns = [mean_over_seeds([r.numbers[n] for r in found], unit=False) for n in ("ade", "fde")]
                    rows.append([f"{data}, {task}", method, *columns, _ratio(results, found, "mse")])
    title = "Pedestrians in a stream: distance from where they then were, and squared error over constant velocity's"
    return Table(title, ["tracks", "forecaster", "mean (m)", "at the horizon (m)", "ratio of squares"], rows)


def _tracks(data: str, seed: int) -> tuple[TrackData, TrackData]:
    """Those from before, and those that come then: each movement once."""
    tracks = (
        make_junction(sites=1, tracks_per_site=_TRACKS, seed=seed) if data == "junction" else _each_movement_once(data)
    )
    return tracks.of_kind(_BEFORE), tracks.of_kind(_THEN)


@functools.lru_cache(maxsize=1)
def _each_movement_once(data: str) -> TrackData:
    return each_movement_once(load_tracks(data))


def _ten_numbers(
    cell: Cell, before: TrackData, then: TrackData, setting: Setting, folder: Path
) -> tuple[dict[str, Interval], dict[str, Any]]:
    """Before adaptation, after each step and at the end."""
    notes = Notes(setting.rate) if is_drawn(cell) else None
    found = measured(cell.method, before, then, setting, int(str(cell.options["steps"])), notes)
    if notes is not None:
        write_drawn(folder, notes.arrays())
    return found


def _stream_numbers(
    cell: Cell, before: TrackData, then: TrackData, setting: Setting, folder: Path
) -> tuple[dict[str, Interval], dict[str, Any]]:
    """Of tracks from the first that counts on."""
    first = int(str(cell.options["first"]))
    if cell.method in NETWORKS:
        errors = _streamed_network(cell.method, before, then, setting)
    else:
        keep = functools.partial(_leave, then, folder) if is_drawn(cell) else None
        errors = _streamed(cell.method, before, then, setting.rate, setting.seed, keep)
    if len(errors) <= first:
        raise InputError(
            f"got {len(errors)} tracks of {cell.data} that are long enough; more than {first} were expected"
        )
    numbers = {
        name: Interval.of(errors[first:, column].tolist(), unit)
        for column, (name, unit) in enumerate((("mse", "m^2"), ("ade", "m"), ("fde", "m")))
    }
    return numbers, {"tracks": len(errors), "counted": len(errors) - first, "seen": SEEN, "steps": STEPS}


def _leave(then: TrackData, folder: Path, forecaster: FastSlowForecaster) -> None:
    write_drawn(folder, learned(forecaster, then))


def _streamed(
    method: str,
    before: TrackData,
    then: TrackData,
    rate: float,
    seed: int,
    on_end: Callable[[FastSlowForecaster], object] | None = None,
) -> np.ndarray:
    """Squared, mean and last error of each track's forecast, shape (tracks, 3), in the order in which they come."""
    forecaster = METHODS[method](rate=rate, horizon=STEPS / rate)
    if method != _UNTOLD:
        damping = METHODS["damped"](rate=rate, horizon=STEPS / rate).fit(before).rule_.damping
        forecaster.rule_.damping = damping
    even = resampled(then, rate)
    windows = windows_of(even, seen=SEEN, future=STEPS)
    errors = []
    for row in _order(then, even, windows, seed):
        past = windows.seen[row][None, -samples_needed(rate) :]
        off = np.hypot(*(forecaster.rule_.forecast(past).positions[0] - windows.future[row]).T)
        errors.append((np.square(off).mean(), off.mean(), off[-1]))
        if method not in _FROZEN:
            forecaster.partial_fit(even.select([int(windows.track[row])]))
    if on_end is not None:
        on_end(forecaster)
    return np.array(errors).reshape(-1, 3)


def _streamed_network(method: str, before: TrackData, then: TrackData, setting: Setting) -> np.ndarray:
    """As `_streamed`; the network is trained on all tracks from before."""
    learner = NETWORKS[method](setting)
    known, even = resampled(before, setting.rate), resampled(then, setting.rate)
    learner.train(windows_of(known, seen=SEEN, future=STEPS, every=round(_EVERY * setting.rate)))
    windows = windows_of(even, seen=SEEN, future=STEPS)
    moments = windows_of(even, seen=SEEN, future=STEPS, every=round(_MOMENTS * setting.rate))
    errors = []
    for row in _order(then, even, windows, setting.seed):
        errors.append(errors_of(learner, rows_of(windows, np.array([row])))[0])
        learner.adapt_step(rows_of(moments, np.flatnonzero(moments.track == windows.track[row])))
    return np.array(errors).reshape(-1, 3)


def _order(then: TrackData, even: TrackData, windows: Windows, seed: int) -> Sequence[int]:
    """Rows of the first windows, one a track, in the order in which they come."""
    whole = np.flatnonzero(np.isin(windows.track, first_pieces(then, even)))
    order: list[int] = np.random.default_rng(seed).permutation(whole).tolist()
    return order


def _ratio(results: Sequence[Result], found: Sequence[Result], name: str) -> str:
    """To constant velocity's of the same data, task and seed; mean and standard error."""
    plain = {
        (r.cell.data, r.cell.options["task"], r.cell.seed): r.numbers["mse"].mean
        for r in results
        if r.cell.method == _UNTOLD
    }
    pairs = [(r.numbers[name].mean, plain.get((r.cell.data, r.cell.options["task"], r.cell.seed))) for r in found]
    ratios: list[Any] = [mine / other for mine, other in pairs if other]
    if not ratios:
        return "-"
    spread = f" ± {np.std(ratios, ddof=1) / math.sqrt(len(ratios)):.3f}" if len(ratios) > 1 else ""
    return f"{np.mean(ratios):.3f}{spread}"


STUDY = TrajectoriesStudy()
