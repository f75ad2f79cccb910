"""Pictures: of data, of how training went, of a memory at work, of results. Each function fills one PNG file.

Colours are those of Okabe and Ito, which colour-blind readers tell apart; text stays readable at 800 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.files import write_atomically
from fastslow.methods.episodic import CONTROLLERS, EpisodicLearner
from fastslow.report.memory_scene import SCENE_SEED, MemoryScene, memory_scene

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#8A8A8A"
CONTROLLER_COLOURS = dict(zip(CONTROLLERS, (BLUE, ORANGE, GREEN), strict=True))
STAGE_NAMES = {"encoder": "encoder", "memory": "memory", "finetune": "end to end"}
DOTS_PER_INCH = 160
#: Names of the classes of a scene.
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#: Slots, and features of a key or value, that a picture of a memory has room for.
SLOTS_SHOWN, FEATURES_SHOWN = 12, 32
_NOTE: dict[str, Any] = {"fontsize": 8, "ha": "right", "va": "top"}


def contact_sheet(images: ClassImages, *, num_classes: int, per_class: int, seed: int, out: Path) -> None:
    """Some drawings of some classes, a class a row, ink dark on white.

    Args:
        images: the data.
        num_classes: how many classes, drawn at random; all of them if there are fewer.
        per_class: how many drawings of each, the first ones; all of them if there are fewer.
        seed: which classes.
        out: PNG file to write.

    Raises:
        ValueError: if a number is below 1 or there is nothing to draw.
    """
    if num_classes < 1 or per_class < 1:
        raise InputError(f"{num_classes} classes of {per_class} drawings came; at least 1 of 1 was expected")
    if not len(images.images):
        raise InputError("the data hold no images; there is nothing to draw")
    order = torch.randperm(images.num_classes, generator=torch.Generator().manual_seed(seed)).tolist()
    chosen = order[:num_classes]
    members = [(images.labels == c).nonzero().flatten()[:per_class] for c in chosen]
    columns = max(1, *(len(part) for part in members))
    height, width = (side + 4 for side in images.images.shape[1:])
    sheet = torch.full((len(chosen), height, columns, width), 255, dtype=torch.uint8)
    for row, part in enumerate(members):
        for column, i in enumerate(part):
            sheet[row, 1:-1, column, 1:-1] = 210  # a frame of one pixel
            sheet[row, 2:-2, column, 2:-2] = 255 - images.images[i]
    figure = _figure(1.6 + 0.6 * columns, 0.2 + 0.6 * len(chosen) * height / width)
    axes = figure.subplots()
    axes.imshow(sheet.reshape(len(chosen) * height, columns * width).numpy(), cmap="gray", vmin=0, vmax=255)
    names = ["\n".join(images.class_names[c].split("/")[-2:]) for c in chosen]
    axes.set_yticks([(row + 0.5) * height for row in range(len(chosen))], names, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    _save(figure, out)


def learning_curve(metrics: Sequence[Mapping[str, Any]], out: Path, chance: float) -> None:
    """Training loss and validation accuracy against training time, stage by stage.

    Args:
        metrics: lines of `metrics.jsonl`, in order.
        out: PNG file to write.
        chance: accuracy of guessing, in [0, 1].

    Raises:
        ValueError: if there are no lines.
    """
    if not metrics:
        raise InputError("no metrics came; there is no curve to draw before the first validation")
    times, unit = _training_time(metrics)
    figure = _figure(9.0, 3.4)
    loss_axes, accuracy_axes = figure.subplots(1, 2)
    for stage, part in _stages(metrics):
        x = times[part]
        loss_axes.plot(x, [line["loss"] for line in metrics[part]], "o-", color=BLUE, markersize=3)
        accuracy = [100 * line["validation"] for line in metrics[part]]
        colour = GREY if stage == "encoder" else RED
        label = "prototypes in the encoder's features" if stage == "encoder" else "memory network"
        known = accuracy_axes.get_legend_handles_labels()[1]
        accuracy_axes.plot(x, accuracy, "o-", color=colour, markersize=3, label=None if label in known else label)
    accuracy_axes.axhline(100 * chance, color="black", linestyle=":", linewidth=1, label="guessing")
    accuracy_axes.set(ylim=(0, 102), ylabel="accuracy (%)")
    accuracy_axes.set_title("Validation classes", pad=18)
    accuracy_axes.legend(loc="center right", fontsize=8)
    loss_axes.set(ylabel="loss (nats)", ylim=(0, None))
    loss_axes.set_title("Training loss", pad=18)
    for axes in (loss_axes, accuracy_axes):
        _mark_stages(axes, metrics, times, unit)
    _save(figure, out)


def gradient_quality(metrics: Sequence[Mapping[str, Any]], out: Path) -> None:
    """How predicted gradients compare with true ones over training, a line a controller that learns fast.

    Args:
        metrics: lines of `metrics.jsonl`, in order; lines without gradients are passed over.
        out: PNG file to write; says so where no line has gradients.
    """
    figure = _figure(9.0, 3.4)
    if not has_gradients(metrics):
        figure.text(0.5, 0.5, "No gradients were predicted in this run.", ha="center", va="center", fontsize=12)
        _save(figure, out)
        return
    times, unit = _training_time(metrics)
    cosine_axes, error_axes, norm_axes = figure.subplots(1, 3)
    for name in CONTROLLERS:
        at = [i for i, line in enumerate(metrics) if name in line.get("gradients", {})]
        if not at:
            continue
        x, quality = [times[i] for i in at], [metrics[i]["gradients"][name] for i in at]
        style: dict[str, Any] = {"color": CONTROLLER_COLOURS[name], "marker": "o", "markersize": 3}
        cosine_axes.plot(x, [q["cosine"] for q in quality], label=f"{name} controller", **style)
        error_axes.plot(x, [q["relative_error"] for q in quality], **style)
        norm_axes.plot(x, [q["predicted_norm"] for q in quality], **style)
        norm_axes.plot(x, [q["true_norm"] for q in quality], linestyle="--", **style | {"marker": "x"})
    cosine_axes.axhline(0, color="black", linestyle=":", linewidth=1)
    cosine_axes.set(ylim=(-1.05, 1.05), ylabel="cosine (1 is the same direction)", title="Direction")
    cosine_axes.legend(fontsize=8)
    error_axes.axhline(1, color="black", linestyle=":", linewidth=1)
    error_axes.text(0.98, 0.98, "1: no better than zero", transform=error_axes.get_yaxis_transform(), **_NOTE)
    error_axes.set(ylabel="|predicted − true| / |true|", title="Relative error")
    norm_axes.plot([], [], color="black", marker="o", markersize=3, label="predicted")
    norm_axes.plot([], [], color="black", marker="x", markersize=3, linestyle="--", label="true")
    norm_axes.legend(fontsize=8)
    norm_axes.set(ylabel="norm (nats per unit)", title="Size")
    _from_zero_or_log(error_axes)
    _from_zero_or_log(norm_axes)
    for axes in (cosine_axes, error_axes, norm_axes):
        axes.set_xlabel(f"training time ({unit})")
        axes.grid(alpha=0.3)
    _save(figure, out)


def accuracy_bars(results: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Accuracies with their 95 % intervals, the first result on top.

    Args:
        results: each with `name`, `accuracy_mean` and `accuracy_ci95`, in [0, 1], and perhaps `n_way`: where all have
            the same one, guessing is marked.
        out: PNG file to write.

    Raises:
        ValueError: if there are none.
    """
    if not results:
        raise InputError("no results came; there are no bars to draw")
    figure = _figure(8.0, 0.9 + 0.42 * len(results))
    axes = figure.subplots()
    for row, result in enumerate(results):
        mean, interval = 100 * result["accuracy_mean"], 100 * result["accuracy_ci95"]
        axes.barh(row, mean, xerr=None if math.isnan(interval) else interval, color=BLUE, height=0.66, capsize=3)
        axes.text(102, row, f"{mean:.1f} ± {interval:.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(results)), [str(result["name"]) for result in results])
    axes.set(xlim=(0, 100), xlabel="accuracy (%), with 95 % interval")
    axes.invert_yaxis()
    ways = {result.get("n_way") for result in results}
    if len(ways) == 1 and (way := ways.pop()):
        axes.axvline(100 / way, color="black", linestyle=":", linewidth=1)
        axes.text(100 / way, -0.6, " guessing", fontsize=8, va="bottom")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, out)


