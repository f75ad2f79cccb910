"""What was taught in the page, from the file that it saves."""

from __future__ import annotations

import base64
import binascii
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from fastslow.errors import InputError, shown, shown_path
from fastslow.files import read_json

#: What the page writes first; `FILE_FORMAT` in project.js.
FORMAT = "fastslow-play 1"
#: Edge of a drawing, pixels.
SIZE = 28
#: The longest name of a class, counted as JavaScript does; `LONGEST_NAME` in project.js.
_LONGEST_NAME = 40


class Taught(NamedTuple):
    """Drawings as `FewShotClassifier.learn` takes them.

    Attributes:
        images: ink bright, in the order of the page's slots.
        labels: the name of each one's class.
    """

    images: UInt8[np.ndarray, "images height width"]
    labels: list[str]


def load_taught(path: str | Path) -> Taught:
    """Reads a project that the page has saved.

    Learned all at once by the page's model they give the page's answers, but for "none of these", which is the page's.

    Raises:
        ValueError: if the file cannot be read or is no such project; the message names it.
    """
    content, name = read_json(path), shown_path(path)
    if content.get("format") != FORMAT or not isinstance(content.get("classes"), list):
        raise InputError(f"{name} is no project that `fastslow play` has saved; save one there")
    labels: list[str] = []
    images = []
    for known in content["classes"]:
        drawings = _drawings(known, name)
        if known["name"] in labels:
            raise InputError(f"{name} has two classes of the name {shown(known['name'])}; save it again")
        for drawing in drawings:
            labels.append(known["name"])
            images.append(_image(drawing, name))
    return Taught(np.array(images, np.uint8).reshape(-1, SIZE, SIZE), labels)


def _drawings(known: Any, name: str) -> list[Any]:  # noqa: ANN401 - anything JSON can hold
    fits = isinstance(known, dict) and isinstance(known.get("name"), str) and isinstance(known.get("drawings"), list)
    if not fits:
        raise InputError(f"{name} has a class without a name or drawings; save it again")
    if not known["name"].strip() or len(known["name"].encode("utf-16-le", "surrogatepass")) > 2 * _LONGEST_NAME:
        raise InputError(
            f"{name} has a class of the name {shown(known['name'])}; 1 to {_LONGEST_NAME} letters were expected: save "
            "it again"
        )
    drawings: list[Any] = known["drawings"]
    return drawings


def _image(drawing: Any, name: str) -> UInt8[np.ndarray, " pixels"]:  # noqa: ANN401 - anything JSON can hold
    try:
        image = np.frombuffer(base64.b64decode(drawing, validate=True), np.uint8)
    except (TypeError, ValueError, binascii.Error):
        image = np.empty(0, np.uint8)
    if image.size != SIZE * SIZE:
        raise InputError(f"{name} has a damaged drawing: {SIZE} x {SIZE} bytes in base64 were expected; save it again")
    return image
