"""Learning curves while models adapt, after the paper's Fig. 4: squared error against adaptation step."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.report.figures.base import LINES, Frame, canvas, label, save

#: Times the first curve's error at its start, beyond which one is named and not drawn.
_BEYOND = 1.5


@dataclasses.dataclass(frozen=True)
class Adaptation:
    """A line a learner; those that are far worse than the first all the way are named beside the others.

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
        first = max(next(iter(self.curves.values()))[0], 1e-12)  # a toy may have none
        far = [name for name, curve in self.curves.items() if min(curve) > _BEYOND * first]
        drawn = {name: curve for name, curve in self.curves.items() if name not in far}
        for index, (name, curve) in enumerate(drawn.items()):
            colour, line = LINES[index % len(LINES)]
            axes.plot(
                range(len(curve)), curve, linestyle=line, marker="o", markersize=2, color=colour, label=label(name)
            )
        for name in far:
            axes.plot([], [], " ", label=label(f"{name}: {min(self.curves[name]) / first:.3g} times the first"))
        highest = max(max(curve) for curve in drawn.values())  # the first is one of them
        axes.set(xlabel="adaptation steps", ylabel="mean squared error (m²)", title=label(self.title, 90))
        axes.set_ylim(top=min(1.05 * highest, 2 * first))
        axes.locator_params(axis="x", integer=True)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
        save(figure, path)
