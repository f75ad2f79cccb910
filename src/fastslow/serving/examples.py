"""Examples as they are sent over HTTP, made what a learner takes; what is wrong is said to whoever sent them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import UnidentifiedImageError

from fastslow.data.images.folder import decoded
from fastslow.errors import InputError, shown
from fastslow.estimators.stream import FastSlowClassifier, knows_something

#: The most pixels that the images of one request have together: decoded and prepared they take some 500 MB.
MOST_PIXELS = 16_000_000
_FORMATS = ("PNG", "JPEG")


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
    return _vectors(learner, given) if kind == "vectors" else _images(learner, given)


def _vectors(learner: FastSlowClassifier, given: Sequence[Sequence[float]]) -> NDArray[Any]:
    if len(lengths := set(map(len, given))) > 1:
        raise InputError(f"got vectors of {min(lengths)} to {max(lengths)} numbers; give all the same number")
    (length,) = lengths
    wanted = learner.memory_.examples.num_features if knows_something(learner) else max(length, 1)
    if length != wanted:
        expected = f"this learner has learned vectors of {wanted}" if knows_something(learner) else "1 is the least"
        raise InputError(f"got vectors of {length} numbers; {expected}: give as many")
    with np.errstate(over="ignore"):  # infinity is refused in words
        return np.asarray(given, dtype=np.float64).astype(np.float32)


def _images(learner: FastSlowClassifier, given: Sequence[str]) -> NDArray[Any]:
    images, left = [], MOST_PIXELS
    for number, text in enumerate(given):
        image = _pixels(text, f"images[{number}]", left)
        if not learner.crop and image.shape[0] != image.shape[1]:
            raise InputError(
                f"images[{number}] has {_size(image)}; a square was expected: make it one, or begin a new state with "
                "the option --crop of fastslow serve, which takes any height and width"
            )
        left -= image.shape[0] * image.shape[1]
        images.append(image)
    if len({image.shape for image in images}) > 1:
        first, other = images[0], next(image for image in images if image.shape != images[0].shape)
        raise InputError(
            f"got images of {_size(first)} and of {_size(other)}; those of one request must have one size, and all or "
            "none of them clear pixels: send them one by one"
        )
    return np.stack(images)


def _size(image: NDArray[Any]) -> str:
    clear = ", some of them clear" if image.ndim == 3 else ""
    return f"{image.shape[1]} x {image.shape[0]} pixels{clear}"


def _pixels(text: str, name: str, most: int) -> NDArray[Any]:
    try:
        return decoded(_from_base64(text, name), name, _FORMATS, most)
    except InputError as error:
        if not isinstance(error.__cause__, UnidentifiedImageError):
            raise
        raise InputError(f"{name} is no PNG or JPEG file; give the bytes of one in base64") from error


def _from_base64(text: str, name: str) -> bytes:
    """As browsers and mail have it, too: after `data:image/png;base64,`, and in lines."""
    head, comma, rest = text.partition(",")
    data = rest if comma and head.startswith("data:") and head.endswith(";base64") else text
    try:
        return base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(f"{name} is no base64; give the bytes of a PNG or JPEG file in base64") from error
