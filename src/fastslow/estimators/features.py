"""What a stream learner compares: features of images by a model, by a module or function of one's own, or vectors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from fastslow.core.encoders import images_per_pass, in_passes
from fastslow.core.gaussian import ClassStatistics
from fastslow.core.packed import packed
from fastslow.data.preparation import Ink, refuse_unprepared
from fastslow.errors import InputError, shown, shown_reason
from fastslow.estimators.images import prepared_images
from fastslow.estimators.statistics import refuse_without_features, statistics_of, weights_sha256
from fastslow.methods.files import PRETRAINED_PREFIX, TrainedModel, load_model, pretrained_names

#: Images that a module of one's own sees at a time.
_AT_ONCE = 256


class Features(NamedTuple):
    """A way from what users show to vectors.

    Attributes:
        make: examples to features, shape (examples, features), float32, on the CPU.
        prior: how features of classes spread, where that is known.
        sha256: of the weights and the prior; "" where there are none to look at.
    """

    make: Callable[[Any], Float[Tensor, "examples features"]]
    prior: ClassStatistics | None
    sha256: str


class LoadedModel(NamedTuple):
    """A model for drawings that is not, or not yet, in a file: what `SlowEncoder` gives a learner.

    Attributes:
        trained: the model.
        prior: how its features of classes spread, where that is known.
    """

    trained: TrainedModel
    prior: ClassStatistics | None


def features_of(model: object, *, ink: Ink = "auto", crop: bool = False) -> Features:
    """The way that a model stands for.

    Args:
        model: name of a shipped model, a run folder, a .safetensors file or a `LoadedModel` (drawings in); an .onnx
            file, a `torch.nn.Module` or a function (whatever it takes in); None for vectors.
        ink: of drawings, see `FewShotClassifier`.
        crop: likewise.

    Raises:
        ValueError: if there is no such model, or it has no features to compare.
    """
    refuse_unprepared(ink, crop)
    if model is None:
        return Features(as_vectors, None, "")
    if isinstance(model, nn.Module):
        module = model
        return Features(lambda examples: _by_module(module, examples), None, weights_sha256(model.state_dict()))
    if callable(model):
        function = model
        return Features(lambda examples: as_vectors(function(examples)), None, "")
    if str(model).lower().endswith(".onnx"):
        from fastslow.estimators.onnx import onnx_encoder

        make, sha256 = onnx_encoder(Path(str(model)))
        return Features(lambda examples: as_vectors(make(examples)), None, sha256)
    return _of_drawings(model if isinstance(model, LoadedModel) else loaded_model(str(model)), ink, crop)


def loaded_model(model: str) -> LoadedModel:
    """A model for drawings, read.

    Args:
        model: name of a shipped model, a run folder or a .safetensors file.

    Raises:
        ValueError: if there is no such model, or it has no features to compare.
    """
    source = f"{PRETRAINED_PREFIX}{model}" if model in pretrained_names() else model
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        trained = load_model(source)
    refuse_without_features(trained.method)
    return LoadedModel(trained, statistics_of(source, trained.method.encoder))


def as_vectors(examples: Any) -> Float[Tensor, "examples features"]:  # noqa: ANN401 - whatever users have
    """Feature vectors as a tensor.

    Raises:
        ValueError: if they are no rows of finite numbers; in the words that scikit-learn's checks look for.
    """
    if hasattr(examples, "toarray"):
        raise InputError("got sparse data; dense data is required: give X.toarray()")
    if isinstance(examples, Tensor):
        examples = examples.detach().cpu().float().numpy()
    try:
        array = np.asarray(examples)
        if np.iscomplexobj(array):
            raise InputError("got numbers with an imaginary part. Complex data not supported: give real numbers")
        rows = np.array(array, dtype=np.float32, order="C", copy=None if array.flags.writeable else True)
    except InputError:
        raise
    except (ValueError, TypeError, OverflowError, RuntimeError) as error:
        kind = TypeError if isinstance(error, TypeError) else InputError
        raise kind(f"the examples cannot be made an array of numbers: {shown_reason(error)}") from error
    if rows.ndim != 2:
        raise InputError(
            f"got an array of shape {rows.shape}. Expected 2D array, one row an example. Reshape your data, either by "
            "array.reshape(-1, 1) or array.reshape(1, -1)"
        )
    if 0 in rows.shape:
        raise InputError(
            f"got {rows.shape[0]} sample(s) (shape={rows.shape}) while a minimum of 1 is required: {rows.shape[1]} "
            f"feature(s) (shape={rows.shape}) while a minimum of 1 is required."
        )
    if not np.isfinite(rows).all():
        raise InputError("got NaN or infinity among the features (after rounding to 32 bits); give finite numbers")
    return torch.from_numpy(rows)


def _of_drawings(model: LoadedModel, ink: Ink, crop: bool) -> Features:
    trained, prior = model
    weights = trained.method.encoder.state_dict()
    encoder = packed(trained.method.encoder.folded().eval().requires_grad_(False))
    sha256 = weights_sha256(weights | ({} if prior is None else {f"prior {k}": v for k, v in prior._asdict().items()}))
    size, at_once = trained.config.image_size, images_per_pass(encoder)

    def make(drawings: Any) -> Tensor:  # noqa: ANN401 - whatever users have
        images = prepared_images(drawings, size=size, ink=ink, crop=crop)
        with torch.inference_mode():
            features = in_passes(encoder, images, at_once)
        return features.clone()  # an ordinary tensor

    return Features(make, prior, sha256)


def _by_module(module: nn.Module, examples: object) -> Tensor:
    try:
        inputs = torch.as_tensor(np.asarray(examples) if not isinstance(examples, Tensor) else examples.detach())
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"got {shown(examples)}, which cannot be made a tensor: {shown_reason(error)}") from error
    like = next(
        (part for part in (*module.parameters(), *module.buffers()) if part.is_floating_point()), torch.empty(0)
    )
    inputs = inputs.to(like.dtype if like.numel() else torch.float32)
    were_training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.inference_mode():
            made = [module(part.to(like.device)) for part in torch.split(inputs, _AT_ONCE)]
        features = torch.cat([part.flatten(1).float().cpu() for part in made])
    except (RuntimeError, TypeError, AttributeError, IndexError) as error:
        raise InputError(
            f"the model makes no features of examples of shape {tuple(inputs.shape)} ({shown_reason(error)}); it has "
            "to give one tensor with a row an example"
        ) from error
    finally:
        for part in were_training:
            part.training = True
    return as_vectors(features.clone())
