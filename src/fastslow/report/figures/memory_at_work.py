"""A memory before and after it learns one drawing of a class it has never seen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastslow.data.base import ClassImages
from fastslow.methods.networks import MemoryMethod
from fastslow.report.figures.base import GREY, RED, Frame, canvas, drawing, save
from fastslow.report.memory_scene import SCENE_SEED, MemoryScene, memory_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

#: Names of the classes of a scene.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Slots, and features of a key or value, that a picture of a memory has room for.
SLOTS_SHOWN, FEATURES_SHOWN = 12, 32


@dataclasses.dataclass(frozen=True)
class MemoryAtWork:
    """What a memory holds and answers before and after one drawing.

    Attributes:
        scene: from `memory_scene`.
    """

    scene: MemoryScene

    @classmethod
    def of(cls, learner: MemoryMethod[Any], images: ClassImages, *, seed: int = SCENE_SEED) -> MemoryAtWork:
        """The picture of a trained learner on drawings of classes that it was not trained on.

        Raises:
            ValueError: if the images cannot give a task.
        """
        return cls(memory_scene(learner, images, seed=seed))

    def frame(self) -> Frame:
        """Columns class, slot (where its drawing was written), its probability before and after; a row per class."""
        before, after = self.scene.probabilities.tolist()
        letters = list(LETTERS[: len(self.scene.learned)])
        return {"class": letters, "slot": list(self.scene.written), "before": before, "after": after}

    def plot(self, path: Path) -> None:
        """Writes task, slots and answers as a PNG file."""
        scene = self.scene
        letters = LETTERS[: len(scene.learned)]
        title = f"A new character, {letters[-1]}, learned at once from one drawing"
        figure = canvas(9.0, 7.4)
        figure.suptitle(title, fontsize=14, fontweight="bold")
        top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=(1.2, 2.8, 2.5)).ravel()
        rows = _rows_shown(scene)
        _show_task(top, scene, letters)
        _show_slots(middle, scene, letters, rows)
        _show_answers(bottom, scene, letters, rows)
        save(figure, path)


def _rows_shown(scene: MemoryScene) -> list[int]:
    """Slots that the picture has room for: those written, then those read most."""
    by_reading = scene.addresses.amax(0).argsort(descending=True).tolist()
    return sorted(list(dict.fromkeys([*scene.written, *by_reading]))[:SLOTS_SHOWN])


def _slot_names(scene: MemoryScene, letters: str, rows: Sequence[int]) -> list[str]:
    """For each slot, the classes written there; "" where none was."""
    return ["".join(c for c, slot in zip(letters, scene.written, strict=True) if slot == row) for row in rows]


def _show_task(figure: SubFigure, scene: MemoryScene, letters: str) -> None:
    """What was learned, what is learned now, and what is asked: drawings in a row."""
    known = len(letters) - 1
    grid = figure.add_gridspec(1, known + 4, width_ratios=[1] * known + [0.45, 1, 0.45, 1])
    places = [*range(known), known + 1, known + 3]
    titles = [*letters, f"{letters[-1]}?"]
    all_axes = [figure.add_subplot(grid[0, place]) for place in places]
    for axes, picture, title in zip(all_axes, [*scene.learned, scene.asked], titles, strict=True):
        drawing(axes, picture)
        axes.set_title(title, fontsize=11, fontweight="bold")
    for axes, heading in zip(all_axes, [*["known"] * known, "now learned", "then asked"], strict=True):
        axes.set_xlabel(heading, fontsize=9, color=RED if heading == "now learned" else "black")
    for spine in all_axes[known].spines.values():
        spine.set(color=RED, linewidth=1.5)


def _show_slots(figure: SubFigure, scene: MemoryScene, letters: str, rows: Sequence[int]) -> None:
    """The slots before and after, and what changed."""
    from matplotlib.patches import Rectangle

    parts = [scene.slots[..., : scene.key_width], scene.slots[..., scene.key_width :]]
    parts = [part[:, list(rows), :FEATURES_SHOWN] for part in parts if part.shape[-1]]
    widths = [part.shape[-1] for part in parts]
    before, after = torch.cat(parts, -1)
    limit = float(torch.stack([before, after]).abs().flatten().quantile(0.98)) or 1.0
    all_axes = figure.subplots(1, 3, sharey=True)
    titles = ("Memory before", f"Memory after the drawing of {letters[-1]}", "What changed")
    for axes, picture, title in zip(all_axes, (before, after, after - before), titles, strict=True):
        drawn = axes.imshow(
            picture.numpy(), aspect="auto", cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
        )
        axes.set_title(title, fontsize=11)
        axes.tick_params(length=0)
        axes.set_xticks([])
        if scene.key_width:
            axes.axvline(widths[0] - 0.5, color="black", linewidth=1.5)
            centres = [(widths[0] - 1) / 2, widths[0] + (widths[1] - 1) / 2]
            axes.set_xticks(centres, ["key: what it looks like", "value: what it means"], fontsize=8)
    for axes in all_axes[1:]:
        corner = (-0.5, rows.index(scene.written[-1]) - 0.5)
        axes.add_patch(Rectangle(corner, sum(widths), 1, fill=False, edgecolor="black", linewidth=2, clip_on=False))
    all_axes[1].set_xlabel(_of(widths[0], scene.key_width or scene.slots.shape[2], "features"), fontsize=8)
    all_axes[0].set_ylabel(_of(len(rows), scene.slots.shape[1], "slots"))
    names = _slot_names(scene, letters, rows)
    all_axes[0].set_yticks(range(len(rows)), [name or "·" for name in names], fontweight="bold")
    figure.colorbar(drawn, ax=all_axes, pad=0.01, aspect=30, label="stored number")


def _show_answers(figure: SubFigure, scene: MemoryScene, letters: str, rows: Sequence[int]) -> None:
    """Where the memory is looked up, and what is answered, before and after."""
    address_axes, answer_axes = figure.subplots(1, 2, width_ratios=(1.35, 1))
    new = letters[-1]
    shown = scene.addresses[:, list(rows)]
    names = [name or "·" for name in _slot_names(scene, letters, rows)]
    if len(rows) < scene.addresses.shape[1]:
        shown = torch.cat([shown, 1 - shown.sum(1, keepdim=True)], 1)
        names.append("all\nothers")
    _paired_bars(address_axes, shown, names)
    address_axes.set_title(f"Where it looks, asked another {new}", fontsize=11)
    address_axes.set(ylabel="address weight", xlabel="slot")
    _paired_bars(answer_axes, scene.probabilities, letters)
    answer_axes.set_title(f"What it answers (right: {new})", fontsize=11)
    answer_axes.set(ylabel="probability", xlabel="class")
    answer_axes.legend(fontsize=9, loc="upper left")


def _paired_bars(axes: Axes, pair: Tensor, names: Sequence[str]) -> None:
    """Bars before and after, side by side, of shares of one."""
    positions = np.arange(pair.shape[1])
    for values, offset, colour, label in zip(pair.numpy(), (-0.2, 0.2), (GREY, RED), ("before", "after"), strict=True):
        axes.bar(positions + offset, values, width=0.4, color=colour, label=label)
    axes.set_xticks(positions.tolist(), list(names))
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def _of(shown: int, total: int, what: str) -> str:
    """How many are shown, and of how many if not all."""
    return f"{total} {what}" if shown == total else f"{shown} of {total} {what}"
