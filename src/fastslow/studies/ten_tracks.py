"""The paper's own protocol for tracks (Sec. 4.2): trained on cyclists, adapted to ten pedestrians, asked about others.

Learning rates, steps and the like were chosen on junctions and on cyclists that were held out; pedestrians of `vru`
chose nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.resample import Windows, first_pieces, resampled, windows_of
from fastslow.errors import InputError
from fastslow.protocol.result import Interval, Result
from fastslow.report.figures.adaptation import Adaptation
from fastslow.report.tables import COURSE, mean_over_seeds
from fastslow.studies.drawn import Notes
from fastslow.studies.page import Table
from fastslow.studies.track_learners import (
    SEEN,
    STEPS,
    Damped,
    Kalman,
    Line,
    Remembering,
    Ridge,
    Setting,
    TrackLearner,
    first_of_each,
    rows_of,
)  # fmt: skip
from fastslow.studies.track_meta import MAML, MetaNet
from fastslow.studies.track_networks import MLP, Online, Seq2Seq, Supervised, literal_network, mlp

#: Tracks that are trained on, at most, and tracks that are adapted to.
TRAINED, TEN = 150, 10
#: Seconds from one window of training to the next, and from one moment of the ten to the next.
_EVERY, _MOMENTS = 0.4, 0.2


def remembering_mlp(setting: Setting, **options: Any) -> Remembering:  # noqa: ANN401
    """The network of two hidden layers as it was trained, and a memory of its errors, see `Remembering`."""
    base = Supervised(setting, mlp)
    return Remembering(setting, base, hidden=base.hidden, num_hidden=MLP, **options)


#: Learners by the name of their row.
LEARNERS: dict[str, Callable[[Setting], TrackLearner]] = {
    "constant-velocity": functools.partial(Damped, fitted=False),
    "damped": Damped,
    "linear": Line,
    "kalman": Kalman,
    "ridge": Ridge,
    "literal-nmn": functools.partial(literal_network, fast=False, relu=True),
    "literal-fast": functools.partial(literal_network, fast=True, relu=True),
    "literal-nmn-linear": functools.partial(literal_network, fast=False),
    "literal-fast-linear": functools.partial(literal_network, fast=True),
    "memory-network": functools.partial(Online, fast=False),
    "memory-network-fast": functools.partial(Online, fast=True),
    "maml": MAML,
    "mamlpp": functools.partial(MAML, plus=True),
    "metanet": MetaNet,
    "seq2seq": functools.partial(Supervised, make=Seq2Seq, steps=800, rate=5e-3, adapt_rate=3e-4),
    "mlp": functools.partial(Supervised, make=mlp),
    "mlp-finetuned": functools.partial(Supervised, make=mlp, adapt_rate=1e-3),
    "memory": lambda setting: Remembering(setting, Damped(setting)),
    "memory-on-mlp": remembering_mlp,
    "memory-slopes-on-mlp": functools.partial(remembering_mlp, line=False),
    "memory-means-on-mlp": functools.partial(remembering_mlp, slopes=False, line=False),
}
#: Those of the smallest budget.
QUICK = ("constant-velocity", "damped", "kalman", "literal-nmn", "memory-network", "mlp-finetuned", "memory-on-mlp")
#: The one that others are compared with.
_PLAIN = "constant-velocity"
_COLUMNS = (("mse", "m^2"), ("ade", "m"), ("fde", "m"))


def measured(
    method: str, before: TrackData, then: TrackData, setting: Setting, steps: int, notes: Notes | None = None
) -> tuple[dict[str, Interval], dict[str, Any]]:
    """Trains, adapts and asks.

    Args:
        method: in `LEARNERS`.
        before: tracks of the kind that is trained on, each movement once; at most `TRAINED` of them are.
        then: of the other kind; ten are drawn by the seed, and the first window of each other track is asked about.
        setting: see `Setting`.
        steps: of adaptation.
        notes: of what is forecast after each step.

    Returns:
        Errors after adaptation, before it, and squared ones after each step, on others and on the ten; and facts.

    Raises:
        ValueError: if there are too few tracks.
    """
    training = training_windows(before, setting)
    ten, others = drawn_ten(then, setting)
    learner = LEARNERS[method](setting)
    learner.train(training)
    first = first_of_each(ten)
    numbers: dict[str, Interval] = {}
    course: dict[str, Interval] = {}
    for step in range(steps + 1):
        if step:
            learner.adapt_step(ten)
        errors = errors_of(learner, others)
        if notes is not None:
            notes.add(others, learner.forecast)
        when = {0: ", before", steps: ""}.get(step)
        if when is not None:
            numbers |= {
                name + when: Interval.of(errors[:, k].tolist(), unit) for k, (name, unit) in enumerate(_COLUMNS)
            }
        course[course_name(step)] = Interval.of(errors[:, 0].tolist(), COURSE)
        course[course_name(step, ten=True)] = Interval.of(errors_of(learner, first)[:, 0].tolist(), COURSE)
    # How many windows these tracks have depends on which they are, and so on the seed: not facts that all seeds share.
    facts = {
        "trained": len(np.unique(training.track)), "ten": TEN, "counted": len(others.track), "seen": SEEN,
        "steps": STEPS,
    }  # fmt: skip
    after = {name: numbers[name] for name, _ in _COLUMNS}
    return after | numbers | course, facts


def course_name(step: int, *, ten: bool = False) -> str:
    """What the squared error after a step is called, on other tracks or on the ten themselves."""
    return f"mse{' of the ten' if ten else ''}, step {step}"


def training_windows(before: TrackData, setting: Setting) -> Windows:
    """Windows of at most `TRAINED` tracks drawn by the seed, one every `_EVERY` seconds."""
    windows = windows_of(resampled(before, setting.rate), seen=SEEN, future=STEPS, every=round(_EVERY * setting.rate))
    tracks = np.random.default_rng(setting.seed).permutation(np.unique(windows.track))[:TRAINED]
    if len(tracks) < 2:
        raise InputError(f"got {len(tracks)} tracks to train on that are long enough; at least 2 were expected")
    return rows_of(windows, np.isin(windows.track, tracks))


def drawn_ten(then: TrackData, setting: Setting) -> tuple[Windows, Windows]:
    """All moments of ten tracks drawn by the seed, and the first window of each other track."""
    tracks = resampled(then, setting.rate)
    first = windows_of(tracks, seen=SEEN, future=STEPS)
    whole = first.track[np.isin(first.track, first_pieces(then, tracks))]
    if len(whole) <= TEN:
        raise InputError(f"got {len(whole)} tracks that are long enough; more than {TEN} were expected")
    drawn = np.random.default_rng(setting.seed).permutation(whole)
    moments = windows_of(tracks, seen=SEEN, future=STEPS, every=round(_MOMENTS * setting.rate))
    others = np.isin(first.track, drawn[TEN:])
    return rows_of(moments, np.isin(moments.track, drawn[:TEN])), rows_of(first, others)


def errors_of(learner: TrackLearner, windows: Windows) -> np.ndarray:
    """Squared, mean and last error of each forecast, m^2, m and m, shape (windows, 3)."""
    off = np.hypot(*np.moveaxis(learner.forecast(windows.seen) - windows.future, 2, 0))
    return np.stack([np.square(off).mean(1), off.mean(1), off[:, -1]], 1)


def shown_ten(
    results: Sequence[Result], ratio: Callable[[Sequence[Result], str], str]
) -> tuple[Table, list[Adaptation]]:
    """The table and the learning curves of this protocol.

    Args:
        results: at least one, of this protocol.
        ratio: of the numbers of a name to constant velocity's, in words.
    """
    rows, figures = [], []
    for (data, task), its in by_tracks(results).items():
        curves: dict[str, list[float]] = {}
        for method, found in its.items():
            steps = int(str(found[0].cell.options["steps"]))
            of = functools.partial(_mean, found)
            errors = [of(name + when) for name in ("ade", "fde") for when in (", before", "")]
            ratios = [ratio(found, name) for name in ("mse, before", course_name(1), "mse")]
            rows.append([f"{data}, {task}", method, *ratios, *errors])
            names = [course_name(step) for step in range(steps + 1)]
            curves[method] = [float(np.mean([r.numbers[name].mean for r in found])) for name in names]
        longest = max(len(curve) for curve in curves.values())
        curves = {name: curve for name, curve in curves.items() if len(curve) == longest}
        figures.append(Adaptation(f"Squared error on other pedestrians while ten are learned ({data}, {task})", curves))
    title = (
        f"{TEN} pedestrians after cyclists, as in the paper: squared error on others over constant velocity's, before "
        "adaptation, after a step and after all; and distance from where they then were"
    )
    heads = ["tracks", "learner", *(f"ratio {when}" for when in ("before", "after a step", "after all"))]
    heads += [f"{what} {when} (m)" for what in ("mean", "at the horizon") for when in ("before", "after")]
    return Table(title, heads, rows), figures


def by_tracks(results: Sequence[Result]) -> dict[tuple[str, str], dict[str, list[Result]]]:
    """Results by data and task, then by method in the order of `LEARNERS`."""
    found: dict[tuple[str, str], dict[str, list[Result]]] = {}
    order: Mapping[str, int] = {name: number for number, name in enumerate(LEARNERS)}
    for result in sorted(results, key=lambda result: order.get(result.cell.method, len(order))):
        where = found.setdefault((result.cell.data, str(result.cell.options["task"])), {})
        where.setdefault(result.cell.method, []).append(result)
    return found


def _mean(found: Sequence[Result], name: str) -> str:
    return mean_over_seeds([result.numbers[name] for result in found], unit=False)
