"""What is measured and used: each method is one file, with one line in `config.METHODS`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastslow.methods.config import METHODS, ModelConfig

if TYPE_CHECKING:
    from fastslow.core.encoders import ImageEncoder
    from fastslow.methods.base import Method


def build_method(config: ModelConfig, encoder: ImageEncoder | None = None) -> Method[Any]:
    """The whole model of a configuration, weights from torch's global generator (`torch.manual_seed`).

    Args:
        config: what to build.
        encoder: the encoder to build it around; one of the configuration's sizes if None.
    """
    from fastslow.core.encoders import build_encoder
    from fastslow.core.views import ViewsEncoder

    if encoder is None:
        encoder = build_encoder(
            channels=config.channels,
            residual=config.residual,
            image_size=config.image_size,
            projection=config.projection,
            halving=config.halving,
        )
        if config.views:
            encoder = ViewsEncoder(encoder.encoder, encoder.projection)
    method: Method[Any] = import_module(METHODS[config.method]).build(config, encoder)
    return method
