"""What a forecaster has learned about a place: where road users went otherwise than expected."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from fastslow.report.figures.base import BLUE, GREY, ORANGE, Frame, canvas, label, nice_length, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Slots that are drawn: those of most errors.
_MOST = 400
#: Length of a heading's line, and of the bar of the scale at most, as shares of the map's width.
_HEADING, _BAR = 0.012, 0.2
#: Area of the largest circle, points squared.
_AREA = 220.0


@dataclasses.dataclass(frozen=True)
class ErrorMap:
    """Slots of a memory over the tracks they are from.

    A circle is where a slot is, the larger the more errors it is the mean of; a short line from it is the heading of
    who passed, and an arrow what the forecast got wrong. Arrows are as long as the metres they stand for on the map.

    Attributes:
        title: what is shown, one line.
        paths: tracks, each of shape (samples, 2), metres.
        places: of the slots, shape (slots, 2), metres.
        errors: where road users were at the horizon, from where they had been expected, shape (slots, 2), metres.
        counts: errors of each slot, shape (slots,).
        headings: unit vectors, shape (slots, 2); 0 for who stood.
    """

    title: str
    paths: list[Float64[np.ndarray, "_ 2"]]
    places: Float64[np.ndarray, "slots 2"]
    errors: Float64[np.ndarray, "slots 2"]
    counts: Float64[np.ndarray, " slots"]
    headings: Float64[np.ndarray, "slots 2"]

    def frame(self) -> Frame:
        """Columns x, y, heading_x, heading_y, error_x, error_y and count; a row a slot, those of most errors first."""
        most = self._most(len(self.counts))
        columns = np.column_stack([self.places, self.headings, self.errors, self.counts])[most].T.tolist()
        names = ("x", "y", "heading_x", "heading_y", "error_x", "error_y", "count")
        return dict(zip(names, columns, strict=True))

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        from matplotlib.collections import LineCollection

        figure = canvas(9.0, 7.5)
        axes = figure.subplots()
        axes.add_collection(LineCollection(list(self.paths), colors=GREY, linewidths=0.4, alpha=0.4))
        axes.scatter(self.places[:, 0], self.places[:, 1], s=0)  # for the limits of the axes
        axes.autoscale_view()
        axes.set_aspect("equal", adjustable="datalim")
        axes.apply_aspect()
        width = abs(np.subtract(*axes.get_xlim()))
        self._slots(axes, width)
        _scale(axes, width)
        axes.set(xlabel="x (m)", ylabel="y (m)")
        axes.set_title(label(self.title, 120), fontsize=10)
        save(figure, path)

    def _slots(self, axes: Axes, width: float) -> None:
        from matplotlib.collections import LineCollection
        from matplotlib.lines import Line2D

        most = self._most(_MOST)
        places, errors, counts = self.places[most], self.errors[most], self.counts[most]
        if not len(most):
            return
        areas = _AREA * np.sqrt(counts / counts.max())  # of who stood there may be a hundred times as many
        circles = axes.scatter(places[:, 0], places[:, 1], s=areas, color=ORANGE, alpha=0.5, linewidths=0)
        ends = places + _HEADING * width * self.headings[most]
        lines = LineCollection(list(np.stack([places, ends], 1)), colors="black", linewidths=0.8)
        axes.add_collection(lines)
        axes.quiver(
            *places.T, *errors.T, angles="xy", scale_units="xy", scale=1, color=BLUE, alpha=0.85, width=0.0022,
            headwidth=4,
        )  # fmt: skip
        arrow = Line2D([0, 1], [0, 0], color=BLUE, marker=">", markevery=(1, 2))
        keys = {
            f"slot of the memory; the largest has {counts.max():g} errors": circles,
            "heading": lines,
            "learned correction: mean error at the horizon": arrow,
        }
        axes.legend(keys.values(), keys.keys(), fontsize=8, loc="lower right")

    def _most(self, count: int) -> np.ndarray:
        """Slots of most errors, those first."""
        return np.argsort(-self.counts, kind="stable")[:count]


def _scale(axes: Axes, width: float) -> None:
    """A bar of whole metres, of the map and of its arrows alike."""
    length = nice_length(_BAR * width)
    x, y = (low + 0.03 * (high - low) for low, high in (axes.get_xlim(), axes.get_ylim()))
    axes.plot([x, x + length], [y, y], color="black", linewidth=2.5, solid_capstyle="butt")
    axes.annotate(f"{length:g} m", (x, y), (0, 4), textcoords="offset points", fontsize=8)
