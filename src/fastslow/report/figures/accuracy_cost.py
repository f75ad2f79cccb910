"""Accuracy against what it costs to learn a task, one point a method."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.protocol.result import Interval
from fastslow.report.figures.base import BLUE, Frame, canvas, label, lift_apart, save


@dataclasses.dataclass(frozen=True)
class AccuracyAgainstCost:
    """Accuracies, with their 95 % intervals, over milliseconds on a logarithmic axis.

    Attributes:
        title: what is shown, one line.
        points: name, milliseconds and accuracy of each; at least one.
    """

    title: str
    points: Sequence[tuple[str, float, Interval]]

    def __post_init__(self) -> None:
        if not self.points:
            raise InputError("got no results; there are no points to draw")

    def frame(self) -> Frame:
        """Columns name, milliseconds, accuracy and half_width; accuracies are shares."""
        names, milliseconds, numbers = (list(column) for column in zip(*self.points, strict=True))
        return {
            "name": names, "milliseconds": milliseconds,
            "accuracy": [n.mean for n in numbers], "half_width": [n.half_width for n in numbers],
        }  # fmt: skip

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        figure = canvas(8.0, 5.0)
        axes = figure.subplots()
        names = []
        for name, milliseconds, number in self.points:
            half = None if number.half_width is None else 100 * number.half_width
            axes.errorbar(milliseconds, 100 * number.mean, yerr=half, fmt="o", color=BLUE, capsize=3)
            place = (milliseconds, 100 * number.mean)
            names.append(axes.annotate(label(name), place, xytext=(6, 4), textcoords="offset points", fontsize=9))
        axes.set(xscale="log", xlabel="to learn one task, milliseconds on one thread", ylabel="accuracy (%)")
        axes.margins(x=0.2, y=0.1)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        lift_apart(figure, names)
        save(figure, path)
