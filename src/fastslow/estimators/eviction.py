"""What is done when a memory is full: near examples of a class are merged, or old ones dropped, in the largest."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.errors import InputError
from fastslow.estimators.examples import Examples

#: What is done when there is no room: the nearest two examples of one class become their mean; the oldest goes; or the
#: new ones are refused.
Eviction = Literal["merge", "oldest", "refuse"]
EVICTIONS: tuple[str, ...] = get_args(Eviction)
#: Share of all rows that is made free at once when they are full: then few examples pay for many.
_FREED = 0.1
#: Rows that are compared with one another at a time.
_COMPARED = 2048


def make_room(examples: Examples, most: int, eviction: Eviction) -> Int64[Tensor, " changed"]:
    """Brings the rows down to `most` and a little below, the largest classes first, none to less than one row.

    Returns:
        The classes that have other rows now.

    Raises:
        ValueError: if there are more classes than that.
    """
    sizes = examples.classes.bincount()
    if int((sizes > 0).sum()) > most:
        raise InputError(
            f"got {int((sizes > 0).sum())} classes for a memory of max_examples={most}; each needs one at least: "
            "raise max_examples, or forget classes"
        )
    room = max(int((1 - _FREED) * most), int((sizes > 0).sum()))
    return _reduce(examples, _levelled(sizes, room), eviction)


def limit(examples: Examples, per_class: int, eviction: Eviction) -> Int64[Tensor, " changed"]:
    """Brings every class of more than `per_class` rows down to that and a little below, and returns these classes."""
    sizes = examples.classes.bincount()
    room = max(int((1 - _FREED) * per_class), 1)
    return _reduce(examples, torch.where(sizes > per_class, room, sizes), eviction)


def _reduce(examples: Examples, sizes: Int64[Tensor, " classes"], eviction: Eviction) -> Int64[Tensor, " changed"]:
    """Brings each class down to a size."""
    changed = torch.nonzero(examples.classes.bincount() > sizes).flatten()
    over = changed
    while len(over):
        found = [_rows_over(examples, number, int(sizes[number]), eviction) for number in over.tolist()]
        if eviction == "oldest":
            kept = torch.ones(len(examples), dtype=torch.bool)
            kept[torch.cat(found)] = False
            examples.keep(kept)
        else:
            examples.merge(torch.cat(found))
        over = torch.nonzero(examples.classes.bincount() > sizes).flatten()
    return changed


def _rows_over(examples: Examples, number: int, most: int, eviction: Eviction) -> Tensor:
    """Of one class, the rows to drop, or pairs of rows to merge: as many as are over, or as can be at once."""
    rows = torch.nonzero(examples.classes == number).flatten()
    if eviction == "oldest":
        return rows[: len(rows) - most]
    over, features, counts = len(rows) - most, examples.features[rows], examples.counts[rows]
    pairs = _near_pairs(features, counts)
    if len(pairs) < over / 4:  # where many are alike, few are each other's nearest
        pairs = _neighbours(features, counts)
    return rows[pairs[:over]]


def _levelled(sizes: Int64[Tensor, " classes"], room: int) -> Int64[Tensor, " classes"]:
    """Sizes cut at the highest level at which their sum is at most `room`, but none below 1."""
    low, high = 1, int(sizes.max())
    while low < high:
        level = (low + high + 1) // 2
        low, high = (level, high) if int(sizes.clamp_max(level).sum()) <= room else (low, level - 1)
    return sizes.clamp_max(low)


def _near_pairs(features: Float[Tensor, "rows features"], counts: Int64[Tensor, " rows"]) -> Int64[Tensor, "pairs 2"]:
    r"""Pairs of rows that are each other's nearest, the nearest first; the earlier row of each first.

    By the scatter that is lost by merging them, :math:`\tfrac{nm}{n + m} \lVert x - y \rVert^2` (Ward, 1963): by plain
    distance, a mean of many would be the nearest of all others, and take them in one by one. Of many rows, each is
    compared with those of about the same time.
    """
    losses, pairs = [], []
    for rows in torch.split(torch.arange(len(features)), _COMPARED):
        weights = counts[rows].float()
        joint = weights.unsqueeze(1) * weights / (weights.unsqueeze(1) + weights)
        lost = joint * torch.cdist(features[rows], features[rows]).square()
        least, nearest = lost.fill_diagonal_(torch.inf).min(1)
        here = torch.arange(len(rows))
        mutual = torch.nonzero((nearest[nearest] == here) & (here < nearest)).flatten()
        losses.append(least[mutual])
        pairs.append(rows[torch.stack([mutual, nearest[mutual]], 1)])
    found = torch.cat(pairs)[torch.cat(losses).argsort(stable=True)]
    return found


def _neighbours(features: Float[Tensor, "rows features"], counts: Int64[Tensor, " rows"]) -> Int64[Tensor, "pairs 2"]:
    """Half as many pairs as rows: of neighbours in some direction, those that lose least first; equal rows are such."""
    direction = torch.arange(1, features.shape[1] + 1).float().cos()
    order = (features @ direction).argsort(stable=True)
    pairs = order[: len(order) // 2 * 2].view(-1, 2).sort(1).values
    into, other = pairs.unbind(1)
    joint = counts[into] * counts[other] / (counts[into] + counts[other])
    lost = joint * (features[into] - features[other]).square().sum(1)
    return pairs[lost.argsort(stable=True)]
