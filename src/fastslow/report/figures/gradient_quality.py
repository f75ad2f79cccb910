"""How predicted gradients compare with true ones over training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fastslow.methods.config import CONTROLLERS
from fastslow.report.figures.base import BLUE, GREEN, ORANGE, Frame, canvas, save
from fastslow.report.metrics import Point, Quality, has_gradients, training_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONTROLLER_COLOURS = dict(zip(CONTROLLERS, (BLUE, ORANGE, GREEN), strict=True))


@dataclasses.dataclass(frozen=True)
class GradientQuality:
    """Cosine, relative error and norms of predicted gradients, a line per controller that learns fast.

    Attributes:
        points: lines of `metrics.jsonl`, in order; those without gradients are passed over.
    """

    points: Sequence[Point]

    def frame(self) -> Frame:
        """Columns seconds (since the run began), controller, and those of `Quality`; a row a point and controller."""
        times, unit = training_time(self.points)
        scale = 1 if unit == "s" else 60
        rows = [
            {"seconds": scale * t, "controller": name, **dataclasses.asdict(quality)}
            for t, point in zip(times, self.points, strict=True)
            for name, quality in point.gradients.items()
        ]
        names = ["seconds", "controller", *(field.name for field in dataclasses.fields(Quality))]
        return {name: [row[name] for row in rows] for name in names}

    def plot(self, path: Path) -> None:
        """Writes the curves as a PNG file; says so where no point has gradients."""
        figure = canvas(9.0, 3.4)
        if has_gradients(self.points):
            all_axes = figure.subplots(1, 3)
            times, unit = training_time(self.points)
            for name in CONTROLLERS:
                self._draw(name, times, all_axes)
            _label(*all_axes)
            for axes in all_axes:
                axes.set_xlabel(f"training time ({unit})")
                axes.grid(alpha=0.3)
        else:
            figure.text(0.5, 0.5, "No gradients were predicted in this run.", ha="center", va="center", fontsize=12)
        save(figure, path)

    def _draw(self, name: str, times: Sequence[float], all_axes: Sequence[Axes]) -> None:
        """One controller's curves; none where it does not learn fast."""
        at = [i for i, point in enumerate(self.points) if name in point.gradients]
        if not at:
            return
        cosine_axes, error_axes, norm_axes = all_axes
        x, quality = [times[i] for i in at], [self.points[i].gradients[name] for i in at]
        style: dict[str, Any] = {"color": CONTROLLER_COLOURS[name], "marker": "o", "markersize": 3}
        cosine_axes.plot(x, [q.cosine for q in quality], label=f"{name} controller", **style)
        error_axes.plot(x, [q.relative_error for q in quality], **style)
        norm_axes.plot(x, [q.predicted_norm for q in quality], **style)
        norm_axes.plot(x, [q.true_norm for q in quality], linestyle="--", **style | {"marker": "x"})


def _label(cosine_axes: Axes, error_axes: Axes, norm_axes: Axes) -> None:
    """What each of the three shows, and where "no better than nothing" lies."""
    cosine_axes.axhline(0, color="black", linestyle=":", linewidth=1)
    cosine_axes.set(ylim=(-1.05, 1.05), ylabel="cosine (1 is the same direction)", title="Direction")
    cosine_axes.legend(fontsize=8)
    error_axes.axhline(1, color="black", linestyle=":", linewidth=1, label="1: no better than zero")
    error_axes.legend(fontsize=8, loc="lower left")
    error_axes.set(ylabel="|predicted − true| / |true|", title="Relative error")
    norm_axes.plot([], [], color="black", marker="o", markersize=3, label="predicted")
    norm_axes.plot([], [], color="black", marker="x", markersize=3, linestyle="--", label="true")
    norm_axes.legend(fontsize=8)
    norm_axes.set(ylabel="norm (nats per unit)", title="Size")
    _from_zero_or_log(error_axes)
    _from_zero_or_log(norm_axes)


def _from_zero_or_log(axes: Axes) -> None:
    """An upright axis from zero, or a logarithmic one where the curves span more than a factor of 30."""
    heights = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    heights = heights[np.isfinite(heights)]
    if not len(heights):
        return
    lowest, highest = float(heights.min()), float(heights.max())
    if lowest > 0 and highest > 30 * lowest:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * highest or 1.0)
