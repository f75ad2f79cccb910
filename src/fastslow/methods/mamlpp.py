"""MAML++ (Antoniou, Edwards, Storkey 2019): MAML with what makes its training stable.

Network and statistics of batch norm as in `methods.maml`. The published figures on Omniglot are of four convolutions of
64 with max pooling: the options of MAML, but for `--model.halving floor`.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vmap
from torch.nn import functional as F

from fastslow.core.encoders import ImageEncoder
from fastslow.methods.base import Task
from fastslow.methods.config import ModelConfig
from fastslow.methods.maml import MAML, InnerLoop, configured

#: The published steps on Omniglot; the step size is the one that is learned from.
INNER_LOOP = InnerLoop(steps=5, rate=0.1, test_steps=5)
#: Share of training over which losses are annealed and steps are first order: that of the authors' program for losses
#: on Omniglot, 10 of 100 epochs.
ANNEALED = 0.1
#: Share of an even weight that the weight of a step's loss does not fall below while losses are annealed.
LEAST_WEIGHT = 0.03


def step_weights(steps: int, done: float) -> list[float]:
    """Weights of the query losses after each step (Eq. 2 there): even at first, then more and more the last one's.

    As in the authors' program: the weight of each step but the last falls linearly from 1 / steps to `LEAST_WEIGHT` of
    that, and once annealing is over it is 0.

    Args:
        steps: how many.
        done: how much of the annealing is over, in [0, 1].

    Returns:
        One weight a step; they sum to 1.
    """
    early = max(1 - done, LEAST_WEIGHT) / steps if done < 1 else 0.0
    return [early] * (steps - 1) + [1 - early * (steps - 1)]


class MAMLPlusPlus(MAML):
    """MAML with annealed losses after every step, learned step sizes, and batch norm weights for every step.

    By the names there (Sec. 4): the losses of the queries after each step count (multi-step loss, see `step_weights`);
    each weight has a step size for each step, learned (LSLR); each step has its own weights of batch norm, which are
    learned but not adapted, and its own statistics (BNWB, BNRS); gradients of steps are constants at first
    (derivative-order annealing). Annealing is over when a tenth of the training is (`anneal`).

    Args:
        encoder: see `MAML`.
        num_classes: see `MAML`.
        inner_loop: the steps; not more outside of training than in it.

    Attributes:
        inner_rates: step sizes, shape (steps, weights).
        norm_values: weights and biases of the encoder's batch norms, each of shape (steps, channels).
        annealed: how much of the annealing is over, in [0, 1]; all of it but in training (`anneal`).
    """

    def __init__(self, *, encoder: ImageEncoder, num_classes: int, inner_loop: InnerLoop = INNER_LOOP) -> None:
        super().__init__(encoder=encoder, num_classes=num_classes, inner_loop=inner_loop)
        self.annealed = 1.0
        norms = [name for name, module in encoder.named_modules() if isinstance(module, nn.BatchNorm2d)]
        self._norms = [f"{name}.{kind}" for name in norms for kind in ("weight", "bias")]
        self.norm_values = nn.ParameterList(
            encoder.get_parameter(name).detach().repeat(self.steps, 1) for name in self._norms
        )
        self._adapted = {name: number for number, name in enumerate(self.start())}
        self.inner_rates = nn.Parameter(self.head.weight.new_full((self.steps, len(self._adapted)), self.rate))

    def begin(self, stage: str) -> None:
        """Every step begins with the weights of batch norm that the encoder has, which may be a trained one."""
        for name, values in zip(self._norms, self.norm_values, strict=True):
            values.data.copy_(self.encoder.get_parameter(name).data)

    def anneal(self, done: float) -> None:
        """See `Method.anneal`."""
        self.annealed = min(1.0, done / ANNEALED)

    def start(self) -> dict[str, Tensor]:
        """See `MAML.start`; without batch norm."""
        return {name: weight for name, weight in super().start().items() if name not in self._norms}

    def completed(self, step: int, weights: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """See `MAML.completed`: the step's batch norm."""
        norms = {name: values[step] for name, values in zip(self._norms, self.norm_values, strict=True)}
        return (self.start() if weights is None else weights) | norms

    def rate_of(self, name: str, step: int) -> Tensor:
        """See `MAML.rate_of`."""
        return self.inner_rates[step, self._adapted[name]]

    def parameters_of(self, stage: str) -> list[nn.Parameter]:
        """See `Method.parameters_of`; the encoder's own batch norm is in no step."""
        resting = {id(self.encoder.get_parameter(name)) for name in self._norms}
        return [p for p in super().parameters_of(stage) if id(p) not in resting]

    def is_first_order(self) -> bool:
        """See `MAML.is_first_order`."""
        return self.annealed < 1

    def loss(self, task: Task) -> Float[Tensor, ""]:
        """The cross entropies after each step, weighted, nats."""
        loss = partial(self._loss, shares=step_weights(self.steps, self.annealed), first_order=self.is_first_order())
        losses: Tensor = vmap(loss, in_dims=(None, 0))(self.start(), task[:4])
        return losses.mean()

    def _loss(
        self, weights: dict[str, Tensor], task: tuple[Tensor, ...], *, shares: list[float], first_order: bool
    ) -> Tensor:
        """Of one task."""
        support, labels, query, query_labels = task
        losses = []
        for step, share in enumerate(shares):
            weights = self.stepped(weights, support, labels, step=step, first_order=first_order)
            if share:
                complete = self.completed(step, weights)
                logits = self.answered(complete, self.moments(complete, support), query)
                losses.append(share * F.cross_entropy(logits, query_labels))
        return torch.stack(losses).sum()


class TransductiveMAMLPlusPlus(MAMLPlusPlus):
    """Control `transductive`: queries are normalised by the statistics of all of a task's queries, as published."""

    transductive: ClassVar[bool] = True


def build(config: ModelConfig, encoder: ImageEncoder) -> MAMLPlusPlus:
    """MAML++ around an encoder; weights from torch's global generator."""
    kind = TransductiveMAMLPlusPlus if config.control == "transductive" else MAMLPlusPlus
    return kind(encoder=encoder, num_classes=config.n_way, inner_loop=configured(INNER_LOOP, config))
