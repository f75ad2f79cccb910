"""Relation networks (Sung, Yang, Zhang, Xiang, Torr, Hospedales 2018): a learned comparison of feature maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.encoders import ConvEncoder, ImageEncoder, halved
from fastslow.methods.base import Method, Task, refuse_wrong_labels
from fastslow.methods.config import ModelConfig

#: Channels of the relation module's convolutions, and features of its hidden layer (Fig. 2 there).
CHANNELS, HIDDEN = 64, 8
#: Logits are relation scores times this: scores themselves, from 0 to 1, would make a softmax nearly even.
SCALE = 10.0


class ClassMaps(NamedTuple):
    """What a support set has taught: the sum of the feature maps of each class.

    Attributes:
        sums: of maps as the encoder flattens them, shape (batch, classes, features).
        counts: of examples, shape (batch, classes).
    """

    sums: Tensor
    counts: Tensor


class RelationModule(nn.Module):
    """How alike two feature maps are: two convolutions with batch norm, ReLU and pooling, two linear layers.

    Pooling takes an odd last row and column by themselves, so that maps of 3 x 3 are left with something.

    Args:
        channels: of either map.
        edge: height and width of the maps.
        hidden: features of the layer before the last.
    """

    def __init__(self, *, channels: int, edge: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2 * channels, CHANNELS, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(CHANNELS)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(CHANNELS)
        self.hidden = nn.Linear(CHANNELS * halved(halved(edge, "ceil"), "ceil") ** 2, hidden)
        self.score = nn.Linear(hidden, 1)

    def forward(
        self,
        classes: Float[Tensor, "batch classes channels height width"],
        queries: Float[Tensor, "batch queries channels height width"],
    ) -> Float[Tensor, "batch queries classes"]:
        """The relation score of every query with every class, between 0 and 1, as for maps set one on the other.

        The first convolution is linear, so that each map goes through its half of it once rather than in every pair.
        """
        batch, num_classes, channels = classes.shape[:3]
        of_class, of_query = self.conv1.weight[:, :channels], self.conv1.weight[:, channels:]
        shown = F.conv2d(classes.flatten(0, 1), of_class, padding=1)
        asked = F.conv2d(queries.flatten(0, 1), of_query, padding=1)
        size = shown.shape[1:]
        pairs = asked.reshape(batch, -1, 1, *size) + shown.reshape(batch, 1, num_classes, *size)
        small = _pooled(self.norm2(self.conv2(_pooled(self.norm1(pairs.flatten(0, 2))))))
        scores: Tensor = self.score(F.relu(self.hidden(small.flatten(1)))).sigmoid()
        return scores.view(batch, -1, num_classes)


class RelationNetwork(Method[ClassMaps]):
    r"""A class is the mean of its examples' feature maps, and a learned module says how alike a query is to it.

    Eq. 1 of that paper: :math:`r_{i,j} = g_\phi(\mathcal{C}(f_\varphi(x_i), f_\varphi(x_j)))`, for several shots with
    the sum of :math:`f_\varphi(x_i)` over the class; here the mean, so that a module trained at one shot can be asked
    at five. Encoder and module are trained together, from nothing. At test statistics of batch norm are running
    averages, so that each query is answered as if alone.

    Args:
        encoder: images to feature maps, flattened: without a projection.
        num_classes: the most ways a task can have.
        relation: the module g.
    """

    stages: ClassVar[tuple[str, ...]] = ("end_to_end",)
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"end_to_end": 1e-3})
    batch_statistics: ClassVar[bool] = True

    def __init__(self, *, encoder: ImageEncoder, num_classes: int, relation: RelationModule) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes)
        self.relation = relation
        self.map_shape = map_shape(encoder.encoder)

    def initial_state(self, batch_size: int) -> ClassMaps:
        """See `Method.initial_state`."""
        sums = self.encoder.log_sharpness.new_zeros(batch_size, self.num_classes, self.encoder.num_features)
        return ClassMaps(sums, sums[..., 0])

    def learn(
        self,
        examples: Float[Tensor, "batch support features"],
        targets: Int64[Tensor, "batch support"],
        state: ClassMaps | None = None,
    ) -> ClassMaps:
        """See `Method.learn`."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        state = state or self.initial_state(len(examples))
        members = F.one_hot(targets, self.num_classes).to(examples.dtype).mT
        return ClassMaps(state.sums + members @ examples, state.counts + members.sum(-1))

    def answer(
        self, examples: Float[Tensor, "batch queries features"], state: ClassMaps
    ) -> Float[Tensor, "batch queries classes"]:
        """Relation scores times `SCALE`; minus infinity for classes never shown. See `Method.answer`."""
        never_shown = (state.counts == 0).unsqueeze(1)
        return SCALE * self.scores(examples, state).masked_fill(never_shown, -math.inf)

    def scores(
        self, examples: Float[Tensor, "batch queries features"], state: ClassMaps
    ) -> Float[Tensor, "batch queries classes"]:
        """Relation scores of queries with all classes, shown or not, between 0 and 1."""
        means = state.sums / state.counts.clamp_min(1).unsqueeze(-1)
        classes, queries = (part.reshape(*part.shape[:2], *self.map_shape) for part in (means, examples))
        scores: Tensor = self.relation(classes, queries)
        return scores

    def loss(self, task: Task) -> Float[Tensor, ""]:
        """The mean squared distance of relation scores to 1 for the query's class and 0 for the others (Eq. 2 there).

        Classes without an example do not count. A mean is the same in two parts, so that `Task.cut` plays no part.
        """
        state = self.learn(task.support, task.support_labels)
        scores = self.scores(task.query, state)
        wanted = F.one_hot(task.query_labels, self.num_classes).to(scores.dtype)
        shown = (state.counts > 0).unsqueeze(1).expand_as(scores)
        return F.mse_loss(scores[shown], wanted[shown])


def map_shape(encoder: ConvEncoder) -> tuple[int, int, int]:
    """Channels, height and width of the maps that an encoder flattens."""
    block = encoder.blocks[-1]
    channels = int(block.conv.out_channels)  # type: ignore[union-attr, arg-type]
    edge = math.isqrt(encoder.num_features // channels)
    return channels, edge, edge


def build(config: ModelConfig, encoder: ImageEncoder) -> RelationNetwork:
    """A relation module on an encoder's maps, weights from torch's global generator; a projection is left out."""
    maps = ImageEncoder(encoder.encoder, None)
    channels, edge, _ = map_shape(maps.encoder)
    return RelationNetwork(
        encoder=maps, num_classes=config.n_way, relation=RelationModule(channels=channels, edge=edge)
    )


def _pooled(images: Tensor) -> Tensor:
    """2 x 2 max pooling, then ReLU: the same as the other way round, on a quarter of the numbers."""
    return F.relu(F.max_pool2d(images, 2, ceil_mode=True))
