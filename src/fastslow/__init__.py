"""Neural memory networks whose controllers learn slowly by backpropagation and fast by synthetic gradients.

The public names; what is not here is private. They are imported when first used, so that the command line need not wait
for torch to say `--help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastslow.controllers import ControllerState, LSTMController
    from fastslow.encoders import ConvEncoder, Projection
    from fastslow.errors import InputError
    from fastslow.estimators import FewShotClassifier, load_pretrained
    from fastslow.fast_weights import FastWeights
    from fastslow.functional import address, read, write
    from fastslow.memory import MemoryState, detach_state
    from fastslow.model_files import TrainedModel, load_model, pretrained_names, save_model
    from fastslow.models import PRESETS, ModelConfig, build_learner, preset
    from fastslow.network import MemoryNetwork, NeuralMemory
    from fastslow.predictors import GradientPredictor, Predictors, predictor_loss
    from fastslow.regimes.episodic import EpisodicLearner, TaskState
    from fastslow.regimes.finetune import finetune_classifier
    from fastslow.regimes.online import OnlineLearner
    from fastslow.sequence import memory_sequence

_HOMES = {
    "ControllerState": "fastslow.controllers",
    "ConvEncoder": "fastslow.encoders",
    "EpisodicLearner": "fastslow.regimes.episodic",
    "FastWeights": "fastslow.fast_weights",
    "FewShotClassifier": "fastslow.estimators",
    "GradientPredictor": "fastslow.predictors",
    "InputError": "fastslow.errors",
    "LSTMController": "fastslow.controllers",
    "MemoryNetwork": "fastslow.network",
    "MemoryState": "fastslow.memory",
    "ModelConfig": "fastslow.models",
    "NeuralMemory": "fastslow.network",
    "OnlineLearner": "fastslow.regimes.online",
    "PRESETS": "fastslow.models",
    "Predictors": "fastslow.predictors",
    "Projection": "fastslow.encoders",
    "TaskState": "fastslow.regimes.episodic",
    "TrainedModel": "fastslow.model_files",
    "address": "fastslow.functional",
    "build_learner": "fastslow.models",
    "detach_state": "fastslow.memory",
    "finetune_classifier": "fastslow.regimes.finetune",
    "load_model": "fastslow.model_files",
    "load_pretrained": "fastslow.estimators",
    "memory_sequence": "fastslow.sequence",
    "predictor_loss": "fastslow.predictors",
    "preset": "fastslow.models",
    "pretrained_names": "fastslow.model_files",
    "read": "fastslow.functional",
    "save_model": "fastslow.model_files",
    "write": "fastslow.functional",
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
