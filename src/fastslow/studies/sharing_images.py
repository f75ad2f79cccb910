"""Two streams of drawings in the study of sharing: the characters of two alphabets, or the same ones by two hands."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.encoders import ConvEncoder
from fastslow.core.literal_memory import LiteralMemory, MemoryNetwork
from fastslow.data.base import ClassImages
from fastslow.data.glyphs.drawing import STYLE
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.data.grouped_episodes import alphabets
from fastslow.data.registry import load_source
from fastslow.errors import InputError
from fastslow.protocol.features import to_unit
from fastslow.studies.sharing_data import Asked, Examples, Kind, Pair

#: Characters of a stream, and drawings of each that are learned; the others are asked about.
WAYS, LEARNED = 10, 14
#: Drawings of a made-up character by one hand; and how far a hand is from the usual one, in units of how much hands
#: differ: the second hand is as far to the other side in everything.
_DRAWN, _APART = 40, 2.0
#: What numbers are in: mean cross entropy, over that of saying that all classes are alike.
UNIT = "of guessing"
#: Sizes of the networks that are not as printed.
_CHANNELS, _DIM, _SLOTS = (16, 32, 32), 32, 10


class _Streams(NamedTuple):
    """Drawings of two streams, class by class, as many of each, and what they depend on besides the cell."""

    first: ClassImages
    second: ClassImages
    facts: dict[str, Any]


def _alphabets(seed: int, part: str) -> _Streams:
    """Two alphabets of a part, no alphabet being in two parts; of either the characters that a seed draws."""
    images, split = load_source("omniglot", split="lake")
    images = images.select(split.part(part))
    of = alphabets(images.class_names)
    generator = torch.Generator().manual_seed(seed)
    large = torch.nonzero(of.bincount() >= WAYS).flatten()
    if len(large) < 2:
        raise InputError(f"got {len(large)} alphabets of {WAYS} characters in part {part}; two were expected")
    chosen = large[torch.randperm(len(large), generator=generator)[:2]]
    first, second = (_some(images, torch.nonzero(of == alphabet).flatten(), generator) for alphabet in chosen)
    return _Streams(first, second, {"split": split.name, "split_sha256": split.sha256})


def _some(images: ClassImages, characters: Tensor, generator: torch.Generator) -> ClassImages:
    return images.select(characters[torch.randperm(len(characters), generator=generator)[:WAYS]].tolist())


def _hands(seed: int, part: str) -> _Streams:
    """The same made-up characters, drawn by two hands that differ in everything, each time another way."""
    generator = torch.Generator().manual_seed(seed)
    signs = 1 - 2 * torch.randint(2, (len(STYLE),), generator=generator)
    made = 2 * seed + (part != "test")
    hands = [
        make_glyphs(
            num_classes=WAYS, per_class=2 * _DRAWN, seed=made,
            style={name: side * _APART * int(sign) for name, sign in zip(STYLE, signs, strict=True)},
        )
        for side in (1, -1)
    ]  # fmt: skip
    # Of one seed both hands have the same noise: no drawing of one is in the stream of the other.
    kept = torch.arange(2 * _DRAWN).repeat(WAYS) < _DRAWN
    first, second = (
        ClassImages(hand.images[which], hand.labels[which], hand.class_names)
        for hand, which in zip(hands, (kept, ~kept), strict=True)
    )
    return _Streams(first, second, {"apart": _APART})


#: What there is, by data and task.
STREAMS: dict[str, dict[str, Callable[[int, str], _Streams]]] = {
    "omniglot": {"alphabet to alphabet": _alphabets}, "glyphs": {"hand to hand": _hands},
}  # fmt: skip
#: Pairs that there are, by data.
TASKS: dict[str, tuple[str, ...]] = {data: tuple(streams) for data, streams in STREAMS.items()}


@functools.lru_cache(maxsize=1)
def pair_of(task: str, data: str, seed: int, *, part: str = "test") -> Pair:
    """Drawings of two streams, made once in a process; either has `WAYS` classes.

    Args:
        task: one of `TASKS`.
        data: likewise.
        seed: of alphabets or hands, of the characters and of which drawings are asked about.
        part: of alphabets, or of made-up characters: "test", or "validation" while choices are made.
    """
    streams = STREAMS[data][task](seed, part)
    generator = torch.Generator().manual_seed(seed)
    (first, first_asked), (second, second_asked) = (_divided(images, generator) for images in streams[:2])
    facts = {"part": part, "ways": WAYS, "learned": LEARNED, **streams.facts}
    return Pair(first, second, first_asked, second_asked, IMAGES, facts)


def _divided(images: ClassImages, generator: torch.Generator) -> tuple[Examples, Asked]:
    """What is learned and what is asked; the same numbers of drawings of all classes: in Omniglot, the same people."""
    order = images.labels.argsort(stable=True).view(WAYS, -1)
    order = order[:, torch.randperm(order.shape[1], generator=generator)]
    learned, asked = (_examples(images, rows.flatten()) for rows in (order[:, :LEARNED], order[:, LEARNED:]))
    count = len(asked.inputs)
    plain = torch.full((count,), math.log(WAYS), dtype=torch.float64)
    return learned, Asked(asked, cross_entropy, plain, torch.arange(count), UNIT, classes=True)


def _examples(images: ClassImages, rows: Tensor) -> Examples:
    return Examples(to_unit(images.images[rows]), F.one_hot(images.labels[rows], WAYS).float())


def cross_entropy(answers: Tensor, targets: Tensor) -> Tensor:
    """Of logits and one-hot classes, shape (rows,)."""
    return F.cross_entropy(answers, targets, reduction="none")


def _network(outputs: int, *, literal: bool) -> MemoryNetwork:
    """As printed in Sec. 4.1; or smaller, without batch norm, whose statistics would be of two streams if shared."""
    if literal:
        encoder = ConvEncoder()
        memory = LiteralMemory(input_size=encoder.num_features, dim=_DIM, num_slots=_SLOTS)
        return MemoryNetwork(encoder=encoder, memory=memory, num_outputs=outputs)
    layers: list[nn.Module] = []
    for before, after in zip((1, *_CHANNELS), _CHANNELS, strict=False):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    memory = LiteralMemory(input_size=_CHANNELS[-1] * 4**2, dim=_DIM, num_slots=_SLOTS, compose="query")
    return MemoryNetwork(encoder=nn.Sequential(*layers, nn.Flatten()), memory=memory, num_outputs=outputs)


#: Rates: as printed; that of tracks, chosen with 0.001 beside it, and of 0.003, 0.01, 0.03 and 0.1, on validation
#: characters (`docs/deviations.md`).
IMAGES = Kind(_network, _DIM, F.cross_entropy, printed=5e-6, rate=3e-3, tuned=1e-2)
