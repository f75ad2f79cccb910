"""Trained models on disk: `model.safetensors` for the numbers, `model.json` beside it for what they are."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fastslow.config import parse
from fastslow.errors import InputError
from fastslow.files import write_atomically, write_json
from fastslow.methods.episodic import EpisodicLearner
from fastslow.methods.models import ImageEncoder, ModelConfig, build_learner
from fastslow.methods.protonet import PrototypeClassifier

#: What a model can have been trained for.
METHODS = ("fastslow", "nmn", "protonet")
#: Prefix of a model that ships with the library.
PRETRAINED_PREFIX = "pretrained:"
PRETRAINED_FOLDER = Path(__file__).parents[1] / "pretrained"
#: 2: controllers that start each step from zeros have no forget gate.
_FORMAT = 2


class TrainedModel(NamedTuple):
    """A trained model and what it is.

    Attributes:
        learner: the network with its predictors, in evaluation mode.
        prototypes: the prototype classifier on the same encoder.
        config: what the learner was built from.
        method: the method it was trained for: fastslow, nmn or protonet.
        details: whatever else was written beside it: data, split, seed, training options.
    """

    learner: EpisodicLearner
    prototypes: PrototypeClassifier
    config: ModelConfig
    method: str
    details: dict[str, Any]


def folded_encoder(model: TrainedModel) -> ImageEncoder:
    """The model's encoder for inference, every batch norm folded."""
    encoder = model.learner.network.encoder
    assert isinstance(encoder, ImageEncoder)
    return encoder.folded()


def save_model(path: Path, model: TrainedModel, *, half: bool = False) -> None:
    """Writes `path` (.safetensors) and the JSON beside it, both atomically.

    Args:
        path: ends in .safetensors.
        model: what to write.
        half: store floats in 16 bits, half the size; read back into 32.
    """
    tensors = {}
    for prefix, module in (("learner", model.learner), ("prototypes", model.prototypes)):
        for name, tensor in module.state_dict().items():
            small = half and tensor.is_floating_point()
            tensors[f"{prefix}.{name}"] = (tensor.half() if small else tensor).detach().cpu().contiguous()
    write_atomically(path, lambda temporary: save_file(tensors, temporary))
    content = {
        "format": _FORMAT, "method": model.method, "model": dataclasses.asdict(model.config), "details": model.details,
    }  # fmt: skip
    write_json(path.with_suffix(".json"), content)


def load_model(source: str | Path) -> TrainedModel:
    """Reads a model: "pretrained:NAME", a run folder, or a .safetensors file with its JSON.

    Raises:
        ValueError: if it is missing, corrupt, or of other sizes than its JSON says; the message names the file.
    """
    path = _locate(str(source))
    content = _read_json(path.with_suffix(".json"))
    config = parse(ModelConfig, content["model"])
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is corrupt or truncated ({error}); train or copy it again") from error
    learner, prototypes = build_learner(config), PrototypeClassifier(num_classes=config.n_way)
    for prefix, module in (("learner.", learner), ("prototypes.", prototypes)):
        _fill(module, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}, path)
    learner.eval()
    return TrainedModel(learner, prototypes, config, content["method"], content["details"])


def pretrained_names() -> list[str]:
    """Names of the models that ship with the library."""
    return sorted(path.stem for path in PRETRAINED_FOLDER.glob("*.safetensors"))


def _locate(source: str) -> Path:
    if source.startswith(PRETRAINED_PREFIX):
        name = source.removeprefix(PRETRAINED_PREFIX)
        if name not in pretrained_names():
            raise InputError(f"there is no pretrained model {name!r}; there are {', '.join(pretrained_names())}")
        return PRETRAINED_FOLDER / f"{name}.safetensors"
    path = Path(source)
    if path.is_dir():
        path = path / "model.safetensors"
    if path.suffix != ".safetensors" or not path.exists():
        raise InputError(
            f"there is no model {path}: give a run folder, a .safetensors file, or {PRETRAINED_PREFIX}NAME with "
            f"one of {', '.join(pretrained_names())}"
        )
    return path


def _read_json(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise InputError(f"{path} is missing: it says what the weights beside it are; copy both files")
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content["format"] != _FORMAT:
            raise InputError(
                f"{path} has format {content['format']}; this version reads format {_FORMAT}: train the model again"
            )
        if not isinstance(content["model"], dict) or not isinstance(content["details"], dict):
            raise TypeError("model and details are to be objects")
        if content["method"] not in METHODS:
            raise InputError(f"{path} has method {content['method']!r}; the methods are {', '.join(METHODS)}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no description of a model ({error!r}); copy it again") from error
    return content


def _fill(module: nn.Module, tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    expected = module.state_dict()
    for name, tensor in expected.items():
        if name not in tensors:
            raise InputError(f"{path} has no {name}, which its JSON asks for; the two files do not belong together")
        if tensors[name].shape != tensor.shape:
            raise InputError(
                f"{path} has {name} of shape {tuple(tensors[name].shape)}, but its JSON asks for "
                f"{tuple(tensor.shape)}; the two files do not belong together"
            )
    module.load_state_dict({name: tensors[name].to(tensor.dtype) for name, tensor in expected.items()})
