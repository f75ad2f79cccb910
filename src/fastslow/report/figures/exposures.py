"""Accuracy on rare classes over the times that they were shown: what is learned at once, and what is lost between."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.report.figures.base import LINES, Frame, canvas, label, save


@dataclasses.dataclass(frozen=True)
class Exposures:
    """A line a learner: right after the first batch of rare classes, right before the second, right after it, ...

    Attributes:
        title: what is shown, one line.
        curves: by learner, shares in turn; None where one is not known. All of one length, at least one of them.
    """

    title: str
    curves: Mapping[str, Sequence[float | None]]

    def __post_init__(self) -> None:
        if len({len(curve) for curve in self.curves.values()}) != 1 or not all(self.curves.values()):
            raise InputError("got no results, or curves of different lengths; there are no lines to draw")

    def frame(self) -> Frame:
        """Columns exposure, moment ("after" it, "before" the next), and one of shares a learner."""
        count = len(next(iter(self.curves.values())))
        places: Frame = {
            "exposure": [1 + index // 2 for index in range(count)],
            "moment": ["before the next" if index % 2 else "right after" for index in range(count)],
        }
        return {**places, **{name: list(curve) for name, curve in self.curves.items()}}

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        figure = canvas(9.0, 5.0)
        axes = figure.subplots()
        for index, (name, curve) in enumerate(self.curves.items()):
            colour, line = LINES[index % len(LINES)]
            x = [1 + place // 2 + 0.9 * (place % 2) for place in range(len(curve))]
            y = [float("nan") if share is None else 100 * share for share in curve]
            axes.plot(x, y, linestyle=line, marker="o", markersize=3, color=colour, label=label(name))
        axes.set_xticks(range(1, 2 + (len(next(iter(self.curves.values()))) - 1) // 2))
        axes.set(ylim=(-2, 102), xlabel="batches of rare classes seen", ylabel="accuracy on rare classes (%)")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
        save(figure, path)
