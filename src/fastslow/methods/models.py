"""Named presets and the models built from them."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import torch
from torch import nn

from fastslow.core.encoders import ConvEncoder, Projection
from fastslow.core.network import MemoryNetwork, NeuralMemory
from fastslow.core.predictors import GradientPredictor, Predictors
from fastslow.errors import InputError
from fastslow.methods.episodic import EpisodicLearner


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes a few-shot model's parts and sizes. The defaults are the paper's (Secs. 3 and 4.1)."""

    n_way: int = 5
    """Classes a task can have at most."""
    channels: tuple[int, ...] = (64, 64, 64)
    """Output channels of each encoder block."""
    residual: tuple[bool, ...] = (False, False, False)
    """Which encoder blocks have a second, residual convolution."""
    image_size: int = 28
    """Height and width of the images, pixels."""
    projection: int = 0
    """Features of the linear, centred projection between encoder and input controller; 0 for none."""
    dim: int = 128
    """k, features of controllers and slots."""
    num_slots: int = 10
    """l, slots of the memory."""
    compose: Literal["literal", "query"] = "literal"
    """What the output and write controllers read; see `NeuralMemory`."""
    slots: Literal["shared", "keyed"] = "shared"
    """Whether a slot is one vector or a key and a value."""
    similarity: Literal["dot", "euclidean"] = "dot"
    """How slots are addressed."""
    write_policy: Literal["read", "least_used"] = "read"
    """Where the memory is written."""
    recurrent: bool = True
    """Whether controllers and predictors carry their LSTM state from step to step."""
    residual_query: bool = False
    """Whether queries are the features plus what the input controller says."""
    skip_empty: bool = False
    """Whether slots never written are left out of the address while there are others."""
    fast_controllers: tuple[str, ...] = ("input", "output", "write")
    """Controllers that learn fast (Eq. 10)."""
    order: Literal["write_then_update", "update_then_write"] = "write_then_update"
    """Whether the memory is written before or after Eq. 10."""
    support: Literal["stream", "set"] = "stream"
    """Whether a support set is learned one example after another or side by side."""
    fast_lifetime: Literal["task", "step"] = "task"
    """Whether fast weights last for the task or until the memory has been written."""
    fast_bias: bool = True
    """Whether Eq. 10 moves the biases too."""
    step_sizes: tuple[float, float, float] = (0.1, 0.1, 0.1)
    """Step sizes alpha of the input, output and write controller to start from; learned."""
    predictor_hidden: int = 64
    """Width of the predictors' LSTMs."""
    predictor: Literal["learned", "label_only", "random"] = "learned"
    """What the predictors are: learned (Eq. 9), or one of two controls."""
    zero_read: bool = False
    """A control: the memory read is replaced by zeros, in training too."""
    gradients: Literal["synthetic", "true"] = "synthetic"
    """Which gradients Eq. 10 takes: predicted ones, or, a control, the direction of the true ones."""

    def __post_init__(self) -> None:
        sizes = {name: getattr(self, name) for name in ("n_way", "image_size", "dim", "num_slots", "predictor_hidden")}
        sizes |= {f"channels[{i}]": size for i, size in enumerate(self.channels)}
        for name, size in {**sizes, "projection": self.projection or 1}.items():
            if not 1 <= size <= MAX_SIZE:
                raise InputError(f"{name}={size} came; it must be from 1 to {MAX_SIZE}")


#: The largest size of any part of a model.
MAX_SIZE = 100_000
#: Presets by name: "paper" is the paper's text taken literally, "default" what works best here.
PRESETS: dict[str, ModelConfig] = {
    "paper": ModelConfig(),
    "default": ModelConfig(
        channels=(32, 64, 128),
        residual=(False, True, True),
        projection=128,
        num_slots=32,
        compose="query",
        slots="keyed",
        similarity="euclidean",
        write_policy="least_used",
        recurrent=False,
        residual_query=True,
        skip_empty=True,
        order="update_then_write",
        support="set",
        fast_controllers=("write",),
        fast_lifetime="step",
        fast_bias=False,
    ),
}


def preset(name: str, **changes: Any) -> ModelConfig:  # noqa: ANN401 - any field of ModelConfig
    """A preset by name, with some of its fields changed.

    Raises:
        ValueError: if there is no such preset or field.
    """
    if name not in PRESETS:
        raise InputError(f"there is no preset {name!r}; choose from {sorted(PRESETS)}")
    known = {field.name for field in dataclasses.fields(ModelConfig)}
    if set(changes) - known:
        raise InputError(f"a model has no option {sorted(set(changes) - known)}; its options are {sorted(known)}")
    return dataclasses.replace(PRESETS[name], **changes)


class ImageEncoder(nn.Module):
    """Images to the features that the memory reads: f^E of Eq. 1, then the projection if there is one.

    Args:
        encoder: the convolutions.
        projection: the projection, or None.
    """

    def __init__(self, encoder: ConvEncoder, projection: Projection | None) -> None:
        super().__init__()
        self.encoder, self.projection = encoder, projection

    @property
    def num_features(self) -> int:
        """Features of the output."""
        return self.encoder.num_features if self.projection is None else self.projection.linear.out_features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (batch, 1, height, width) in [0, 1] to features (batch, num_features)."""
        features: torch.Tensor = self.encoder(images)
        return features if self.projection is None else self.projection(features)

    def folded(self) -> ImageEncoder:
        """A copy for inference with every batch norm folded; equal in evaluation mode up to rounding."""
        projection = None if self.projection is None else self.projection.folded()
        return ImageEncoder(self.encoder.folded(), projection)


def build_encoder(config: ModelConfig) -> ImageEncoder:
    """The encoder and projection of a configuration, weights from torch's global generator."""
    encoder = ConvEncoder(channels=config.channels, residual=config.residual, image_size=config.image_size)
    if not config.projection:
        return ImageEncoder(encoder, None)
    return ImageEncoder(encoder, Projection(num_features=encoder.num_features, dim=config.projection))


def build_learner(config: ModelConfig) -> EpisodicLearner:
    """The whole model of a configuration, weights from torch's global generator (`torch.manual_seed`)."""
    encoder = build_encoder(config)
    memory = NeuralMemory(
        input_size=encoder.num_features,
        dim=config.dim,
        num_slots=config.num_slots,
        compose=config.compose,
        slots=config.slots,
        similarity=config.similarity,
        write_policy=config.write_policy,
        recurrent=config.recurrent,
        residual_query=config.residual_query,
        skip_empty=config.skip_empty,
    )

    def predictor() -> GradientPredictor:
        return GradientPredictor(
            dim=config.dim,
            target_size=config.n_way,
            hidden_size=config.predictor_hidden,
            recurrent=config.recurrent,
            kind=config.predictor,
        )

    return EpisodicLearner(
        network=MemoryNetwork(encoder=encoder, memory=memory, num_outputs=config.n_way),
        predictors=Predictors(predictor(), predictor(), predictor()),
        fast_controllers=config.fast_controllers,
        order=config.order,
        support=config.support,
        fast_lifetime=config.fast_lifetime,
        fast_bias=config.fast_bias,
        step_sizes=dict(zip(("input", "output", "write"), config.step_sizes, strict=True)),
        zero_read=config.zero_read,
        gradients=config.gradients,
    )
