r"""A network beside a memory of errors: it learns slowly, by replayed backpropagation, what the memory leaves.

Not Eq. 10 of the paper: the gradients are true ones. The memory learns at once, forward only, and keeps what it has
learned where it belongs; what holds in many places alike, and bends, takes a network and many steps. What is left of
an error is taken before the memory has learned it, which is what there will be to correct of movements to come. How
far the network is trusted shows as they come, too, see `core.error_line.Trust`: here a block is a movement.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from fastslow.core.error_line import Trust

#: Units of the hidden layer, and AdamW's rate; chosen in streams of junctions and of cyclists of VRU
#: (`benchmarks/slow_errors.py`).
HIDDEN, RATE = 128, 1e-3
#: Its weight decay; steps for each movement, and moments of each step.
_DECAY, _STEPS, _BATCH = 1e-3, 40, 64
#: Moments that are kept to be replayed, each of the stream's as likely as any other.
KEPT = 8192
#: Movements before the first step, and the least spread that a number is divided by.
_FIRST, _LEAST_SPREAD = 3, 0.1


class ErrorNetwork:
    """One hidden layer on numbers that a correction may depend on; says nothing at first.

    Args:
        answers: numbers of what is left.
        seed: of weights, of what is kept and of what is replayed.
        hidden: units.
        rate: of AdamW.
        kept: moments.

    Attributes:
        trust: in what it says.
    """

    def __init__(
        self, answers: int, *, seed: int, hidden: int = HIDDEN, rate: float = RATE, kept: int = KEPT
    ) -> None:  # fmt: skip
        self.answers, self.hidden, self.rate, self.kept, self.trust = answers, hidden, rate, kept, Trust()
        self._generator, self._seed = np.random.default_rng(seed), seed
        self._numbers, self._left = np.zeros((0, 0)), np.zeros((0, answers))
        self._movements = self._moments = 0
        self._network: nn.Sequential | None = None

    def said(self, numbers: Float64[np.ndarray, "rows numbers"]) -> Float64[np.ndarray, "rows answers"]:
        """What is expected to be left, as far as it is trusted; changes nothing."""
        return self.trust.share * self._untrusted(numbers)

    def learn(
        self, numbers: Float64[np.ndarray, "moments numbers"], left: Float64[np.ndarray, "moments answers"]
    ) -> None:
        """Takes in one movement.

        Args:
            numbers: of its moments, as `said` was or would have been told them.
            left: what the memory left of each, before it learned any of them.
        """
        self.trust.learn(self._untrusted(numbers), left)
        self.trust.end_block()
        self._keep(numbers, left)
        self._movements += 1
        if self._movements >= _FIRST:
            self._train()

    def _untrusted(self, numbers: np.ndarray) -> np.ndarray:
        if self._network is None:
            return np.zeros((len(numbers), self.answers))
        with torch.no_grad():
            said: np.ndarray = self._network(self._scaled(numbers)).double().numpy()
        return said

    def _keep(self, numbers: np.ndarray, left: np.ndarray) -> None:
        """A reservoir: once full, each new moment takes a place as likely as it should have one."""
        room = max(0, self.kept - len(self._left))
        self._numbers = np.concatenate([self._numbers.reshape(-1, numbers.shape[1]), numbers[:room]])
        self._left = np.concatenate([self._left, left[:room]])
        for row in range(min(room, len(left)), len(left)):
            place = int(self._generator.integers(self._moments + row + 1))
            if place < self.kept:
                self._numbers[place], self._left[place] = numbers[row], left[row]
        self._moments += len(left)

    def _scaled(self, numbers: np.ndarray) -> Tensor:
        """By the mean and the spread of what is kept, as it was when the network last learned."""
        mean, spread = self._scale
        return torch.from_numpy((numbers - mean) / spread).float()

    def _train(self) -> None:
        self._scale = self._numbers.mean(0), np.maximum(self._numbers.std(0), _LEAST_SPREAD)
        if self._network is None:
            self._network, self._optimiser = self._begun()
        kept, wanted = self._scaled(self._numbers), torch.from_numpy(self._left).float()
        for _ in range(_STEPS):
            rows = torch.from_numpy(self._generator.integers(len(kept), size=_BATCH))
            self._optimiser.zero_grad()
            loss = (self._network(kept[rows]) - wanted[rows]).square().sum(1).mean()
            loss.backward()
            self._optimiser.step()

    def _begun(self) -> tuple[nn.Sequential, torch.optim.Optimizer]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._seed)
            last = nn.Linear(self.hidden, self.answers)
            network = nn.Sequential(nn.Linear(self._numbers.shape[1], self.hidden), nn.ReLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        return network, torch.optim.AdamW(network.parameters(), self.rate, weight_decay=_DECAY)
