"""What is asked of a learner that is served, done: the same function when a change comes and when it is replayed.

A change is prepared first: examples become features, which takes most of the time and need not be done in a replay.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from fastslow.data.images.folder import decoded
from fastslow.errors import InputError, shown
from fastslow.estimators.answers import answers_in_full
from fastslow.estimators.stream import FastSlowClassifier, features_to_learn, knows_something, learn_features
from fastslow.estimators.stream_files import MAX_BYTES
from fastslow.tensors import MAX_HEADER_BYTES

#: The most pixels that the images of one request have together: decoded and prepared they take some 500 MB.
MOST_PIXELS = 16_000_000
#: Of the header of a saved learner, what is not labels.
_OTHER_HEADER_BYTES = 64 * 2**10
_IMAGE_FORMATS = ("PNG", "JPEG")


def prepared(learner: FastSlowClassifier, change: Mapping[str, Any]) -> dict[str, Any]:
    """A change as it is kept and made, features in the place of examples.

    Args:
        learner: that is to be changed; it is not yet.
        change: by name, what is to be done ("do": "learn", "forget" or "undo") and with what; as in the bodies of
            requests.

    Raises:
        ValueError: if its examples or labels cannot be used.
    """
    if change["do"] != "learn":
        return dict(change)
    labels, features = change["labels"], features_to_learn(learner, examples_of(learner, change))
    _refuse_unsavable(learner, labels, features.shape[1])
    content = features.numpy().astype("<f4").tobytes()
    return {"do": "learn", "features": base64.b64encode(content).decode("ascii"), "labels": labels}


def apply_change(learner: FastSlowClassifier, change: Mapping[str, Any]) -> dict[str, Any]:
    """Does one change, all of it or, where something is wrong, nothing.

    Args:
        learner: to change.
        change: that was prepared.

    Returns:
        What there is to say about it.

    Raises:
        ValueError: if it cannot be done.
    """
    match change:
        case {"do": "learn", "features": str(features), "labels": list(labels)} if labels:
            rows = np.frombuffer(base64.b64decode(features, validate=True), "<f4").reshape(len(labels), -1)
            _refuse_other_features(learner, rows)
            learn_features(learner, torch.tensor(rows), labels)
            last = learner.memory_.examples.next_id
            return {"examples": list(range(last - len(labels), last))}
        case {"do": "forget", "label": str() | int() as label}:
            learner.forget(label)
        case {"do": "forget", "example": int(example)}:
            learner.forget(example=example)
        case {"do": "undo"}:
            learner.undo()
        case _:
            raise InputError(f"got the change {shown(change)}; learn, forget or undo was expected")
    return {}


def _refuse_other_features(learner: FastSlowClassifier, rows: np.ndarray) -> None:
    """Refuses what `prepared` has never made of this learner: a journal may be of another one."""
    wanted = learner.memory_.examples.num_features if knows_something(learner) else rows.shape[1]
    if rows.shape[1] != wanted or not np.isfinite(rows).all():
        raise InputError(f"got {rows.shape[1]} features of an example; {wanted} finite numbers were expected")


def answer(learner: FastSlowClassifier, question: Mapping[str, Any]) -> dict[str, Any]:
    """Answers about examples: of each the likeliest label, novelty, and probabilities, the largest first.

    Args:
        learner: to ask.
        question: examples as in `examples_of`, and `top`, how many probabilities.

    Raises:
        ValueError: if nothing is known, or the examples cannot be used.
    """
    found = answers_in_full(learner, examples_of(learner, question), question["top"])
    return {
        "answers": [
            {
                "label": one.label, "novelty": one.novelty, "unknown": one.unknown,
                "probabilities": [{"label": label, "probability": share} for label, share in one.probabilities],
            }
            for one in found
        ]
    }  # fmt: skip


def classes_of(learner: FastSlowClassifier) -> list[dict[str, Any]]:
    """The classes known, in the order in which they came, and how many examples of each are kept."""
    if not hasattr(learner, "memory_"):
        return []
    counts = Counter(learner.memory_.examples.classes.tolist())
    return [{"label": label, "examples": counts[number]} for number, label in enumerate(learner.memory_.labels)]


def examples_of(learner: FastSlowClassifier, body: Mapping[str, Any]) -> NDArray[Any]:
    """Examples as a learner takes them.

    Args:
        learner: that is to learn or answer.
        body: with `vectors`, lists of numbers, where it has no model, and else `images`: PNG or JPEG files, in base64.

    Raises:
        ValueError: if they are of the other kind, no such images, too large, or of different sizes.
    """
    kind = "vectors" if learner.model is None else "images"
    given = body.get(kind)
    if given is None:
        model = "no model" if learner.model is None else f"the model {shown(str(learner.model))}"
        raise InputError(f"got no {kind}; this learner has {model} and takes {kind}")
    if not given:
        raise InputError(f"got an empty list of {kind}; give at least one")
    if kind == "vectors":
        if len(lengths := set(map(len, given))) > 1:
            raise InputError(f"got vectors of {min(lengths)} to {max(lengths)} numbers; give all the same number")
        with np.errstate(over="ignore"):  # infinity is refused in words
            return np.asarray(given, dtype=np.float64).astype(np.float32)
    images, left = [], MOST_PIXELS
    for number, text in enumerate(given):
        images.append(decoded(_from_base64(text, f"images[{number}]"), f"images[{number}]", _IMAGE_FORMATS, left))
        left -= images[-1].shape[0] * images[-1].shape[1]
    if len(shapes := {image.shape for image in images}) > 1:
        raise InputError(
            f"got images of the shapes {shown(sorted(shapes))}; those of one request must have one size, and all or "
            "none of them clear pixels: send them one by one"
        )
    return np.stack(images)


def _refuse_unsavable(learner: FastSlowClassifier, labels: Sequence[Hashable], num_features: int) -> None:
    """Refuses what would make a learner that cannot be saved, before it is acknowledged."""
    known = set(learner.memory_.labels) if hasattr(learner, "memory_") else set[Hashable]()
    most = learner.max_examples * (4 * num_features + 24) + 8 * num_features**2
    if most > MAX_BYTES - MAX_HEADER_BYTES:
        raise InputError(
            f"got examples of {num_features} features, of which max_examples={learner.max_examples} would take {most} "
            f"bytes; at most {MAX_BYTES} can be saved: begin with a smaller max_examples"
        )
    if set(labels) <= known:
        return
    # In the file labels are JSON in JSON.
    size = sum(len(json.dumps(json.dumps(label))) for label in known | set(labels))
    if size > MAX_HEADER_BYTES - _OTHER_HEADER_BYTES:
        raise InputError(
            f"the labels would take {size} bytes, of which {MAX_HEADER_BYTES - _OTHER_HEADER_BYTES} can be saved: give "
            "shorter ones, or forget classes"
        )


def _from_base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is no base64; give the bytes of a PNG or JPEG file in base64") from error
