"""Model-agnostic meta-learning (Finn, Abbeel, Levine 2017): a few gradient steps on each support set, learned through.

The published figures on Omniglot are of four strided convolutions of 64, see `PUBLISHED`; on the command line
`--model.channels "[64,64,64,64]" --model.residual "[false,false,false,false]" --model.halving stride
--model.projection 0`, with `--control transductive`. Any other encoder can be adapted as well.

Batch norm has no running averages here. The support set is normalised by its own statistics. Queries are normalised by
those of the support set too, so that each is answered as if alone, in training as well (MetaBN in Bronskill et al.
2020); under the control `transductive` by those of the query set, as in the published figures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn import functional as F

from fastslow.core.encoders import ConvBlock, ImageEncoder, images_per_pass
from fastslow.methods.base import Method, Task, refuse_wrong_labels
from fastslow.methods.config import ModelConfig

#: Fields of `ModelConfig` for the network of the published figures on Omniglot (appendix A.1 there).
PUBLISHED: Mapping[str, Any] = MappingProxyType(
    {"channels": (64,) * 4, "residual": (False,) * 4, "halving": "stride", "projection": 0}
)


class InnerLoop(NamedTuple):
    """How a task is learned.

    Attributes:
        steps: gradient steps in training.
        rate: their step size.
        test_steps: gradient steps outside of training.
    """

    steps: int
    rate: float
    test_steps: int


def published_inner_loop(n_way: int) -> InnerLoop:
    """The published steps on Omniglot (appendix A.1 there): few large ones up to 5 ways, more small ones beyond."""
    return InnerLoop(1, 0.4, 3) if n_way <= 5 else InnerLoop(5, 0.1, 5)


def configured(published: InnerLoop, config: ModelConfig) -> InnerLoop:
    """The published steps, but for those options of a model that are given; as many steps in tests as in training."""
    steps = config.inner_steps
    changes = {"steps": steps, "test_steps": steps} if steps else {}
    return published._replace(**changes, rate=config.inner_rate or published.rate)


class Moments(NamedTuple):
    """Statistics of one batch norm.

    Attributes:
        mean: shape (..., channels).
        variance: shape (..., channels), over the number of values.
    """

    mean: Tensor
    variance: Tensor


class Adapted(NamedTuple):
    """What a support set has taught.

    Attributes:
        support: all images so far, shape (batch, support, 1, height, width).
        labels: theirs, shape (batch, support).
        weights: of the network after the steps, by name, each (batch, ...).
        moments: of the support set under these weights, one for each batch norm in the order they are passed; none
            where queries are normalised by their own.
    """

    support: Tensor
    labels: Tensor
    weights: dict[str, Tensor]
    moments: tuple[Moments, ...]


class Pass:
    """One pass of one task's images through the network, its weights and statistics given from outside.

    Args:
        weights: by the names that they have in an `ImageEncoder`; the head's are "head.weight" and "head.bias".
        moments: statistics to normalise by, in the order of the norms; each norm's own input's if None.

    Attributes:
        moments: the statistics that were normalised by.
    """

    def __init__(self, weights: Mapping[str, Tensor], moments: Sequence[Moments] | None = None) -> None:
        self.weights, self._given = weights, moments
        self.moments: list[Moments] = []

    def logits(self, encoder: ImageEncoder, images: Tensor) -> Tensor:
        """Of images (images, 1, height, width), shape (images, classes); the encoder says only how it is built."""
        maps = images
        for number, block in enumerate(encoder.encoder.blocks):
            assert isinstance(block, ConvBlock)
            maps = self._block(maps, block, f"encoder.blocks.{number}.")
        features = maps.flatten(1)
        if encoder.projection is not None:
            features = F.linear(features, self.weights["projection.linear.weight"])
            features = self._normalised(features, "projection.centre.", encoder.projection.centre)
        return F.linear(features, self.weights["head.weight"], self.weights["head.bias"])

    def _block(self, maps: Tensor, block: ConvBlock, name: str) -> Tensor:
        """See `ConvBlock.forward`."""
        convolved = F.conv2d(maps, self.weights[name + "conv.weight"], stride=block.conv.stride, padding=1)
        normal = self._normalised(convolved, name + "norm.", block.norm)
        small = normal if block.halving == "stride" else F.max_pool2d(normal, 2, ceil_mode=block.halving == "ceil")
        pooled = F.relu(small)
        if block.residual_conv is None or block.residual_norm is None:
            return pooled
        convolved = F.conv2d(pooled, self.weights[name + "residual_conv.weight"], padding=1)
        return pooled + F.relu(self._normalised(convolved, name + "residual_norm.", block.residual_norm))

    def _normalised(self, inputs: Tensor, name: str, norm: nn.Module) -> Tensor:
        """Batch norm of (images, channels, ...): one multiplication and addition for each number."""
        axes = (0, *range(2, inputs.dim()))
        if self._given is None:
            variance, mean = torch.var_mean(inputs, axes, correction=0)
            moments = Moments(mean, variance)
        else:
            moments = self._given[len(self.moments)]
        self.moments.append(moments)
        assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d)
        scale = torch.rsqrt(moments.variance + norm.eps)
        shift = -moments.mean * scale
        if name + "weight" in self.weights:
            weight = self.weights[name + "weight"]
            scale, shift = scale * weight, shift * weight + self.weights[name + "bias"]
        shape = (-1, *(1 for _ in axes[1:]))
        return torch.addcmul(shift.view(shape), inputs, scale.view(shape))


def tasks_at_once(encoder: ImageEncoder, images: Float[Tensor, "batch images 1 height width"]) -> int | None:
    """How many tasks to pass side by side; None for all, where the graph of all is kept anyway."""
    if torch.is_grad_enabled():
        return None
    return max(1, images_per_pass(encoder) // max(1, images.shape[1]))


class MAML(Method[Adapted]):
    r"""Learns a task by gradient steps of every weight, and learns from where to start.

    Steps are :math:`\theta \leftarrow \theta - \alpha \nabla_\theta L_{support}(\theta)` (Eq. 1 there), from the same
    start for each task; training makes the query loss after them small (Eq. 2 there) through the steps, with their
    second derivatives. Images shown later are joined to those before, and the steps start over. Features are the images
    themselves: every layer is adapted.

    Args:
        encoder: what is adapted, with a linear head on it.
        num_classes: the most ways a task can have.
        inner_loop: the steps.
        first_order: take the gradient of a step for a constant (FOMAML, Sec. 5.2 there).
    """

    needs_autograd: ClassVar[bool] = True
    stages: ClassVar[tuple[str, ...]] = ("end_to_end",)
    rates: ClassVar[Mapping[str, float]] = MappingProxyType({"end_to_end": 1e-3})

    def __init__(
        self, *, encoder: ImageEncoder, num_classes: int, inner_loop: InnerLoop, first_order: bool = False
    ) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes)
        self.head = nn.Linear(encoder.num_features, num_classes)
        self.steps, self.rate, self.test_steps = inner_loop
        self.first_order = first_order

    def embed(self, inputs: Float[Tensor, "images 1 height width"]) -> Float[Tensor, "images 1 height width"]:
        """The images themselves: what becomes of them is for each task to learn."""
        self.encoder.encoder.refuse_other_images(inputs)
        return inputs

    def start(self) -> dict[str, Tensor]:
        """The weights that are adapted, by name, where each task starts."""
        weights: dict[str, Tensor] = dict(self.encoder.named_parameters())
        del weights["log_sharpness"]
        return weights | {f"head.{name}": weight for name, weight in self.head.named_parameters()}

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        """See `Method.parameters_of`; without the scale of distances, which are not compared here."""
        return [p for p in super().parameters_of(stage) if p is not self.encoder.log_sharpness]

    def initial_state(self, batch_size: int) -> Adapted:
        """See `Method.initial_state`; nothing is normalised yet."""
        size, like = self.encoder.image_size, self.head.weight
        moments = []
        for norm in self.encoder.modules():
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) and not self.transductive:
                zeros = like.new_zeros(batch_size, norm.num_features)
                moments.append(Moments(zeros, zeros + 1))
        weights = {name: weight.expand(batch_size, *weight.shape) for name, weight in self.completed(0).items()}
        labels = torch.zeros(batch_size, 0, dtype=torch.int64, device=like.device)
        return Adapted(like.new_zeros(batch_size, 0, 1, size, size), labels, weights, tuple(moments))

    def learn(
        self,
        examples: Float[Tensor, "batch support 1 height width"],
        targets: Int64[Tensor, "batch support"],
        state: Adapted | None = None,
    ) -> Adapted:
        """See `Method.learn`. Takes its steps also where the caller has switched autograd off."""
        refuse_wrong_labels(examples, targets, self.num_classes)
        if state is not None:
            examples, targets = torch.cat([state.support, examples], 1), torch.cat([state.labels, targets], 1)
        learned = partial(self._learned, first_order=self.is_first_order())
        learn = vmap(learned, in_dims=(None, 0, 0), chunk_size=tasks_at_once(self.encoder, examples))
        return Adapted(examples, targets, *learn(self.start(), examples, targets))

    def answer(
        self, examples: Float[Tensor, "batch queries 1 height width"], state: Adapted
    ) -> Float[Tensor, "batch queries classes"]:
        """See `Method.answer`."""
        answer = vmap(self.answered, chunk_size=tasks_at_once(self.encoder, examples))
        logits: Tensor = answer(state.weights, state.moments, examples)
        return logits

    def loss(self, task: Task) -> Float[Tensor, ""]:
        """See `Method.loss`; support sets come in one part, since one in two is learned as the whole."""
        return super().loss(task._replace(cut=0))

    def is_first_order(self) -> bool:
        """Whether the gradient of a step counts as a constant."""
        return self.first_order

    def stepped(
        self, weights: dict[str, Tensor], support: Tensor, labels: Tensor, *, step: int, first_order: bool
    ) -> dict[str, Tensor]:
        """One task's weights after one more step on the mean cross entropy of its support set."""

        def support_loss(weights: dict[str, Tensor]) -> Tensor:
            logits = Pass(self.completed(step, weights)).logits(self.encoder, support)
            return F.cross_entropy(logits, labels)

        # Without autograd around it, grad gives numbers that depend on nothing.
        with torch.no_grad() if first_order else contextlib.nullcontext():
            gradient = grad(support_loss)(weights)
        return {name: weight - self.rate_of(name, step) * gradient[name] for name, weight in weights.items()}

    def rate_of(self, name: str, step: int) -> Tensor | float:
        """The step size of a weight."""
        return self.rate

    def completed(self, step: int, weights: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """A task's weights at a step, or those at its start if None, and those that are not adapted: there are none."""
        return self.start() if weights is None else weights

    def moments(self, weights: dict[str, Tensor], support: Tensor) -> tuple[Moments, ...]:
        """What one task's queries are normalised by under complete weights, see `Adapted`."""
        if self.transductive:
            return ()
        through = Pass(weights)
        through.logits(self.encoder, support)
        return tuple(through.moments)

    def answered(self, weights: dict[str, Tensor], moments: tuple[Moments, ...], queries: Tensor) -> Tensor:
        """One task's logits under complete weights, shape (queries, classes)."""
        return Pass(weights, None if self.transductive else moments).logits(self.encoder, queries)

    def _learned(
        self, weights: dict[str, Tensor], support: Tensor, labels: Tensor, *, first_order: bool
    ) -> tuple[dict[str, Tensor], tuple[Moments, ...]]:
        """One task's complete weights after all steps, and its moments."""
        steps = self.steps if self.training else self.test_steps
        for step in range(steps):
            weights = self.stepped(weights, support, labels, step=step, first_order=first_order)
        complete = self.completed(max(0, steps - 1), weights)
        return complete, self.moments(complete, support)


class TransductiveMAML(MAML):
    """Control `transductive`: queries are normalised by the statistics of all of a task's queries, as published."""

    transductive: ClassVar[bool] = True


def build(config: ModelConfig, encoder: ImageEncoder) -> MAML:
    """MAML, or FOMAML where that is the method; weights from torch's global generator."""
    kind = TransductiveMAML if config.control == "transductive" else MAML
    return kind(
        encoder=encoder, num_classes=config.n_way,
        inner_loop=configured(published_inner_loop(config.n_way), config), first_order=config.method == "fomaml",
    )  # fmt: skip
