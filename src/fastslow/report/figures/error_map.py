"""What a forecaster has learned about a place: where road users went otherwise than expected."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from fastslow.report.figures.base import BLUE, GREY, Frame, canvas, save

#: Slots that are drawn: those of most errors.
_MOST = 400


@dataclasses.dataclass(frozen=True)
class ErrorMap:
    """Arrows of a memory's slots over the tracks they are from.

    Attributes:
        title: what is shown, one line.
        paths: tracks, each of shape (samples, 2), metres.
        places: of the slots, shape (slots, 2), metres.
        errors: where road users were at the horizon, from where they had been expected, shape (slots, 2), metres.
        counts: errors of each slot, shape (slots,).
    """

    title: str
    paths: list[Float64[np.ndarray, "_ 2"]]
    places: Float64[np.ndarray, "slots 2"]
    errors: Float64[np.ndarray, "slots 2"]
    counts: Float64[np.ndarray, " slots"]

    def frame(self) -> Frame:
        """Columns x, y, error_x, error_y and count; a row a slot."""
        columns = np.column_stack([self.places, self.errors, self.counts]).T.tolist()
        return dict(zip(("x", "y", "error_x", "error_y", "count"), columns, strict=True))

    def plot(self, path: Path) -> None:
        """Writes the picture as a PNG file."""
        from matplotlib.collections import LineCollection

        figure = canvas(8.0, 7.0)
        axes = figure.subplots()
        axes.add_collection(LineCollection(list(self.paths), colors=GREY, linewidths=0.4, alpha=0.4))
        most = np.argsort(-self.counts, kind="stable")[:_MOST]
        x, y, dx, dy = *self.places[most].T, *self.errors[most].T
        share = np.sqrt(self.counts[most] / max(1.0, self.counts.max(initial=1.0)))
        if len(most):
            axes.quiver(
                x, y, dx, dy, angles="xy", scale_units="xy", scale=1, color=BLUE, alpha=0.3 + 0.7 * share, width=0.0025
            )
        axes.autoscale_view()
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xlabel="x (m)", ylabel="y (m)")
        axes.set_title(self.title, fontsize=10)
        axes.grid(alpha=0.2)
        save(figure, path)
