"""Accuracies side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from fastslow.errors import InputError
from fastslow.protocol.result import Interval
from fastslow.report.figures.base import BLUE, Frame, canvas, label, save

#: Bars that one picture has room for.
MOST_BARS = 60


@dataclasses.dataclass(frozen=True)
class AccuracyBars:
    """Accuracies with their 95 % intervals, the first on top.

    Attributes:
        bars: name and accuracy of each; at least one, and `MOST_BARS` of them are drawn.
        n_way: classes a task, where all bars have the same: guessing is marked then.
    """

    bars: Sequence[tuple[str, Interval]]
    n_way: int | None = None

    def __post_init__(self) -> None:
        if not self.bars:
            raise InputError("got no results; there are no bars to draw")

    def frame(self) -> Frame:
        """Columns name, mean, half_width (None where not known) and count; means are shares."""
        numbers = [number for _, number in self.bars]
        columns = {name: [getattr(n, name) for n in numbers] for name in ("mean", "half_width", "count")}
        return {"name": [name for name, _ in self.bars], **columns}

    def plot(self, path: Path) -> None:
        """Writes the bars as a PNG file."""
        bars = self.bars[:MOST_BARS]
        figure = canvas(8.0, 0.9 + 0.42 * len(bars))
        axes = figure.subplots()
        for row, (_, number) in enumerate(bars):
            mean, half = 100 * number.mean, None if number.half_width is None else 100 * number.half_width
            axes.barh(row, mean, xerr=half, color=BLUE, height=0.66, capsize=3)
            axes.text(102, row, f"{mean:.1f}" if half is None else f"{mean:.1f} ± {half:.1f}", va="center", fontsize=9)
        axes.set_yticks(range(len(bars)), [label(name) for name, _ in bars])
        axes.set(xlim=(0, 100), xlabel="accuracy (%), with 95 % interval")
        axes.invert_yaxis()
        if self.n_way is not None:
            axes.axvline(100 / self.n_way, color="black", linestyle=":", linewidth=1)
            axes.text(100 / self.n_way, -0.6, " guessing", fontsize=8, va="bottom")
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, path)
