"""A trained model as a folder of graphs and a manifest."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fastslow.core.encoders import images_per_pass
from fastslow.data.drawings import prepared_drawings
from fastslow.data.glyphs.glyphs import make_glyphs
from fastslow.errors import InputError, shown, shown_path
from fastslow.export.graphs import answer_graph, begin_graph, embed_graph, examples_at_once, learn_graph
from fastslow.export.int8 import quantised
from fastslow.export.state import state_tensors
from fastslow.files import read_json, refuse_unwritable_folder, write_atomically, write_json
from fastslow.methods.base import Method
from fastslow.methods.files import TrainedModel
from fastslow.runtime.drawings import trial_drawings
from fastslow.runtime.manifest import ANSWER, BEGIN, EMBED, EMBED_INT8, FILES, LEARN, MANIFEST, Manifest

#: Packages of the extra `export`.
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
#: Characters, and drawings of each, that ranges of activations are measured on.
_CLASSES, _DRAWINGS, _SEED = 100, 4, 20200
#: The least edge at which ink of these can be told from paper, pixels.
_LEAST_EDGE = 8
#: Of what torch is given at a time (`images_per_pass`) a part, but no fewer: onnxruntime is quickest in the cache.
_SHARE, _LEAST = 8, 4


def refuse_unusable(out: Path) -> None:
    """Refuses a place where no folder of graphs can be written, and an environment that cannot make them.

    Raises:
        ValueError: if it is a file, holds what cannot be replaced or the manifest of something else, or may not be
            written to; or if a package is missing.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f'exporting needs {", ".join(missing)}, not installed here: pip install "fastslow[export]"')
    refuse_unwritable_folder(out, *FILES, MANIFEST)
    _refuse_other_manifest(out / MANIFEST)


def _refuse_other_manifest(path: Path) -> None:
    """Refuses to replace the manifest of a web page or of an extension; one of ours is, of whatever version."""
    if not path.exists():
        return
    try:
        ours = {"format", "files"} <= read_json(path).keys()
    except InputError:
        ours = False
    if not ours:
        raise InputError(
            f"{shown_path(path)} is of something else or damaged, and would be lost: give another folder, or remove it"
        )


def export_model(model: TrainedModel, out: Path, *, source: str = "") -> Manifest:
    """Writes a model's graphs, and the manifest last; each file is old or new, never half.

    A folder whose writing was stopped half way is refused by name when it is read: the manifest's checksums differ.

    Args:
        model: what to export; not modified.
        out: folder to write; made if it is not there.
        source: where the model is from, for the manifest.

    Returns:
        What the manifest says.

    Raises:
        ValueError: see `refuse_unusable`; or if the method learns by gradients, its answers depend on other queries, or
            its images are too small.
    """
    refuse_unusable(out)
    method = _frozen(model)
    embed = embed_graph(method)
    graphs = {
        EMBED: embed,
        EMBED_INT8: quantised(embed, _calibration(method.encoder.image_size)),
        BEGIN: begin_graph(method),
        LEARN: learn_graph(method),
        ANSWER: answer_graph(method),
    }
    contents = {name: graphs[name].SerializeToString() for name in FILES}
    manifest = Manifest(
        source=source,
        image_size=method.encoder.image_size,
        num_classes=method.num_classes,
        max_examples=method.capacity,
        examples_at_once=examples_at_once(method),
        images_at_once=max(_LEAST, images_per_pass(method.encoder) // _SHARE),
        state=tuple(state_tensors(method.initial_state(1))),
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        expected=tuple(map(tuple, _trial(method))),
        details=_details(model),
    )
    for name, content in contents.items():
        write_atomically(out / name, functools.partial(Path.write_bytes, data=content))
    write_json(out / MANIFEST, manifest.to_json())
    return manifest


def _frozen(model: TrainedModel) -> Method[Any]:
    """The method as it is exported: in 32 bits, evaluation mode, on the processor, its batch norm folded."""
    method = copy.deepcopy(model.method).float().cpu().eval().requires_grad_(False)
    if method.needs_autograd or method.transductive or type(method).embed is not Method.embed:
        raise InputError(
            f"got a model of method {shown(model.config.method)} with control {shown(model.config.control)}; only what "
            "learns without gradients and answers each query alone can be exported, such as fastslow or protonet"
        )
    if (size := method.encoder.image_size) < _LEAST_EDGE:
        raise InputError(
            f"got a model of images of {size} pixels; the characters that an export is measured on can be told at "
            f"{_LEAST_EDGE} pixels or more: train one with a larger image_size"
        )
    method.encoder = method.encoder.folded()
    return method


def _calibration(size: int) -> np.ndarray:
    """Glyphs as the encoder sees them, prepared."""
    glyphs = make_glyphs(num_classes=_CLASSES, per_class=_DRAWINGS, seed=_SEED).images.numpy()
    if glyphs.shape[1] == size:
        return prepared_drawings(glyphs, size=size, ink="bright", crop=False)[:, None]
    return prepared_drawings(glyphs, size=size, ink="bright", crop=True)[:, None]


@torch.no_grad()
def _trial(method: Method[Any]) -> list[list[float]]:
    """See `Manifest.expected`."""
    size = method.encoder.image_size
    drawings = prepared_drawings(trial_drawings(size), size=size, ink="bright", crop=False)
    features = method.embed(torch.from_numpy(drawings).unsqueeze(1)).unsqueeze(0)
    labels = torch.arange(len(drawings)).clamp_max(method.num_classes - 1).unsqueeze(0)
    logits: list[list[float]] = method.answer(features, method.learn(features, labels))[0].tolist()
    return logits


def _details(model: TrainedModel) -> dict[str, Any]:
    return {
        "images": "grey, values from 0 to 1, ink bright on paper of 0, shape (images, 1, size, size), float32; see "
        "fastslow.data.preparation.prepare",
        "labels": "int64, shape (1, examples), from 0, in the order in which classes are first shown",
        "model": dataclasses.asdict(model.config),
        "versions": {name: metadata.version(name) for name in ("fastslow", "torch", *_PACKAGES)},
    }