def memory_at_work(learner: EpisodicLearner, images: ClassImages, out: Path, *, seed: int = SCENE_SEED) -> None:
    """A memory before and after it learns one drawing of a class it has never seen.

    Args:
        learner: a trained learner.
        images: drawings of classes that it was not trained on.
        out: PNG file to write.
        seed: see `memory_scene`.

    Raises:
        ValueError: if the images cannot give a task.
    """
    scene = memory_scene(learner, images, seed=seed)
    letters = LETTERS[: len(scene.learned)]
    figure = _figure(9.0, 7.4)
    figure.suptitle(f"A new character, {letters[-1]}, learned at once from one drawing", fontsize=14, fontweight="bold")
    top, middle, bottom = figure.subfigures(3, 1, squeeze=False, height_ratios=(1.2, 2.8, 2.5)).ravel()
    rows = _rows_shown(scene)
    _show_task(top, scene, letters)
    _show_slots(middle, scene, letters, rows)
    _show_answers(bottom, scene, letters, rows)
    _save(figure, out)


def has_gradients(metrics: Sequence[Mapping[str, Any]]) -> bool:
    """Whether any line of metrics says how good predicted gradients are."""
    return any(line.get("gradients") for line in metrics)


def _figure(width: float, height: float) -> Figure:
    """An empty figure, sizes in inches, that no window system or global state knows of."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")


def _save(figure: Figure, out: Path) -> None:
    """Writes the PNG, never half; without the software's name in it, so that equal pictures are equal files."""
    write_atomically(out, lambda part: figure.savefig(part, format="png", metadata={"Software": None}))


