"""How far labels of kept examples are believed, where some are wrong: as far as the other examples agree with them.

The write gate of `core.write_gate` in the words of the Gaussian model: each example is asked of the classes, itself
left out of its own, and counts as much as it gets of its label's probability, compared with the example of its class
that gets most: so a class that is hard to tell from others loses nothing. Not in the paper, and nothing is learned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from fastslow.core.gaussian import class_forms, distances, own_likelihood, posterior

#: Chosen on validation classes of Omniglot, with labels right and wrong: what likelihoods are divided by, on 128 axes
#: and in proportion on others, at least 1; and how often examples are asked, each time of classes as they were believed
#: the time before. Features of images say the same thing on many axes.
_TEMPERATURE, PASSES = 20 / 128, 2
#: No example is believed less.
LEAST = 1e-6
#: Examples asked at a time.
_AT_ONCE = 1024


def believed(
    rows: Float64[Tensor, "rows axes"],
    classes: Int64[Tensor, " rows"],
    counts: Float64[Tensor, " rows"],
    spread: Float64[Tensor, " axes"],
    *,
    num_classes: int,
    freedom: float,
) -> Float64[Tensor, " rows"]:
    """Share of each row that is believed: from `LEAST` to 1, and 1 for one row of each class at least.

    Args:
        rows: examples on `ClassAxes`; means of several, where they have been merged.
        classes: of each.
        counts: of how many examples each is the mean.
        spread: of `ClassAxes`.
        num_classes: of them.
        freedom: see `distances`.
    """
    temperature = temperature_of(rows.shape[1])
    shares = torch.ones_like(counts)
    for _ in range(PASSES):
        weights = shares * counts
        sums, known = sums_of(rows, classes, weights, num_classes)
        forms = class_forms(posterior(sums, known, spread))
        forms = forms._replace(squares=forms.squares.masked_fill(known == 0, torch.inf))
        found = []
        for part in torch.split(torch.arange(len(rows)), _AT_ONCE):
            own, asked, weight = classes[part], rows[part], weights[part]
            others = posterior(sums[own] - weight.unsqueeze(1) * asked, (known[own] - weight).clamp_min(0), spread)
            likelihood = distances(asked, forms, freedom=freedom).likelihood
            likelihood[torch.arange(len(part)), own] = own_likelihood(asked, others, freedom=freedom)
            found.append((likelihood / temperature).softmax(1)[torch.arange(len(part)), own])
        shares = torch.cat(found).clamp_min(LEAST)
        most = shares.new_zeros(num_classes).scatter_reduce(0, classes, shares, "amax")
        shares = shares / most[classes]
    return shares


def temperature_of(num_axes: int) -> float:
    """What likelihoods are divided by."""
    return max(1.0, _TEMPERATURE * num_axes)


def sums_of(
    rows: Float64[Tensor, "rows axes"],
    classes: Int64[Tensor, " rows"],
    weights: Float64[Tensor, " rows"],
    num_classes: int,
) -> tuple[Float64[Tensor, "classes axes"], Float64[Tensor, " classes"]]:
    """Weighted sum of the rows of each class, and sum of their weights, in the order in which they come."""
    sums, totals = rows.new_zeros(num_classes, rows.shape[1]), weights.new_zeros(num_classes)
    return sums.index_add_(0, classes, rows * weights.unsqueeze(1)), totals.index_add_(0, classes, weights)
