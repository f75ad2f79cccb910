"""What all figures share: colours, sizes, text that is drawn as it is, and a PNG that is never half written.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; text stays readable at 800 pixels.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from torch import Tensor

from fastslow.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation
    from matplotlib.transforms import Bbox

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8A8A8A"
#: Colour and dashes of lines that one picture tells apart, as many as any study has rows.
LINES = [
    (colour, dashes)
    for dashes in ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)), (0, (1, 4)))
    for colour in (RED, BLUE, GREEN, ORANGE, GREY)
]
DOTS_PER_INCH = 160
#: Columns of equal length by name: numbers, None where one is not known, and text.
Frame = dict[str, list[Any]]
_LONGEST_LABEL = 48


@runtime_checkable
class Display(Protocol):
    """A figure: its data, and how they are drawn."""

    def plot(self, path: Path) -> None:
        """Writes a PNG file."""

    def frame(self) -> Frame:
        """The data that are drawn, as columns."""


def canvas(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that no window system or global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def save(figure: Figure, path: Path) -> None:
    """Writes the PNG, never half; without the software's name in it, so that equal pictures are equal files."""
    with warnings.catch_warnings():
        # A name in a script that the font does not have is drawn as boxes; that is no reason to stop or to shout.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        write_atomically(path, lambda part: figure.savefig(part, format="png", metadata={"Software": None}))


def label(text: str, longest: int = _LONGEST_LABEL) -> str:
    """A name as it is drawn: on one line, its end cut off if it is long, and a dollar sign no start of a formula."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    cut = line if len(line) <= longest else f"{line[: longest - 1]}…"
    return cut.replace("$", r"\$")


def nice_length(longest: float) -> float:
    """The longest of 1, 2, 5, 10, 20, ... and of their tenths, ... that is no more than `longest`, positive."""
    ten = 10.0 ** math.floor(math.log10(longest))
    return max(step * ten for step in (1.0, 2.0, 5.0) if step == 1.0 or step * ten <= longest)


def lift_apart(figure: Figure, names: Sequence[Annotation]) -> None:
    """Lifts names, those lower down first, until none lies on another; for names of points, a few dozen."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.draw_without_rendering()
    placed: list[Bbox] = []
    for name in sorted(names, key=lambda name: name.get_window_extent().y0):
        box = name.get_window_extent()
        for other in sorted(placed, key=lambda other: other.y0):
            if box.overlaps(other):
                lift = other.y1 - box.y0 + 1
                box = box.translated(0, lift)
                right, up = name.xyann
                name.xyann = (right, up + lift * 72 / figure.dpi)
        placed.append(box)


def drawing(axes: Axes, image: Tensor) -> None:
    """One image, ink dark on white, in a thin frame."""
    axes.imshow((255 - image).numpy(), cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#CCCCCC", linewidth=0.6)
