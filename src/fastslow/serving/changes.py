"""What is asked of a learner that is served, done: the same function when a change comes and when it is replayed.

A change is prepared first: examples become features, which takes most of the time and need not be done in a replay.
"""

from __future__ import annotations

import base64
import json
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from fastslow.errors import InputError, shown
from fastslow.estimators.answers import answers_in_full
from fastslow.estimators.stream import FastSlowClassifier, features_to_learn, knows_something, learn_features
from fastslow.estimators.stream_files import MAX_BYTES
from fastslow.serving.examples import examples_of
from fastslow.tensors import MAX_HEADER_BYTES

#: Ids of examples that are listed, of all classes together: those learned last.
MOST_IDS = 10_000
#: Of the header of a saved learner, what is not labels.
_OTHER_HEADER_BYTES = 64 * 2**10


def prepared(learner: FastSlowClassifier, change: Mapping[str, Any]) -> dict[str, Any]:
    """A change as it is kept and made, features in the place of examples.

    Args:
        learner: that is to be changed; it is not yet.
        change: by name, what is to be done ("do": "learn", "forget" or "undo") and with what; as in the bodies of
            requests.

    Raises:
        ValueError: if its examples or labels cannot be used, or its example cannot be forgotten.
    """
    if change["do"] != "learn":
        if change.get("example") is not None:
            _refuse_unforgettable(learner, change["example"])
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
    """The classes known, in order of arrival: how many examples of each are kept, and ids of them.

    Listed are the last `MOST_IDS` of all classes that can be forgotten one by one, which merged ones cannot.
    """
    if not hasattr(learner, "memory_"):
        return []
    rows = learner.memory_.examples
    counts, alone, ids = Counter(rows.classes.tolist()), rows.counts == 1, defaultdict[int, list[int]](list)
    last = (part[alone][-MOST_IDS:].tolist() for part in (rows.classes, rows.ids))
    for number, one in zip(*last, strict=True):
        ids[number].append(one)
    return [
        {"label": label, "examples": counts[number], "ids": ids[number]}
        for number, label in enumerate(learner.memory_.labels)
    ]


def _refuse_unforgettable(learner: FastSlowClassifier, example: int) -> None:
    """Refuses an example that is not kept by itself, with what is there to be done over HTTP."""
    if not knows_something(learner):
        return  # refused as every question to a learner of nothing
    rows = learner.memory_.examples
    found = rows.counts[rows.ids == example].tolist()
    if found == [1]:
        return
    why = "has been merged with others of its class" if found else "is not kept"
    raise InputError(
        f"example {example} {why}; /classes lists the ids of those that can be forgotten one by one, and "
        '{"label": LABEL} forgets a class'
    )


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
