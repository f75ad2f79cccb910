"""How training went: loss and validation accuracy against time, stage by stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from fastslow.errors import InputError
from fastslow.report.figures.base import BLUE, GREY, RED, Frame, canvas, label, save
from fastslow.report.metrics import Point, stages, training_time

if TYPE_CHECKING:
    from matplotlib.axes import Axes

STAGE_NAMES = {"encoder": "encoder", "memory": "memory", "finetune": "end to end", "end_to_end": "end to end"}
#: Share of the axis from the middle of one stage's name to that of the next, so that they do not touch.
_ROOM_FOR_A_NAME = 0.2


@dataclasses.dataclass(frozen=True)
class LearningCurve:
    """Training loss and validation accuracy against training time.

    Attributes:
        points: lines of `metrics.jsonl`, in order; at least one.
        chance: accuracy of guessing, in [0, 1]; None where it is not known.
    """

    points: Sequence[Point]
    chance: float | None

    def __post_init__(self) -> None:
        if not self.points:
            raise InputError("got no metrics; there is no curve to draw before the first validation")

    def frame(self) -> Frame:
        """Columns stage, step, seconds (since the run began), loss (nats), validation (share)."""
        times, unit = training_time(self.points)
        seconds = [t if unit == "s" else 60 * t for t in times]
        columns = {name: [getattr(p, name) for p in self.points] for name in ("stage", "step", "loss", "validation")}
        return {"seconds": seconds, **columns}

    def plot(self, path: Path) -> None:
        """Writes the curves as a PNG file."""
        times, unit = training_time(self.points)
        figure = canvas(9.0, 3.4)
        loss_axes, accuracy_axes = figure.subplots(1, 2)
        for stage, part in stages(self.points):
            x, points = times[part], self.points[part]
            loss_axes.plot(x, [point.loss for point in points], "o-", color=BLUE, markersize=3)
            first = stage == "encoder"
            name = "prototypes in the encoder's features" if first else "memory network"
            known = accuracy_axes.get_legend_handles_labels()[1]
            accuracy_axes.plot(
                x, [100 * point.validation for point in points], "o-", color=GREY if first else RED, markersize=3,
                label=None if name in known else name,
            )  # fmt: skip
        if self.chance is not None:
            accuracy_axes.axhline(100 * self.chance, color="black", linestyle=":", linewidth=1, label="guessing")
        accuracy_axes.set(ylim=(0, 102), ylabel="accuracy (%)")
        accuracy_axes.legend(loc="center right", fontsize=8)
        loss_axes.set(ylabel="loss (nats)", ylim=(min(0.0, *(1.1 * p.loss for p in self.points), 0.0), None))
        for axes, title in ((loss_axes, "Training loss"), (accuracy_axes, "Validation classes")):
            raised = self._mark_stages(axes, times)
            axes.set_title(title, pad=30 if raised else 18)
            axes.set(xlabel=f"training time ({unit})", xlim=(0, 1.02 * times[-1] or 1))
            axes.grid(alpha=0.3)
        save(figure, path)

    def _mark_stages(self, axes: Axes, times: Sequence[float]) -> bool:
        """Shades every other stage and names each above the upper edge.

        Returns:
            Whether names stand on two levels, which they do where those of short stages would touch on one.
        """
        names, ends = [], [0.0]
        for stage, part in stages(self.points):
            names.append(label(STAGE_NAMES.get(stage, stage), 16))
            ends.append(times[part][-1])
        centres = [(before + end) / 2 for before, end in pairwise(ends)]
        raised = any(right - left < _ROOM_FOR_A_NAME * ends[-1] for left, right in pairwise(centres))
        for i, (name, centre) in enumerate(zip(names, centres, strict=True)):
            axes.axvspan(ends[i], ends[i + 1], color="#E8EEF4" if i % 2 == 0 else "#F8FAFB", zorder=0, linewidth=0)
            axes.text(
                centre, 1.01 + (0.075 if raised and i % 2 else 0.0), name, transform=axes.get_xaxis_transform(),
                fontsize=8, color="#555555", ha="center", va="bottom",
            )  # fmt: skip
        return raised
