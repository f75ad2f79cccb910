"""The method `fastslow`: two designs by preset, and the controls of each."""

from __future__ import annotations

from torch import nn

from fastslow.core.encoders import ImageEncoder
from fastslow.core.predictors import GradientPredictor, Predictors, StatelessPredictor
from fastslow.methods.config import ModelConfig
from fastslow.methods.controls import RecallGradient, keyed_memory_of, literal_memory_of, predictor_of
from fastslow.methods.default_rule import FastSlow
from fastslow.methods.networks import KeyedNetwork, LiteralNetwork
from fastslow.methods.paper_rule import LiteralFastSlow
from fastslow.methods.write_gate import GatedFastSlow


def build(config: ModelConfig, encoder: ImageEncoder) -> KeyedNetwork | LiteralNetwork | LiteralFastSlow:
    """The design of a configuration around an encoder; weights from torch's global generator."""
    return _default(config, encoder) if config.preset == "default" else _paper(config, encoder)


def plain_keyed_network(config: ModelConfig, encoder: ImageEncoder) -> KeyedNetwork:
    """The network of the preset `default` without its fast path."""
    memory = keyed_memory_of(config.control)(dim=config.dim, num_slots=config.num_slots)
    return KeyedNetwork(encoder=encoder, memory=memory, decoder=nn.Linear(config.dim, config.n_way))


def plain_literal_network(config: ModelConfig, encoder: ImageEncoder) -> LiteralNetwork:
    """The network of the preset `paper` without its fast path."""
    memory = literal_memory_of(config.control)(
        input_size=encoder.num_features, dim=config.dim, num_slots=config.num_slots, compose=config.compose
    )
    return LiteralNetwork(encoder=encoder, memory=memory, decoder=nn.Linear(config.dim, config.n_way))


def _default(config: ModelConfig, encoder: ImageEncoder) -> KeyedNetwork:
    plain = plain_keyed_network(config, encoder)
    if config.control == "fast_path_off":
        return plain

    def predictor() -> nn.Module:
        made = StatelessPredictor(dim=config.dim, target_size=config.n_way, hidden_size=config.predictor_hidden)
        return predictor_of(config.control, made)

    # The last of three: a seed gives the weights that it gave while every controller had a predictor.
    write_predictor = [predictor() for _ in range(3)][-1]
    rules = {"true_gradient": RecallGradient}
    rule = GatedFastSlow if config.write_gate else rules.get(config.control, FastSlow)
    return rule(
        encoder=encoder, memory=plain.memory, decoder=plain.decoder, predictor=write_predictor,
        step_size=config.step_size,
    )  # fmt: skip


def _paper(config: ModelConfig, encoder: ImageEncoder) -> LiteralNetwork | LiteralFastSlow:
    plain = plain_literal_network(config, encoder)
    if config.control == "fast_path_off":
        return plain

    def predictor() -> nn.Module:
        made = GradientPredictor(dim=config.dim, target_size=config.n_way, hidden_size=config.predictor_hidden)
        return predictor_of(config.control, made)

    return LiteralFastSlow(
        encoder=encoder, memory=plain.memory, decoder=plain.decoder,
        predictors=Predictors(predictor(), predictor(), predictor()), fast_controllers=config.fast_controllers,
        step_size=config.step_size,
    )  # fmt: skip
