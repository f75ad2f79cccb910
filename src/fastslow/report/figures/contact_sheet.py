"""Some drawings of some classes of a data set."""

from __future__ import annotations

from pathlib import Path

import torch

from fastslow.data.base import ClassImages
from fastslow.errors import InputError
from fastslow.report.figures.base import canvas, label, save


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
        raise InputError(f"got {num_classes} classes of {per_class} drawings; ask for at least 1 class of 1 drawing")
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
    figure = canvas(1.6 + 0.6 * columns, 0.2 + 0.6 * len(chosen) * height / width)
    axes = figure.subplots()
    axes.imshow(sheet.reshape(len(chosen) * height, columns * width).numpy(), cmap="gray", vmin=0, vmax=255)
    names = ["\n".join(label(part, 24) for part in images.class_names[c].split("/")[-2:]) for c in chosen]
    axes.set_yticks([(row + 0.5) * height for row in range(len(chosen))], names, fontsize=8)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    save(figure, out)
