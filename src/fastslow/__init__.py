"""Neural memory networks whose controllers learn slowly by backpropagation and fast by synthetic gradients.

The public names; what is not here is private. They are imported when first used, so that the command line need not wait
for torch to say `--help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastslow.core.controllers import ControllerState, LSTMController
    from fastslow.core.encoders import ConvEncoder, Projection
    from fastslow.core.fast_weights import FastWeights
    from fastslow.core.functional import address, read, write
    from fastslow.core.memory import MemoryState, detach_state
    from fastslow.core.network import MemoryNetwork, NeuralMemory
    from fastslow.core.predictors import GradientPredictor, Predictors, predictor_loss
    from fastslow.core.sequence.function import memory_sequence
    from fastslow.errors import InputError
    from fastslow.estimators.fewshot import FewShotClassifier, load_pretrained
    from fastslow.methods.episodic import EpisodicLearner, TaskState
    from fastslow.methods.files import TrainedModel, load_model, pretrained_names, save_model
    from fastslow.methods.finetune import finetune_classifier
    from fastslow.methods.models import PRESETS, ModelConfig, build_learner, preset
    from fastslow.training.online import OnlineLearner

_HOMES = {
    "ControllerState": "fastslow.core.controllers",
    "ConvEncoder": "fastslow.core.encoders",
    "EpisodicLearner": "fastslow.methods.episodic",
    "FastWeights": "fastslow.core.fast_weights",
    "FewShotClassifier": "fastslow.estimators.fewshot",
    "GradientPredictor": "fastslow.core.predictors",
    "InputError": "fastslow.errors",
    "LSTMController": "fastslow.core.controllers",
    "MemoryNetwork": "fastslow.core.network",
    "MemoryState": "fastslow.core.memory",
    "ModelConfig": "fastslow.methods.models",
    "NeuralMemory": "fastslow.core.network",
    "OnlineLearner": "fastslow.training.online",
    "PRESETS": "fastslow.methods.models",
    "Predictors": "fastslow.core.predictors",
    "Projection": "fastslow.core.encoders",
    "TaskState": "fastslow.methods.episodic",
    "TrainedModel": "fastslow.methods.files",
    "address": "fastslow.core.functional",
    "build_learner": "fastslow.methods.models",
    "detach_state": "fastslow.core.memory",
    "finetune_classifier": "fastslow.methods.finetune",
    "load_model": "fastslow.methods.files",
    "load_pretrained": "fastslow.estimators.fewshot",
    "memory_sequence": "fastslow.core.sequence.function",
    "predictor_loss": "fastslow.core.predictors",
    "preset": "fastslow.methods.models",
    "pretrained_names": "fastslow.methods.files",
    "read": "fastslow.core.functional",
    "save_model": "fastslow.methods.files",
    "write": "fastslow.core.functional",
}

__all__ = [
    "PRESETS",
    "ControllerState",
    "ConvEncoder",
    "EpisodicLearner",
    "FastWeights",
    "FewShotClassifier",
    "GradientPredictor",
    "InputError",
    "LSTMController",
    "MemoryNetwork",
    "MemoryState",
    "ModelConfig",
    "NeuralMemory",
    "OnlineLearner",
    "Predictors",
    "Projection",
    "TaskState",
    "TrainedModel",
    "address",
    "build_learner",
    "detach_state",
    "finetune_classifier",
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
