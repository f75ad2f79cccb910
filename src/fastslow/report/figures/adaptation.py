"""Learning curves while models adapt, after the paper's Fig. 4: squared error against adaptation step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.report.figures.base import BLUE, GREEN, GREY, ORANGE, RED, Frame, canvas, label, save

_STYLES = [(colour, line) for line in ("-", "--", ":", "-.") for colour in (RED, BLUE, GREEN, ORANGE, GREY)]


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """A line a learner, on a logarithmic axis: errors differ by factors of hundreds.

    Attributes:
        title: what is shown, one line.
        curves: by learner, squared errors from before the first step on, m^2. All of one length, at least one of them.
    """

    title: str
    curves: Mapping[str, Sequence[float]]

    def __post_init__(self) -> None:
        if len({len(curve) for curve in self.curves.values()}) != 1 or not all(self.curves.values()):
            raise InputError("got no results, or curves of different lengths; there are no lines to draw")

    def frame(self) -> Frame:
        """Columns step, and one of squared errors a learner."""
        steps = range(len(next(iter(self.curves.values()))))
        return {"step": list(steps), **{name: list(curve) for name, curve in self.curves.items()}}

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        figure = canvas(9.0, 5.0)
        axes = figure.subplots()
        for index, (name, curve) in enumerate(self.curves.items()):
            colour, line = _STYLES[index % len(_STYLES)]
            axes.plot(range(len(curve)), curve, line, marker="o", markersize=3, color=colour, label=label(name))
        axes.set(yscale="log", xlabel="adaptation steps", ylabel="mean squared error (m²)", title=label(self.title, 90))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
        save(figure, path)
