"""A training small enough to be begun, killed and resumed many times: three stages of four steps on 14 glyphs."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from fastslow.data import registry
from fastslow.studies import fewshot
from fastslow.training import loop

TINY_MODEL = {"channels": [4, 4], "residual": [False, True], "projection": 16, "dim": 16, "predictor_hidden": 8}
NAME = "c"
OPTIONS = {
    "data": "glyphs", "way": 3, "queries": 2, "model": TINY_MODEL, "steps": 12, "shares": [1, 1, 1], "name": NAME,
    "device": "cpu", "fit_weight": 0.5,
}  # fmt: skip
#: Few classes, tasks and episodes.
SIZES = {
    "encoder": {"num_classes": 8}, "memory": {"tasks": 4}, "end_to_end": {"tasks": 4}, "validation": {"episodes": 2},
}  # fmt: skip


@contextlib.contextmanager
def tiny(*, save_every: float = 0.0, train: Callable[..., Any] = loop.train) -> Iterator[None]:
    """Few glyphs, and a checkpoint after each step, for the length of a `with` block."""
    train = functools.partial(train, habits=loop.Habits(save_every=save_every))
    with mock.patch.object(registry, "GLYPH_CLASSES", (6, 4, 4)), mock.patch.object(fewshot, "train", train):
        yield


def run(runs: Path, *, resume: bool = False, **others: Any) -> Any:
    """The tiny training from its beginning, or from its checkpoint, to its result."""
    options = {"name": NAME} if resume else OPTIONS
    return fewshot.run_fewshot(options, runs=runs, resume=resume, episodes=3, sizes=SIZES, **others)
