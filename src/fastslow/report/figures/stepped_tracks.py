"""Forecasts of a few tracks, step after step of learning, after the paper's Figs. 5 and 9: a picture with a slider.

It is part of a page: lines of all steps are in it as SVG, and a script of a few lines shows those of one step. Where no
script runs, the last step is shown, without the slider.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64

from fastslow.errors import InputError
from fastslow.report.figures.base import BLUE, GREEN, Frame, nice_length
from fastslow.report.html import table, text

#: Of a track's picture, in units of its own; its margin as a share of what is shown, and at least so many metres.
_SIZE, _MARGIN, _LEAST = 260, 0.2, 1.0
_STYLE = """
.steps [data-step]:not(.on) { display: none; } .steps svg { background: white; width: 100%; height: auto; }
.steps .panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(16rem, 42%), 1fr)); gap: .6rem; }
.steps .number { text-align: right; font-variant-numeric: tabular-nums; }
.steps .panels figure { margin: 0; border: 1px solid #8885; border-radius: .3rem; padding: .3rem; }
.steps input { width: min(24rem, 90vw); vertical-align: middle; }
.steps .key { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; }
.steps .key svg { width: 2.4rem; height: .9rem; vertical-align: middle; border-radius: .2rem; }
""".strip()
_SCRIPT = """
{ const box = document.currentScript.closest('.steps'), slider = box.querySelector('input');
  const show = () => {
    for (const part of box.querySelectorAll('[data-step]'))
      part.classList.toggle('on', part.dataset.step === slider.value);
    slider.setAttribute('aria-valuetext', box.querySelector('output').textContent = `${slider.value} of ${slider.max}`);
  };
  slider.value = slider.max; slider.addEventListener('input', show); show();
  box.querySelector('.slider').hidden = false;
}
""".strip()


@dataclasses.dataclass(frozen=True)
class Track:
    """A movement that is forecast.

    Attributes:
        name: what is written above it.
        seen: metres, shape (samples, 2).
        future: what followed, shape (points, 2).
    """

    name: str
    seen: Float64[np.ndarray, "samples 2"]
    future: Float64[np.ndarray, "points 2"]


@dataclasses.dataclass(frozen=True)
class Forecaster:
    """Who forecasts them.

    Attributes:
        name: as it is written.
        colour: of its lines, as SVG takes it.
        dashes: of its lines, likewise; empty for whole ones.
        forecasts: metres, shape (steps, tracks, points, 2).
        off: mean distance of each forecast from what followed, metres, shape (steps, tracks).
        readings: other numbers of it, by what they are: one a step.
    """

    name: str
    colour: str
    dashes: str
    forecasts: Float64[np.ndarray, "steps tracks points 2"]
    off: Float64[np.ndarray, "steps tracks"]
    readings: Mapping[str, Sequence[float]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class SteppedTracks:
    """Tracks side by side; what was seen is blue, what followed green.

    Attributes:
        title: what is shown, one line.
        caption: what else there is to know.
        step: what steps are called, such as "updates".
        tracks: at least one.
        forecasters: at least one, all of as many steps, and of the same readings; the last is drawn above the others.
    """

    title: str
    caption: str
    step: str
    tracks: Sequence[Track]
    forecasters: Sequence[Forecaster]

    def __post_init__(self) -> None:
        shapes = {its.off.shape for its in self.forecasters} | {its.forecasts.shape[:2] for its in self.forecasters}
        counts = {len(numbers) for its in self.forecasters for numbers in its.readings.values()}
        if len(shapes) != 1 or {len(self.tracks)} != {shape[1] for shape in shapes} or not self.tracks:
            raise InputError(f"got forecasts of shapes {sorted(shapes)} of {len(self.tracks)} tracks; one was expected")
        if not counts <= {shape[0] for shape in shapes} or len({tuple(its.readings) for its in self.forecasters}) != 1:
            raise InputError("got readings of some steps or of some forecasters; all of both were expected")

    @property
    def num_steps(self) -> int:
        """Steps, the one before any among them."""
        return int(self.forecasters[0].off.shape[0])

    def frame(self) -> Frame:
        """Columns step, forecaster, its readings, and the distance of its forecast of each track, metres."""
        rows = [
            [step, its.name, *(numbers[step] for numbers in its.readings.values()), *its.off[step].tolist()]
            for step in range(self.num_steps) for its in self.forecasters
        ]  # fmt: skip
        names = ["step", "forecaster", *self.forecasters[0].readings, *(f"{its.name} (m)" for its in self.tracks)]
        return {name: [row[column] for row in rows] for column, name in enumerate(names)}

    def markup(self) -> str:
        """The picture as a part of an HTML page: style, script and all."""
        last = self.num_steps - 1
        slider = (
            f'<p class="slider" hidden><label>{text(self.step)}: <input type="range" min="0" max="{last}" '
            f'value="{last}" step="1"></label> <output>{last} of {last}</output></p>'
        )
        without = (
            f"<noscript><p>Shown: {text(self.step)} {last} of {last}. A script would show the others.</p></noscript>"
        )
        panels = "\n".join(self._panel(number) for number in range(len(self.tracks)))
        return (
            f'<div class="steps">\n<style>\n{_STYLE}\n</style>\n{slider}{without}\n{self._key()}\n'
            f'<div class="panels">\n{panels}\n</div>\n{self._table()}\n<p>{text(self.caption)}</p>\n'
            f"<script>\n{_SCRIPT}\n</script>\n</div>"
        )

    def _key(self) -> str:
        colours = [("seen", BLUE, ""), ("what followed", GREEN, "")]
        colours += [(its.name, its.colour, its.dashes) for its in self.forecasters]
        ends = [(2.0, 9.0), (46.0, 9.0)]
        lines = "\n".join(
            f'<li><svg viewBox="0 0 48 18" aria-hidden="true">{_line(ends, colour, dashes, 4)}</svg> {text(name)}</li>'
            for name, colour, dashes in colours
        )
        return f'<ul class="key">\n{lines}\n</ul>'

    def _panel(self, number: int) -> str:
        track = self.tracks[number]
        view = _View(np.concatenate([track.seen, track.future]))
        name = f"{track.name}: forecasts from where the blue line ends"
        parts = [
            _line(view.places(track.seen), BLUE, "", 4),
            _line(view.places(np.concatenate([track.seen[-1:], track.future])), GREEN, "", 4),
        ]
        for step in range(self.num_steps):
            lines = "".join(
                _line(view.places(np.concatenate([track.seen[-1:], its.forecasts[step, number]])), its.colour,
                      its.dashes, 2)
                for its in self.forecasters
            )  # fmt: skip
            parts.append(f"<g {_of(step, self.num_steps)}>{lines}</g>")
        (x, y), *_ = view.places(track.seen[-1:])
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{BLUE}"/>', view.scale()]
        return (
            f'<figure><svg viewBox="0 0 {_SIZE} {_SIZE}" role="img" aria-label="{text(name)}">' + "\n".join(parts)
            + f"</svg><figcaption>{text(track.name)}</figcaption></figure>"
        )  # fmt: skip

    def _table(self) -> str:
        """What forecasters have reached at the step that is shown."""
        rows = []
        for its in self.forecasters:
            numbers = [*its.readings.values(), its.off.mean(1).tolist()]
            rows.append([text(its.name), *(_by_step(column) for column in numbers)])
        heads = ["forecaster", *self.forecasters[0].readings, "mean distance on these tracks (m)"]
        return table(heads, rows, set(range(1, len(heads))))


class _View:
    """The square of the plane that is shown, north up."""

    def __init__(self, positions: Float64[np.ndarray, "samples 2"]) -> None:
        low, high = positions.min(0), positions.max(0)
        self.span = max(float((high - low).max()) * (1 + 2 * _MARGIN), 2 * _LEAST)
        self.corner = (low + high) / 2 + np.array([-0.5, 0.5]) * self.span  # the upper left one

    def places(self, positions: Float64[np.ndarray, "samples 2"]) -> list[tuple[float, float]]:
        """Where they are in the picture."""
        scaled = (positions - self.corner) * np.array([1.0, -1.0]) * (_SIZE / self.span)
        return [(x, y) for x, y in scaled.round(1).tolist()]

    def scale(self) -> str:
        """A bar of whole metres."""
        length = nice_length(self.span / 4)
        y, end = _SIZE - 10.0, round(10 + length / self.span * _SIZE, 1)
        bar = _line([(10.0, y), (end, y)], "black", "", 3)
        return f'{bar}<text x="10" y="{y - 6:g}" font-size="12">{length:g} m</text>'


def _line(places: Sequence[tuple[float, float]], colour: str, dashes: str, width: int) -> str:
    points = " ".join(f"{x:g},{y:g}" for x, y in places)
    dashed = f' stroke-dasharray="{text(dashes)}"' if dashes else ""
    return f'<polyline points="{points}" fill="none" stroke="{text(colour)}" stroke-width="{width}"{dashed}/>'


def _of(step: int, count: int) -> str:
    """Marks a part of one step; that of the last is shown until a script decides."""
    return f'data-step="{step}"' + (' class="on"' if step == count - 1 else "")


def _by_step(numbers: Sequence[float]) -> str:
    return "".join(f"<span {_of(step, len(numbers))}>{number:.3f}</span>" for step, number in enumerate(numbers))
