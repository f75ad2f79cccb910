"""Readers of what a run trained: its model, its checkpoint, and the cache of decoded images.

Half of the damage is done to bytes, which a checksum has to find; half to values, by someone who writes the right
checksum too.
"""

from __future__ import annotations

import copy
import math
import os
import signal
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import numpy as np
import torch

from fastslow.config import parse
from fastslow.data.fetching.cache import load_cached, store_cached
from fastslow.methods import build_method
from fastslow.methods.config import ModelConfig
from fastslow.methods.files import load_model
from fastslow.protocol.classes import classes_trained_on
from fastslow.studies import fewshot
from fastslow.tensors import load_tensors, save_tensors
from fastslow.training import loop
from fastslow.training.interruption import Interrupted
from fastslow.training.run import Run
from mutations import ODD, damage, damage_values
from robustness import tiny
from robustness.harness import Reader, equal

_MIB = 2**20
#: What tensors may be replaced with.
ODD_TENSORS = (
    torch.tensor(math.nan), torch.full((3,), math.inf), torch.zeros(0), torch.zeros(2, 2, dtype=torch.int64),
    torch.ones(16, dtype=torch.float64), torch.zeros(5056, dtype=torch.uint8), torch.ones(1, dtype=torch.bool),
)  # fmt: skip


class Loaded(Exception):
    """Ends a resumed run where training would go on; holds its state."""


def model_reader(folder: Path) -> Reader:
    """A trained model, and which classes it says that it was trained on."""
    path = folder / "model.safetensors"
    method = build_method(parse(ModelConfig, _model_options()))
    header = {
        "format": 3, "model": _model_options(),
        "details": {"trained_on": {"data": "glyphs", "split": "x", "classes": ["01234567"]}, "training": {"seed": 1}},
    }  # fmt: skip
    save_tensors(path, method.state_dict(), header)
    content, (tensors, header) = path.read_bytes(), load_tensors(path)

    def large_model() -> bytes:
        save_tensors(path, tensors | {"more": torch.ones(31 * _MIB)}, header)
        return path.read_bytes()

    odd = tuple(value for value in ODD if value == value)

    def write(random: Random) -> None:
        if random.randint(0, 1):
            path.write_bytes(damage(content, random))
        else:
            save_tensors(path, tensors, damage_values(header, random, odd))

    def read() -> Any:
        model = load_model(path)
        return model, classes_trained_on(model.details, ["a"])

    original = read()[0]

    def judge(got: Any) -> str:
        model = got[0]
        if not equal(model.method.state_dict(), original.method.state_dict()):
            return "it has other weights"
        same = (model.config, model.details) == (original.config, original.details)
        return "identical" if same else "different"

    hostile = {
        "long header": lambda: (2**20 - 8).to_bytes(8, "little") + b"[" * (2**20 - 8),
        "zeros": lambda: 127 * _MIB, "more zeros": lambda: 2**40, "as much as is read": large_model,
    }  # fmt: skip
    return Reader("model", write, read, judge, (path.name, "the model's details"), path, hostile)


def checkpoint_reader(folder: Path) -> Reader:
    """A checkpoint, read as a resumed run reads it, and one step from it."""
    path = folder / tiny.NAME / "checkpoint.pt"
    with tiny.tiny():
        begin_and_stop(folder, steps=6)
        content, state = path.read_bytes(), Run.load_checkpoint(path.parent)
        data = fewshot.load_data(parse(fewshot.FewShotConfig, tiny.OPTIONS))
    originals = [fewshot.load_data, parse(fewshot.FewShotConfig, tiny.OPTIONS)]
    run = Run.__new__(Run)
    run.checkpoint_path = path

    def write(random: Random) -> None:
        if random.randint(0, 1):
            path.write_bytes(damage(content, random))
        else:
            run.save_checkpoint(damage_values(state, random, ODD + ODD_TENSORS))

    def large_checkpoint() -> bytes:
        run.save_checkpoint(state | {"model": {**state["model"], "more": torch.ones(62 * _MIB)}})
        return path.read_bytes()

    def load_data(config: Any) -> Any:
        return data if config == originals[1] else originals[0](config)

    def read() -> dict[str, Any]:
        with tiny.tiny(train=_load), mock.patch.object(fewshot, "load_data", load_data):
            try:
                tiny.run(folder, resume=True)
            except Loaded as loaded:
                return loaded.args[0]
        raise AssertionError("nothing was loaded")

    path.write_bytes(content)
    original = read()

    def judge(got: dict[str, Any]) -> str:
        if equal(got, original):
            return "identical"
        groups = [{**group, "lr": 0} for group in got["optimizer"]["param_groups"]]
        if groups != [{**group, "lr": 0} for group in original["optimizer"]["param_groups"]]:
            return f"its optimiser has {groups}"[:500]
        if not all(bool(tensor.isfinite().all()) for tensor in _tensors(got)):
            return "it has numbers that are not finite"
        return "different"

    hostile = {"zeros": lambda: 255 * _MIB, "more zeros": lambda: 2**40, "as much as is read": large_checkpoint}
    return Reader("checkpoint", write, read, judge, ("checkpoint", "option", "this run", "got "), path,
                  hostile)  # fmt: skip


def begin_and_stop(runs: Path, steps: int) -> None:
    """Leaves a run that was stopped after some steps."""
    seen = []

    def stop(progress: Any) -> None:
        seen.append(progress)
        if len(seen) == steps:
            signal.raise_signal(signal.SIGINT)

    try:
        tiny.run(runs, on_progress=stop)
    except Interrupted:
        return
    raise AssertionError("it was not stopped")


def cache_reader(folder: Path) -> Reader:
    """Decoded images kept between runs: what is damaged is as good as absent."""
    pixels = np.arange(96, dtype=np.uint8).reshape(2, 6, 8)
    with mock.patch.dict(os.environ, {"FASTSLOW_CACHE": str(folder)}):
        assert store_cached("images", pixels)
    path, content = folder / "images", (folder / "images").read_bytes()

    def judge(images: Any) -> str:
        return "identical" if images is None or np.array_equal(images, pixels) else "it has other pixels"

    def read() -> Any:
        with mock.patch.dict(os.environ, {"FASTSLOW_CACHE": str(folder)}):
            return load_cached("images", (2, 6, 8))

    return Reader(
        "image cache", lambda random: path.write_bytes(damage(content, random)), read, judge, target=path,
        hostile={"zeros": lambda: 2**40},
    )  # fmt: skip


def _load(model: Any, stages: Any, *, length: Any, state: Any, about: Any, stop: Any, habits: Any, **_: Any) -> None:
    """In place of training: loads the checkpoint and, if there is a stage to go on with, makes one step."""
    loaded = loop._Loop(model, stages, length, None, stop, habits)
    loaded.about = about
    loaded.load_state_dict(state)
    after = copy.deepcopy(loaded.state_dict())
    if not loaded.is_over:
        loaded.stage.begin(loaded.clock.step)
        loaded.step()
    raise Loaded(after)


def _model_options() -> dict[str, Any]:
    config = parse(fewshot.FewShotConfig, tiny.OPTIONS).model_config()
    return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(config).items()}


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value] if value.is_floating_point() else []
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]
