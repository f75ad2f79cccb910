"""A stream learner in one file: what it has learned, and of which model; no code, nothing that is run on reading."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from fastslow.data.labels import LabelNumbers
from fastslow.errors import InputError, as_path, shown, shown_path, shown_reason
from fastslow.estimators.answers import checked_threshold
from fastslow.estimators.contexts import plainly
from fastslow.estimators.examples import Examples
from fastslow.estimators.features import Features
from fastslow.estimators.stream_memory import StreamMemory
from fastslow.files import from_json, to_json
from fastslow.tensors import MAX_HEADER_BYTES, load_tensors, save_tensors

if TYPE_CHECKING:
    from fastslow.estimators.stream import FastSlowClassifier

    T = TypeVar("T", bound=FastSlowClassifier)

_FORMAT, _KIND = 1, "stream learner"
#: The largest file. A million examples of 128 features take half of it.
MAX_BYTES = 2**30
_PLAIN = (str, int, float, bool)


class _NoModelError(InputError):
    """The model of a learner that is read is not where it was."""


@plainly
def save_stream(path: str | Path, learner: FastSlowClassifier) -> None:
    """Writes a learner, atomically.

    Raises:
        ValueError: if it has learned nothing, a label is neither text nor number, or no file can be written there.
    """
    path = as_path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"got {shown_path(path)} to save a learner to; give a file that ends in .safetensors")
    labels, memory = learner._labels(), learner.memory_
    if strange := [label for label in labels if not _writable(label)]:
        raise InputError(f"got the label {shown(strange[0])}; only texts and numbers can be saved: rename it")
    tensors = memory.examples.tensors()
    if (size := sum(part.nbytes for part in tensors.values())) > MAX_BYTES - MAX_HEADER_BYTES:
        raise InputError(
            f"got {size} bytes to save; a file of at most {MAX_BYTES} can be read back: keep fewer examples"
        )
    features = learner._same_encoder(thoroughly=True)
    # What the memory is held to; arguments set since count from the next fit on.
    parameters = learner.get_params() | memory.limits._asdict() | {"slow": memory.slow, "doubt_labels": memory.doubt}
    parameters |= {"novelty_threshold": _as_given(learner.novelty_threshold), "crop": bool(learner.crop)}
    own = parameters["model"] is not None and not isinstance(parameters["model"], str | Path)
    parameters["model"] = None if own or parameters["model"] is None else str(parameters["model"])
    header = {
        "format": _FORMAT, "kind": _KIND, "parameters": parameters, "own_model": own,
        "model_sha256": memory.source, "labels": labels, "next_id": memory.examples.next_id,
        "num_lost": memory.examples.num_lost,
    }  # fmt: skip
    try:  # nothing is written that cannot be read back
        again = from_json(to_json(header), shown_path(path))
        _restored(type(learner), tensors, again, learner.model if own else None, features)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the learner cannot be saved so that it can be read ({shown_reason(error)})") from error
    save_tensors(path, tensors, header)


@plainly
def load_stream(path: str | Path, kind: type[T], model: Any = None) -> T:  # noqa: ANN401 - as the class takes it
    """Reads a learner.

    Args:
        path: of the file.
        kind: of learner.
        model: that it had, where that was a module or a function; that a function is the same one cannot be checked. Or
            where it is now, if its file is no longer where it was.

    Raises:
        ValueError: if the file is damaged or of another kind, or the model is not the one that it was saved with.
    """
    tensors, header = load_tensors(path, MAX_BYTES)
    name = shown_path(path)
    if header.get("format") != _FORMAT or header.get("kind") != _KIND:
        raise InputError(f"{name} holds no stream learner of format {_FORMAT}; it was saved by something else")
    try:
        learner = _restored(kind, tensors, header, model)
        sha256 = learner._encoder().sha256
    except _NoModelError as error:
        raise InputError(
            f"{name} holds a stream learner that cannot be read without the model {error}: bring it back, or give its "
            "place in load(path, model=...)"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{name} holds a stream learner that cannot be read ({shown_reason(error)})") from error
    if sha256 != header.get("model_sha256"):
        raise InputError(f"{name} was saved with another model than {shown(learner.model)}: its weights have changed")
    return learner


def _restored(
    kind: type[T],
    tensors: Mapping[str, Tensor],
    header: Mapping[str, Any],
    model: Any,  # noqa: ANN401 - as the class takes it
    features: Features | None = None,
) -> T:
    """The learner that a file holds.

    Args:
        kind: of learner.
        tensors: of the file.
        header: likewise.
        model: as `load_stream` takes it.
        features: what the model makes, if that is known already.
    """
    parameters = dict(header["parameters"])
    if header["own_model"] and model is None:
        raise InputError("it was saved with a model of its own; give load(path, model=...) the same one")
    learner = kind(**(parameters | ({} if model is None else {"model": model})))
    checked_threshold(learner.novelty_threshold)
    labels, examples = _labels(header["labels"]), Examples.of(tensors, header["next_id"], header["num_lost"])
    if features is not None:
        learner._features = ((learner.model, learner.ink, learner.crop), features)
    elif isinstance(learner.model, str):
        _refuse_without(learner)
    learner.memory_ = _memory(learner, examples, labels)
    if learner.model is None:
        learner.n_features_in_ = examples.num_features
    return learner


def _refuse_without(learner: FastSlowClassifier) -> None:
    """Refuses a learner whose model is in a file that is gone: its place may have been told from another folder."""
    try:
        learner._encoder()
    except InputError as error:
        raise _NoModelError(f"{shown(learner.model)}, which is not to be had ({shown_reason(error)})") from error


def _as_given(threshold: Any) -> float | None:  # noqa: ANN401 - from users
    """A threshold as a file holds it; None stays None, for what it stands for may change."""
    return None if threshold is None else checked_threshold(threshold)


def _writable(label: Hashable) -> bool:
    """Whether a file gives a label back as it is: Python does not write out whole numbers of thousands of digits."""
    if type(label) not in _PLAIN:
        return False
    try:
        return bool(json.loads(json.dumps(label, allow_nan=False)) == label)
    except ValueError:
        return False


def _labels(labels: object) -> list[Hashable]:
    if not isinstance(labels, list) or not all(type(label) in _PLAIN for label in labels):
        raise InputError(f"got labels={shown(labels)}; a list of texts and numbers was expected")
    return labels


def _memory(learner: FastSlowClassifier, examples: Examples, labels: list[Hashable]) -> StreamMemory:
    memory = learner._new_memory(examples.num_features)
    if len(set(labels)) != len(labels) or (len(examples) and int(examples.classes.max()) >= len(labels)):
        raise InputError("its labels do not belong to its examples; save it again")
    if len(examples) > memory.limits.max_examples:
        raise InputError(f"it keeps {len(examples)} examples, more than max_examples={memory.limits.max_examples}")
    memory.restore(LabelNumbers(labels), examples)
    return memory
