"""Images of Pillow as arrays of colours: by itself it gives a palette's numbers, and no clear pixels of a palette."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

#: Whose values are grey or colours, with or without alpha, as they are.
_PLAIN = ("L", "LA", "RGB", "RGBA", "I", "F")


def without_pillow(images: Any) -> Any:  # noqa: ANN401 - whatever users have
    """An image of Pillow, or a list of them, as an array or a list of these; anything else as it is.

    Palettes, inks for print and other colours become RGB, or RGBA where some of the pixels may be clear; of a list all
    become the same.
    """
    if isinstance(images, Image.Image):
        return np.asarray(_plain([images])[0])
    if isinstance(images, list | tuple) and images and all(isinstance(image, Image.Image) for image in images):
        return [np.asarray(image) for image in _plain(images)]
    return images


def _plain(images: list[Image.Image] | tuple[Image.Image, ...]) -> list[Image.Image]:
    modes = {image.mode for image in images}
    clear = any(image.has_transparency_data for image in images)
    if len(modes) == 1 and (modes & {"LA", "RGBA"} or (modes <= {*_PLAIN} and not clear)):
        return [*images]
    if any(mode.startswith(("I", "F")) for mode in modes):  # of more than 8 bits, which a conversion would cut
        return [*images]
    return [image.convert("RGBA" if clear else "RGB") for image in images]
