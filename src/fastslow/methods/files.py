"""Trained models on disk: one safetensors file that says what it is, and a JSON copy of that for people to read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from fastslow.config import parse
from fastslow.errors import InputError, as_path, shown, shown_path
from fastslow.files import read_json, write_json
from fastslow.methods import build_method
from fastslow.methods.base import Method
from fastslow.methods.config import ModelConfig
from fastslow.tensors import fill, load_tensors, refuse_others, save_tensors

#: Prefix of a model that ships with the library.
PRETRAINED_PREFIX = "pretrained:"
PRETRAINED_FOLDER = Path(__file__).parents[1] / "pretrained"
#: Names by the file of another: one model is the best there is for all of these tasks.
_SHARED = {f"omniglot-{task}": "omniglot" for task in ("5w1s", "5w5s", "20w1s", "20w5s")}
#: Of files that hold something else, what is in their headers, and what reads them.
_OTHER_KINDS = {"stream learner": "FastSlowClassifier.load", "forecaster": "FastSlowForecaster.load"}
#: 3: everything in one file; a method's weights under their own names.
_FORMAT = 3


class TrainedModel(NamedTuple):
    """A trained model and what it is.

    Attributes:
        method: the method, in evaluation mode.
        config: what it was built from.
        details: whatever else was written with it, plain values: training options, `trained_on`, versions.
    """

    method: Method[Any]
    config: ModelConfig
    details: dict[str, Any]

    @property
    def training_data(self) -> dict[str, Any]:
        """Which data it was trained on and how they were read: data, data_dir, split, ink, crop; as far as is known."""
        training = self.details.get("training")
        named = training if isinstance(training, Mapping) else {}
        kinds = {"data": str, "data_dir": str, "split": str, "ink": str, "crop": bool}
        return {name: named[name] for name, kind in kinds.items() if isinstance(named.get(name), kind)}


def save_model(path: str | Path, model: TrainedModel, *, half: bool = False) -> None:
    """Writes `path` (.safetensors), complete in itself, and a JSON copy of what it is beside it.

    Args:
        path: ends in .safetensors.
        model: what to write.
        half: store floats in 16 bits, half the size; read back into 32.

    Raises:
        ValueError: if the path ends otherwise, a weight is not finite, no file can be written there, or the JSON beside
            it is of something else.
    """
    path = as_path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"got {shown_path(path)} to write a model to; give a file that ends in .safetensors")
    _refuse_other_json(path.with_suffix(".json"))
    header = {"format": _FORMAT, "model": dataclasses.asdict(model.config), "details": model.details}
    save_tensors(path, model.method.state_dict(), header, half=half)
    write_json(path.with_suffix(".json"), header)


def _refuse_other_json(path: Path) -> None:
    """Refuses to write over a file that describes no model."""
    if not path.is_file():
        return
    try:
        found = read_json(path)
    except InputError:
        found = {}
    if not {"format", "model", "details"} <= found.keys():
        raise InputError(
            f"{shown_path(path)} is there already, describes no model and would be lost; give another name"
        )


def load_model(source: str | Path) -> TrainedModel:
    """Reads a model: "pretrained:NAME", a run folder, or a .safetensors file.

    Torch's global random stream, default dtype and default device play no part in it and are left alone.

    Raises:
        ValueError: if it is missing, damaged, or its weights are not those of what it says it is; the message names
            the file.
    """
    path = locate_model(source)
    tensors, header = load_tensors(path)
    config = _config(header, path)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        expected = {name: tensor.to(_dtype(tensor)) for name, tensor in build_method(config).state_dict().items()}
    refuse_others(expected, tensors, path)  # before memory is taken for what a header asks for
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        method = build_method(config).float()
    fill(method, tensors, path)
    return TrainedModel(method.eval(), config, header["details"])


def pretrained_names() -> list[str]:
    """Names of the models that ship with the library."""
    files = {path.stem for path in PRETRAINED_FOLDER.glob("*.safetensors")}
    return sorted(files | {name for name, file in _SHARED.items() if file in files})


def _dtype(tensor: torch.Tensor) -> torch.dtype:
    """Floats of a model are of 32 bits, whatever torch's default is."""
    return torch.float32 if tensor.is_floating_point() else tensor.dtype


def _config(header: Mapping[str, Any], path: Path) -> ModelConfig:
    version, kind = header.get("format"), header.get("kind")
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        raise InputError(f"{shown_path(path)} holds a {kind} and no model of images: {_OTHER_KINDS[kind]} reads it")
    if version != _FORMAT:
        raise InputError(
            f"{shown_path(path)} has format {shown(version)}; this version reads {_FORMAT}: train the model again"
        )
    if not isinstance(header.get("model"), dict) or not isinstance(header.get("details"), dict):
        raise InputError(f"{shown_path(path)} does not say what model it is; copy or train it again")
    try:
        return parse(ModelConfig, header["model"])
    except InputError as error:
        raise InputError(f"{shown_path(path)} describes no model of this version: {error}") from error


def locate_model(source: str | Path) -> Path:
    """The file of a model: of "pretrained:NAME", of a run folder, or the .safetensors file itself.

    Raises:
        ValueError: if there is none.
    """
    source = str(source)
    if source.startswith(PRETRAINED_PREFIX):
        name = source.removeprefix(PRETRAINED_PREFIX)
        if name not in pretrained_names():
            raise InputError(f"there is no pretrained model {shown(name)}; {_instead_of_name(name)}")
        return PRETRAINED_FOLDER / f"{_SHARED.get(name, name)}.safetensors"
    path, is_file = Path(source), False
    try:
        path = path / "model.safetensors" if path.is_dir() else path
        is_file = path.exists()
    except (OSError, ValueError):  # no name that a file can have
        pass
    if is_file and path.suffix == ".safetensors":
        return path
    what = f"{shown_path(path)} is no .safetensors file" if is_file else f"there is no model {shown_path(path)}"
    raise InputError(f"{what}: {_instead_of_path(source)}")


def _instead_of_name(name: str) -> str:
    bare = name.removeprefix(PRETRAINED_PREFIX)
    if bare in pretrained_names():  # as from `load_pretrained("pretrained:NAME")`
        return f"write {bare} without {PRETRAINED_PREFIX} before it"
    return f"there are {', '.join(pretrained_names())}"


def _instead_of_path(source: str) -> str:
    names = pretrained_names()
    if source in names:  # a folder of that name goes before it
        return f"write {PRETRAINED_PREFIX}{source} for the one that ships with the library"
    return f"give a run folder, a .safetensors file, or {PRETRAINED_PREFIX}NAME with one of {', '.join(names)}"
