r"""How features move while their encoder is trained: an affine map, fitted on examples seen by it before and after.

Examples that are gone cannot be seen again. Where they would be now is estimated from those that are still at hand
(Yu et al., 2020, semantic drift compensation), here by ridge regression of the movement f' - f on f.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from fastslow.core.gaussian import ClassStatistics

#: Weight of the penalty on the map, in units of the features' mean square.
_RIDGE = 0.1


class Drift(NamedTuple):
    r"""Where features go: :math:`f' = f (I + A) + b`.

    Attributes:
        matrix: I + A, shape (features, features), float64.
        shift: b, shape (features,), float64.
    """

    matrix: Float[Tensor, "features features"]
    shift: Float[Tensor, " features"]

    def of(self, features: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch features"]:
        """Features as they are now, of the type that they were."""
        return (features.double() @ self.matrix + self.shift).to(features.dtype)

    def of_spread(self, covariance: Float[Tensor, "features features"]) -> Float[Tensor, "features features"]:
        """A covariance, or a scatter, of features as they are now."""
        return (self.matrix.mT @ covariance.double() @ self.matrix).to(covariance.dtype)

    def of_statistics(self, statistics: ClassStatistics) -> ClassStatistics:
        """How classes spread now."""
        centre, within, between = statistics
        return ClassStatistics(self.of(centre), self.of_spread(within), self.of_spread(between))


def fit_drift(
    before: Float[Tensor, "examples features"], after: Float[Tensor, "examples features"], *, ridge: float = _RIDGE
) -> Drift:
    """The affine map from features to features, drawn towards leaving them where they are.

    Args:
        before: of the same examples, shape (examples, features), at least one.
        after: likewise.
        ridge: weight of the penalty, in units of the mean square of `before`.
    """
    seen = torch.cat([before, before.new_ones(len(before), 1)], 1).double()
    products = seen.mT @ seen
    penalty = ridge * products.diagonal().mean() * torch.eye(len(products), dtype=torch.float64, device=seen.device)
    moved = torch.linalg.solve(products + penalty, seen.mT @ (after - before).double())
    return Drift(torch.eye(before.shape[1], dtype=torch.float64, device=seen.device) + moved[:-1], moved[-1])