def _drawing(axes: Axes, image: Tensor) -> None:
    """One image, ink dark on white, in a thin frame."""
    axes.imshow((255 - image).numpy(), cmap="gray", vmin=0, vmax=255)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#CCCCCC", linewidth=0.6)


def _from_zero_or_log(axes: Axes) -> None:
    """An upright axis from zero, or a logarithmic one where the curves span more than a factor of 30."""
    heights = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
    lowest, highest = float(heights.min()), float(heights.max())
    if lowest > 0 and highest > 30 * lowest:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.1 * highest or 1.0)


def _stages(metrics: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, slice]]:
    """The stages in order, each with the lines that belong to it."""
    names = [line["stage"] for line in metrics]
    for stage in dict.fromkeys(names):
        first = names.index(stage)
        yield stage, slice(first, first + names.count(stage))


def _training_time(metrics: Sequence[Mapping[str, Any]]) -> tuple[list[float], str]:
    """Time in training steps at each line, from the start of the run, and its unit."""
    times: list[float] = []
    before = 0.0
    for _, part in _stages(metrics):
        times += [before + line["seconds"] for line in metrics[part]]
        before = times[-1]
    return (times, "s") if before < 180 else ([t / 60 for t in times], "min")


def _mark_stages(axes: Axes, metrics: Sequence[Mapping[str, Any]], times: Sequence[float], unit: str) -> None:
    """Shades every other stage, names each above the upper edge, and labels the axis."""
    before = 0.0
    for i, (stage, part) in enumerate(_stages(metrics)):
        end = times[part][-1]
        axes.axvspan(before, end, color="#E8EEF4" if i % 2 == 0 else "#F8FAFB", zorder=0, linewidth=0)
        axes.text(
            (before + end) / 2, 1.01, STAGE_NAMES.get(stage, stage), transform=axes.get_xaxis_transform(), fontsize=8,
            color="#555555", ha="center", va="bottom",
        )  # fmt: skip
        before = end
    axes.set(xlabel=f"training time ({unit})", xlim=(0, 1.02 * times[-1] or 1))
    axes.grid(alpha=0.3)


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
        _drawing(axes, picture)
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
