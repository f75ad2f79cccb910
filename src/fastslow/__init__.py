"""Neural memory networks whose controllers learn slowly by backpropagation and fast by synthetic gradients.

The public names; what is not here is private. They are imported when first used, so that the command line need not wait
for torch to say `--help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastslow.core.controllers import ControllerState, LSTMController
    from fastslow.core.encoders import ConvEncoder, ImageEncoder, Projection
    from fastslow.core.fast_weights import FastWeights
    from fastslow.core.functional import address, read, write
    from fastslow.core.gated_layer import GatedLayer
    from fastslow.core.keyed_memory import KeyedMemory, KeyedState
    from fastslow.core.literal_memory import LiteralMemory, MemoryNetwork
    from fastslow.core.memory import MemoryState, detach_state
    from fastslow.core.predictors import GradientPredictor, Predictors, StatelessPredictor, predictor_loss
    from fastslow.core.sequence.function import memory_sequence
    from fastslow.errors import InputError
    from fastslow.estimators.fewshot import FewShotClassifier, load_pretrained
    from fastslow.estimators.forecaster import FastSlowForecaster
    from fastslow.estimators.slow_encoder import SlowEncoder
    from fastslow.estimators.stream import FastSlowClassifier
    from fastslow.methods import build_method
    from fastslow.methods.base import Method, Task
    from fastslow.methods.config import METHODS, PRESETS, ModelConfig, preset
    from fastslow.methods.default_rule import FastSlow
    from fastslow.methods.files import TrainedModel, load_model, pretrained_names, save_model
    from fastslow.methods.paper_rule import LiteralFastSlow, TaskState
    from fastslow.training.online import OnlineLearner

_HOMES = {
    "ControllerState": "fastslow.core.controllers",
    "ConvEncoder": "fastslow.core.encoders",
    "FastSlow": "fastslow.methods.default_rule",
    "FastSlowClassifier": "fastslow.estimators.stream",
    "FastSlowForecaster": "fastslow.estimators.forecaster",
    "FastWeights": "fastslow.core.fast_weights",
    "FewShotClassifier": "fastslow.estimators.fewshot",
    "GatedLayer": "fastslow.core.gated_layer",
    "GradientPredictor": "fastslow.core.predictors",
    "ImageEncoder": "fastslow.core.encoders",
    "InputError": "fastslow.errors",
    "KeyedMemory": "fastslow.core.keyed_memory",
    "KeyedState": "fastslow.core.keyed_memory",
    "LSTMController": "fastslow.core.controllers",
    "LiteralFastSlow": "fastslow.methods.paper_rule",
    "LiteralMemory": "fastslow.core.literal_memory",
    "METHODS": "fastslow.methods.config",
    "MemoryNetwork": "fastslow.core.literal_memory",
    "MemoryState": "fastslow.core.memory",
    "Method": "fastslow.methods.base",
    "ModelConfig": "fastslow.methods.config",
    "OnlineLearner": "fastslow.training.online",
    "PRESETS": "fastslow.methods.config",
    "Predictors": "fastslow.core.predictors",
    "Projection": "fastslow.core.encoders",
    "SlowEncoder": "fastslow.estimators.slow_encoder",
    "StatelessPredictor": "fastslow.core.predictors",
    "Task": "fastslow.methods.base",
    "TaskState": "fastslow.methods.paper_rule",
    "TrainedModel": "fastslow.methods.files",
    "address": "fastslow.core.functional",
    "build_method": "fastslow.methods",
    "detach_state": "fastslow.core.memory",
    "load_model": "fastslow.methods.files",
    "load_pretrained": "fastslow.estimators.fewshot",
    "memory_sequence": "fastslow.core.sequence.function",
    "predictor_loss": "fastslow.core.predictors",
    "preset": "fastslow.methods.config",
    "pretrained_names": "fastslow.methods.files",
    "read": "fastslow.core.functional",
    "save_model": "fastslow.methods.files",
    "write": "fastslow.core.functional",
}

__all__ = [
    "METHODS",
    "PRESETS",
    "ControllerState",
    "ConvEncoder",
    "FastSlow",
    "FastSlowClassifier",
    "FastSlowForecaster",
    "FastWeights",
    "FewShotClassifier",
    "GatedLayer",
    "GradientPredictor",
    "ImageEncoder",
    "InputError",
    "KeyedMemory",
    "KeyedState",
    "LSTMController",
    "LiteralFastSlow",
    "LiteralMemory",
    "MemoryNetwork",
    "MemoryState",
    "Method",
    "ModelConfig",
    "OnlineLearner",
    "Predictors",
    "Projection",
    "SlowEncoder",
    "StatelessPredictor",
    "Task",
    "TaskState",
    "TrainedModel",
    "address",
    "build_method",
    "detach_state",
    "load_model",
    "load_pretrained",
    "memory_sequence",
    "predictor_loss",
    "preset",
    "pretrained_names",
    "read",
    "save_model",
    "write",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
