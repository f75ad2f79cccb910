"""Error of a network that is taught now and then, over the iterations of another one (the paper's Fig. 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.report.figures.base import LINES, Frame, canvas, label, save


@dataclasses.dataclass(frozen=True)
class UpdateCurves:
    """A line a learner: before any update, and right after each.

    Attributes:
        title: what is shown, one line.
        iterations: of the other network, at each point; the first is 0, the others are those of updates.
        curves: by learner, an error a point, in units of what the line at 1 is; None where one is not known.
        unit: what the line at 1 is.
    """

    title: str
    iterations: Sequence[int]
    curves: Mapping[str, Sequence[float | None]]
    unit: str

    def __post_init__(self) -> None:
        if {len(curve) for curve in self.curves.values()} != {len(self.iterations)} or not self.iterations:
            raise InputError("got no results, or curves of different lengths; there are no lines to draw")

    def frame(self) -> Frame:
        """Columns iterations, and one of errors a learner."""
        return {"iterations": list(self.iterations), **{name: list(curve) for name, curve in self.curves.items()}}

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        figure = canvas(9.0, 5.5)
        axes = figure.subplots()
        for index, (name, curve) in enumerate(self.curves.items()):
            colour, line = LINES[index % len(LINES)]
            errors = [float("nan") if error is None else error for error in curve]
            axes.plot(
                self.iterations, errors, linestyle=line, color=colour, label=label(name), linewidth=1.2, marker="o",
                markersize=3, markevery=slice(1, None),
            )  # fmt: skip
        axes.axhline(1.0, color="black", linestyle=":", linewidth=0.8, label=label(self.unit))
        axes.set(yscale="log", xlabel="iterations of the first network; dots are updates of the second")
        axes.set_ylabel(f"error of the second, over that of {self.unit}")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
        save(figure, path)
