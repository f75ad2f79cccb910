"""Handwritten-like characters, made up: the image data that the library has without any download."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch

from fastslow.data.base import ClassImages
from fastslow.data.checks import refuse_unless_whole
from fastslow.data.glyphs.drawing import IMAGE_SIZE, NUM_NORMALS, STYLE, draw
from fastslow.data.glyphs.motor import MOTOR_NORMALS, compile_programs
from fastslow.data.glyphs.programs import sample_program
from fastslow.errors import InputError, shown

_CHUNK = 256  # images drawn at once, so that they stay in the processor's cache


def make_glyphs(
    *, num_classes: int, per_class: int, seed: int, style: Mapping[str, float] | None = None
) -> ClassImages:
    """Draws made-up characters by made-up hands.

    A class is a random program of 1 to 5 strokes. An image is that program carried out with motor noise: the
    lengths, corners, arcs, wobble and place of each stroke differ a little, then the slant, size and place of
    the whole, and the width of the pen.

    Image j of class c depends on (seed, c, j) only: asking for more classes or for more images per class
    leaves those that were there as they were. The global random state is neither used nor changed.

    Args:
        num_classes: how many characters, at least 1; they are named "glyph0000", "glyph0001", ...
        per_class: how many drawings of each, at least 1.
        seed: not negative; another seed gives other characters.
        style: of one hand that draws them all: by how much its drawings differ from the usual ones in what `STYLE`
            names, in units of how much hands differ. The characters and the noise stay those of the seed.

    Returns:
        `num_classes * per_class` images of 28x28, class by class.

    Raises:
        InputError: if an argument is not a whole number or is out of its range, or a style is none.
    """
    sizes = {"num_classes": num_classes, "per_class": per_class}
    num_classes, per_class = (refuse_unless_whole(name, value, 1) for name, value in sizes.items())
    seed = refuse_unless_whole("seed", seed, 0)
    whole = _style(style or {})
    images = torch.empty(num_classes, per_class, IMAGE_SIZE, IMAGE_SIZE, dtype=torch.uint8, device="cpu")
    at_once = max(1, _CHUNK // per_class)
    for start in range(0, num_classes, at_once):
        classes = range(start, min(start + at_once, num_classes))
        rngs = [np.random.default_rng((seed, c)) for c in classes]
        plan = compile_programs([sample_program(rng) for rng in rngs])
        for begin in range(0, per_class, _CHUNK):
            count = min(_CHUNK, per_class - begin)
            normals = [rng.standard_normal((count, NUM_NORMALS), dtype=np.float32) for rng in rngs]
            drawn = draw(plan, torch.from_numpy(np.stack(normals) + whole))
            images[start : classes.stop, begin : begin + count] = drawn
    labels = torch.arange(num_classes, device="cpu").repeat_interleave(per_class)
    return ClassImages(images.flatten(0, 1), labels, tuple(f"glyph{c:04d}" for c in range(num_classes)))


def _style(style: Mapping[str, float]) -> np.ndarray:
    """What is added to the numbers of every image, shape (`NUM_NORMALS`,)."""
    added = np.zeros(NUM_NORMALS, np.float32)
    for name, amount in style.items():
        if name not in STYLE or not math.isfinite(amount):
            raise InputError(f"got style={shown(dict(style))}; finite numbers by {', '.join(STYLE)} were expected")
        added[MOTOR_NORMALS + STYLE[name]] = amount
    return added
