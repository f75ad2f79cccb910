r"""A Gaussian model of classes (Ioffe, 2006, probabilistic linear discriminant analysis): learned in closed form.

The mean of a class is drawn from :math:`N(m, B)`, its examples from a Gaussian around that mean with covariance W,
the same for all classes. On axes on which W is the identity and B is diagonal, :math:`\psi`, n examples whose sum is s
say of the class, one axis at a time,

.. math:: \text{mean} \sim N\Bigl(\frac{\psi s}{n \psi + 1},\ \frac{\psi}{n \psi + 1}\Bigr), \qquad
          \text{next example} \sim N\Bigl(\frac{\psi s}{n \psi + 1},\ 1 + \frac{\psi}{n \psi + 1}\Bigr).

A class of one example is thus believed less, and reaches farther, than one of a thousand. W and B change slowly, with
the features of whatever classes there are many examples of; the sums change at once. Where W and B are only estimates,
the next example is better taken from Student's t distribution of the same location and scale, whose tails are heavier.

Queries are compared by NumPy, on the memory of tensors on the CPU: one query is a hundred numbers, and a step of torch
takes longer than to compute them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastslow.errors import InputError

#: Spread between classes below which an axis is taken for one that all classes share.
_LEAST_SPREAD = 1e-3


class ClassStatistics(NamedTuple):
    """How features spread.

    Attributes:
        centre: mean of the means of classes, shape (features,).
        within: W, covariance of examples around the mean of their class, shape (features, features).
        between: B, covariance of the means, likewise.
    """

    centre: Float[Tensor, " features"]
    within: Float[Tensor, "features features"]
    between: Float[Tensor, "features features"]


class ClassAxes(NamedTuple):
    """Axes on which W is the identity and B is diagonal.

    Attributes:
        centre: what features are counted from, shape (features,).
        axes: as columns, shape (features, axes).
        spread: psi, the variance between classes on each, in units of that within, shape (axes,).
    """

    centre: Float[Tensor, " features"]
    axes: Float[Tensor, "features axes"]
    spread: Float[Tensor, " axes"]

    def of(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch axes"]:
        """Features on these axes, in 64 bits."""
        return torch.from_numpy((features.numpy() - self.centre.numpy()) @ self.axes.numpy())


class Posterior(NamedTuple):
    """What is known of classes: of the next example of each, on `ClassAxes`.

    Attributes:
        location: its mean, shape (classes, axes).
        variance: its variance on each axis, likewise.
    """

    location: Float[Tensor, "classes axes"]
    variance: Float[Tensor, "classes axes"]


class ClassForms(NamedTuple):
    """What distances from classes are computed of: so that what depends on the classes alone is made once.

    Attributes:
        factors: of a query's squares and of the query itself: one over the variance, and minus twice the location over
            the variance, shape (classes, 2 axes).
        squares: sum over the axes of location squared over variance, shape (classes,).
        volume: minus half the sum of the logarithms of the variance, likewise.
    """

    factors: Float[Tensor, "classes factors"]
    squares: Float[Tensor, " classes"]
    volume: Float[Tensor, " classes"]


class ClassDistances(NamedTuple):
    """What queries are to classes.

    Attributes:
        far: squared distance in units of each class's variance, over the number of axes: about 1 for an example of the
            class; shape (queries, classes).
        likelihood: log likelihood but for a constant, likewise.
    """

    far: Float[Tensor, "queries classes"]
    likelihood: Float[Tensor, "queries classes"]


def class_statistics(
    features: Float[Tensor, "examples features"], labels: Int64[Tensor, " examples"]
) -> ClassStatistics:
    """Statistics of examples of many classes; in 64 bits.

    Args:
        features: at least two examples of one class, and two classes.
        labels: their classes, numbered from 0.

    Raises:
        ValueError: if there are fewer.
    """
    features = features.double()
    sums, counts = class_sums(features, labels, int(labels.max()) + 1 if len(labels) else 0)
    present = counts > 0
    classes = int(present.sum())
    _refuse_too_few(len(features), classes)
    means = sums / counts.clamp_min(1).unsqueeze(-1)
    residues = features - means[labels]
    within = residues.mT @ residues / (len(features) - classes)
    return _statistics(means[present], within, counts[present])


def statistics_of_sums(
    products: Float[Tensor, "features features"],
    sums: Float[Tensor, "classes features"],
    counts: Float[Tensor, " classes"],
) -> ClassStatistics:
    """`class_statistics` from sums over examples that need not be kept.

    Args:
        products: sum over all examples of the products of their features, in 64 bits.
        sums: of the examples of each class, in 64 bits.
        counts: how many those are.

    Raises:
        ValueError: as there.
    """
    examples, present = int(counts.sum()), counts > 0
    _refuse_too_few(examples, int(present.sum()))
    counts, sums = counts[present].unsqueeze(-1), sums[present]
    within = (products - (sums / counts).mT @ sums) / (examples - len(sums))
    return _statistics(sums / counts, within, counts)


def class_sums(
    features: Float[Tensor, "examples features"], labels: Int64[Tensor, " examples"], num_classes: int
) -> tuple[Float[Tensor, "classes features"], Float[Tensor, " classes"]]:
    """Sum and number of the examples of each class, in 64 bits, in the order in which they come."""
    sums = torch.zeros(num_classes, features.shape[1], dtype=torch.float64, device=features.device)
    counts = torch.zeros(num_classes, dtype=torch.float64, device=features.device)
    counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float64))
    return sums.index_add_(0, labels, features.double()), counts


def evened(within: Float[Tensor, "features features"], share: float) -> Float[Tensor, "features features"]:
    """W with a share of it the same in all directions: classes of training say little of some that matter for others.

    Args:
        within: W.
        share: in [0, 1].
    """
    even = within.diagonal().mean() * torch.eye(len(within), dtype=within.dtype, device=within.device)
    return (1 - share) * within + share * even


def class_axes(statistics: ClassStatistics) -> ClassAxes:
    """The axes of statistics, in 64 bits: what distances are differences of may be thousands of times as large.

    Args:
        statistics: of any scale.

    Raises:
        ValueError: if the features do not vary within classes, in all directions or in one.
    """
    centre, within, between = (part.double() for part in statistics)
    root, failed = torch.linalg.cholesky_ex(within)
    if failed:
        raise InputError("got features that do not vary within classes; give statistics of examples that differ")
    inverse = torch.linalg.inv(root)
    spread, directions = torch.linalg.eigh(inverse @ between @ inverse.mT)
    axes = inverse.mT @ directions
    return ClassAxes(centre, axes, spread.clamp_min(_LEAST_SPREAD))


def telling_axes(statistics: ClassStatistics) -> Float[Tensor, "features axes"]:
    r"""Axes on which squared distances weigh each direction by how well it tells classes apart.

    After one drawing x of a class the log likelihood of the next, q, is
    :math:`\sum_i \frac{\psi_i}{2 \psi_i + 1} q_i x_i` on the axes of `ClassAxes`, but for terms of x or of q alone.
    Here each of those axes is multiplied by the root of its factor, and the one that tells most comes first. The terms
    of x alone are then those of a plain distance, not of the likelihood.

    Returns:
        As columns, in 64 bits.

    Raises:
        ValueError: as `class_axes`.
    """
    _, axes, spread = class_axes(statistics)
    return (axes * (spread / (2 * spread + 1)).sqrt()).flip(1)


def posterior(
    sums: Float[Tensor, "classes axes"], counts: Float[Tensor, " classes"], spread: Float[Tensor, " axes"]
) -> Posterior:
    """What examples say of their classes, see the module.

    Args:
        sums: of each class's examples on the axes, shape (classes, axes).
        counts: how many they are, shape (classes,).
        spread: of `ClassAxes`.
    """
    known = counts.unsqueeze(-1) * spread + 1
    return Posterior(spread * sums / known, 1 + spread / known)


def class_forms(classes: Posterior) -> ClassForms:
    """The forms of classes, for `distances`."""
    precision = classes.variance.reciprocal()
    weighted = classes.location * precision
    factors = torch.cat([precision, -2 * weighted], -1)
    return ClassForms(factors, (classes.location * weighted).sum(-1), -0.5 * classes.variance.log().sum(-1))


def distances(
    queries: Float[Tensor, "queries axes"], classes: ClassForms, *, freedom: float = math.inf
) -> ClassDistances:
    """How far queries are from classes, each by itself.

    Args:
        queries: on the axes.
        classes: their forms.
        freedom: degrees of freedom of Student's t distribution of the next example; it is Gaussian if infinite.
    """
    asked, size = queries.numpy(), queries.shape[-1]
    squared = np.concatenate([asked * asked, asked], -1) @ classes.factors.numpy().T
    squared += classes.squares.numpy()
    np.maximum(squared, 0, out=squared)
    likelihood = _log_density(squared, size, freedom)
    likelihood += classes.volume.numpy()
    squared /= size
    return ClassDistances(torch.from_numpy(squared), torch.from_numpy(likelihood))


def own_likelihood(
    examples: Float[Tensor, "examples axes"], classes: Posterior, *, freedom: float = math.inf
) -> Float[Tensor, " examples"]:
    """Log likelihood of each example in a class of its own, as by `distances`.

    Args:
        examples: on the axes.
        classes: what is known of the class of each, a row an example.
        freedom: see `distances`.
    """
    squared = ((examples - classes.location).square() / classes.variance).sum(-1)
    density = torch.from_numpy(_log_density(squared.numpy(), examples.shape[-1], freedom))
    return density - 0.5 * classes.variance.log().sum(-1)


def _refuse_too_few(examples: int, classes: int) -> None:
    if classes < 2 or examples <= classes:
        raise InputError(
            f"got {examples} examples of {classes} classes; how features spread needs two classes, and two examples "
            "of one of them"
        )


def _statistics(
    means: Float[Tensor, "classes features"], within: Float[Tensor, "features features"], counts: Tensor
) -> ClassStatistics:
    """Of the means of classes of so many examples, and W."""
    noise = within * (1 / counts).mean()  # what means of few examples vary by themselves
    return ClassStatistics(means.mean(0), within, torch.cov(means.mT) - noise)


def _log_density(squared: np.ndarray, size: int, freedom: float) -> np.ndarray:
    """Of squared distances in units of the variance on so many axes, but for a constant and the volume."""
    if math.isinf(freedom):
        return squared * -0.5
    density: np.ndarray = np.log1p(squared / freedom)
    density *= -0.5 * (freedom + size)
    return density
