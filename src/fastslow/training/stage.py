"""The contract of a stage of training: what `loop.train` needs to know of it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn


@runtime_checkable
class Stage(Protocol):
    """One loss that moves some parameters for a share of the training.

    Attributes:
        name: in metrics and progress.
        share: of the length, in proportion to those of the other stages.
        learning_rate: at its peak.
        clip: largest norm of the gradient; None for as it is.
        tasks: tasks a step, over all processes.
    """

    name: str
    share: float
    learning_rate: float
    clip: float | None
    tasks: int

    def parameters(self) -> list[nn.Parameter]:
        """What it moves."""

    def begin(self, step: int) -> None:
        """Called before its first step, here or after a resume.

        Args:
            step: steps that were done before; 0 at the very beginning.

        Raises:
            Abandoned: if the user wants to stop; nothing has changed then.
        """

    def loss(self, done: float) -> Tensor:
        """Draws this process's share of the next batch; its loss, nats. Puts modules into the mode they train in.

        Args:
            done: how much of this stage is done, in [0, 1].
        """

    def validate(self) -> dict[str, Any]:
        """What goes into the metrics: "validation", the accuracy in [0, 1], and what else there is.

        Raises:
            Abandoned: if the user wants to stop.
        """

    def end(self) -> None:
        """Called after its last step and validation, by all processes at once.

        Raises:
            Abandoned: if the user wants to stop. Whenever that is asked for before the next stage has begun, this is
                called again when the training goes on.
        """

    def state_dict(self) -> dict[str, Any]:
        """Samplers, generators and whatever else its next loss depends on but the model."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes up where `state_dict` was called."""
