"""The paper's network for tracks (Sec. 4.2): an LSTM of 30 units, a memory of 10 slots, and a dense decoder."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from fastslow.core.literal_memory import LiteralMemory, MemoryNetwork

#: Units of the encoder, slots, and numbers of a position.
HIDDEN, SLOTS, AXES = 30, 10, 2


class TrackEncoder(nn.Module):
    """f^E of tracks: the last state of an LSTM over the samples.

    Args:
        num_units: of the LSTM.
    """

    def __init__(self, num_units: int = HIDDEN) -> None:
        super().__init__()
        self.lstm = nn.LSTM(AXES, num_units, batch_first=True)

    def forward(self, samples: Float[Tensor, "batch samples 2"]) -> Float[Tensor, "batch units"]:
        """Shape (batch, num_units)."""
        hidden: Tensor = self.lstm(samples)[1][0][0]
        return hidden


class _ReLUDecoder(nn.Linear):
    """A dense layer with a ReLU, as printed: it cannot answer with anything below 0."""

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input))


def track_network(
    steps: int,
    *,
    compose: Literal["literal", "query"] = "query",
    relu: bool = False,
    generator: torch.Generator | None = None,
) -> MemoryNetwork:
    """The paper's network; weights from torch's global generator, those of the memory from `generator` if given.

    Args:
        steps: of a forecast; the decoder answers with all of them at once, shape (batch, 2 steps).
        compose: see `LiteralMemory`.
        relu: as printed; places of a site scaled to [-0.5, 0.5] are then out of reach where they are below 0.
        generator: see above.
    """
    memory = LiteralMemory(input_size=HIDDEN, dim=HIDDEN, num_slots=SLOTS, compose=compose, generator=generator)
    network = MemoryNetwork(encoder=TrackEncoder(), memory=memory, num_outputs=AXES * steps)
    if relu:
        network.decoder = _ReLUDecoder(HIDDEN, AXES * steps)
    return network
