"""One way in for drawings: whatever a file or an array holds becomes grey values in [0, 1], ink bright on dark paper.

Every image is read by itself, so an image is prepared the same whatever stands beside it. Drawings that are bright on
dark and of full contrast pass unchanged, bit for bit.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, Shaped
from PIL import Image

from fastslow.checks import refuse_unless_flag
from fastslow.data.binary import BRIGHT_INK, border_of, clean_binary, not_rounded, smooth
from fastslow.data.scale import Pixels, in_unit
from fastslow.errors import InputError, refuse_unknown

#: What is known of the ink: brighter or darker than its paper, to be found out, or no drawings at all.
Ink = Literal["auto", "bright", "dark", "as_is"]
INKS: tuple[str, ...] = get_args(Ink)

#: Grey values in [0, 1]; the underscores leave sizes unbound, for functions that change them.
Grey = Float32[np.ndarray, "_height _width"]

#: Paper this dark needs no change.
_DARK_PAPER = 0.04
#: Ink that stands out less is taken for a blank page: 8 of 255.
_LEAST_CONTRAST = 8 / 255
#: Ink lies on one side of the paper; the other side has fewer strong pixels than this share of them.
_OTHER_SIDE = 0.25
#: The paper's noise, as a share of the ink's contrast, up to which drawings are read.
_MOST_NOISE = 0.08
#: Longer side of the ink in a cropped square, as in Omniglot and MNIST (20 of 28 pixels).
_INK_SHARE = 20 / 28
#: Weights of red, green and blue in grey (ITU-R 601).
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


class UnclearInkError(InputError):
    """An image in which ink cannot be told from paper: a photograph rather than a drawing."""


class UnevenPaperError(UnclearInkError):
    """An image whose ink hardly stands out from its paper: a noisy drawing, or a photograph that looks like one."""


def refuse_unprepared(ink: str, crop: bool) -> None:
    """Refuses options of the preparation that do not exist or do not go together.

    Raises:
        InputError: if `ink` is none of `INKS`, `crop` neither true nor false, or images are to be cropped to an ink
            that is not looked for.
    """
    refuse_unknown({"ink": (ink, INKS)})
    if refuse_unless_flag("crop", crop) and ink == "as_is":
        raise InputError(
            "got crop=True with ink='as_is'; cropping needs drawings: give ink='auto', 'bright' or 'dark' (on the "
            "command line --ink auto), or leave out crop"
        )


def prepare(
    pixels: Pixels, *, size: int, ink: Ink = "auto", crop: bool = False, name: str = "the image"
) -> Float32[np.ndarray, "size size"]:
    """One image as a square of grey values in [0, 1], ink bright.

    Values are scaled by what the image holds: up to 1, up to 255, or up to 65535. Whole numbers up to 1 are paper and
    ink only where at least 1 % of the pixels are of either, else nearly blank bytes; a type of 16 bits is scaled by
    65535 unless the brightest pixel is in the top eighth of what 8 or 12 bits hold.
    Colours become grey. Clear pixels become paper. The paper is the median of the border; the ink is what stands out
    from it. The image is scaled to fit, padded with its paper, turned so that ink is bright, and stretched to full
    contrast unless it has it.

    Args:
        pixels: shape (height, width), or (height, width, channels): grey, grey and alpha, RGB or RGBA.
        size: edge of the square, pixels.
        ink: "auto" finds out from the image; "bright" and "dark" say it. "as_is" is for images that are no drawings:
            values are scaled, all else is left.
        crop: cut to the ink, whose longer side then takes 20 of 28 parts of the square: for drawings that are small on
            their page.
        name: what the image is called in messages.

    Raises:
        UnclearInkError: if ink cannot be told from paper, or hardly stands out from it.
        InputError: if the image is blank, or its values fit no rule; the message names it.
    """
    grey = _grey(in_unit(pixels, name), ink)
    if ink == "as_is":
        return _fit(grey, size)
    dark = _is_dark(grey, ink, name)
    bright = 1 - grey if dark else grey
    if dark or not _are_clean(bright[None])[0]:
        bright = bright - np.float32(_paper(bright))
        bright = bright / bright.max()
    if crop:
        bright = _cropped(bright)
    square = _fit(bright, size, dark=dark)
    is_binary = bright.shape == square.shape and bool(_are_binary(square[None])[0])
    if not _are_clean(square[None])[0]:
        square = _stretched(square, name)
    return smooth(square[None] > 0)[0] if is_binary else square


def prepare_stack(
    images: Shaped[np.ndarray, "images height width *channels"], *, size: int, ink: Ink = "auto", crop: bool = False
) -> Float32[np.ndarray, "images size size"]:
    """Many images of one shape, each as by `prepare`; quick for bright drawings of the right size.

    Raises:
        InputError: see `prepare`; the message has the image's index.
    """
    if images.shape[1:] == (size, size) and ink != "dark" and not crop:
        prepared, ready = _side_by_side(images, ink)
    else:
        prepared, ready = np.empty((len(images), size, size), np.float32), np.zeros(len(images), bool)
    if ready.all():
        return prepared
    for index in np.flatnonzero(~ready):
        prepared[index] = prepare(images[index], size=size, ink=ink, crop=crop, name=f"images[{index}]")
    return prepared


def _side_by_side(
    images: Shaped[np.ndarray, "images height width"], ink: Ink
) -> tuple[Float32[np.ndarray, "images height width"], Bool[np.ndarray, " images"]]:
    """All at once what `prepare` leaves as it is or only smooths; and which images these are."""
    if images.dtype.kind in "ui" and images.dtype != np.uint8:
        return np.empty(images.shape, np.float32), np.zeros(len(images), bool)
    if ink == "as_is":
        return _as_clean(images)
    lit, binary = clean_binary(images)
    if binary.all():
        return smooth(lit), binary
    prepared, clean = _as_clean(images)
    ready = binary | (clean & ~_are_binary(prepared))
    prepared[binary] = smooth(lit[binary])
    return prepared, ready


def _as_clean(
    images: Shaped[np.ndarray, "images height width"],
) -> tuple[Float32[np.ndarray, "images height width"], Bool[np.ndarray, " images"]]:
    """Images scaled as if they needed no other change; and which need none."""
    prepared = images.astype(np.float32)
    if images.dtype == np.uint8:
        prepared /= np.float32(255)
    return prepared, _are_clean(prepared) & not_rounded(images)


def _grey(unit: Float32[np.ndarray, "height width *channels"], ink: Ink) -> Grey:
    """Colours to grey, clear pixels to paper."""
    if unit.ndim == 2:
        return unit
    has_alpha = unit.shape[2] in (2, 4)
    colours, alpha = (unit[..., :-1], unit[..., -1]) if has_alpha else (unit, None)
    grey: Grey = colours @ _LUMINANCE if colours.shape[2] == 3 else colours[..., 0]
    if alpha is None or alpha.min() == 1:
        return grey
    covered: Grey = grey * alpha + np.float32(_clear(grey, alpha, ink)) * (1 - alpha)
    return covered


def _clear(grey: Grey, alpha: Grey, ink: Ink) -> float:
    """What clear pixels stand for: the paper that is seen at the border, or else whatever the ink is not."""
    border = border_of(alpha[None])[0] > 0.5
    if border.mean() > 0.5:
        return float(np.median(border_of(grey[None])[0][border]))
    if ink in ("bright", "dark"):
        return 0.0 if ink == "bright" else 1.0
    return 0.0 if (grey * alpha).sum() > 0.5 * alpha.sum() else 1.0


def _paper(grey: Grey) -> float:
    return float(np.median(border_of(grey[None])))


def _are_clean(images: Float32[np.ndarray, "images height width"]) -> Bool[np.ndarray, " images"]:
    """Which images are bright drawings of full contrast on dark paper, and so need no change."""
    flat, border = images.reshape(len(images), -1), border_of(images)
    least, most = flat.min(1, initial=np.inf), flat.max(1, initial=-np.inf)
    plain = 2 * _counts(border <= _DARK_PAPER) > border.shape[1]
    thin = 2 * _counts(flat > most[:, None] / 2) < flat.shape[1]
    clean: Bool[np.ndarray, " images"] = plain & thin & (least >= 0) & (most <= 1) & (most >= BRIGHT_INK)
    return clean


def _counts(pixels: Bool[np.ndarray, "images pixels"]) -> Float32[np.ndarray, " images"]:
    """How many are true of each image; as a product, which is quicker than a sum and exact up to 16 million."""
    counts: Float32[np.ndarray, " images"] = pixels.astype(np.float32) @ np.ones(pixels.shape[1], np.float32)
    return counts


def _are_binary(images: Float32[np.ndarray, "images height width"]) -> Bool[np.ndarray, " images"]:
    """Which images know only paper and ink, nothing between: each pixel is 0 or the largest."""
    flat = images.reshape(len(images), -1)
    binary: Bool[np.ndarray, " images"] = ((flat == 0) | (flat == flat.max(1, keepdims=True))).all(1)
    return binary


def _is_dark(grey: Grey, ink: Ink, name: str) -> bool:
    """Whether the ink is darker than the paper; refuses what has no ink."""
    deviations = grey - np.float32(_paper(grey))
    if ink != "auto":
        deviations = deviations.clip(min=0) if ink == "bright" else deviations.clip(max=0)
    contrast = float(np.abs(deviations).max())
    if contrast < _LEAST_CONTRAST:
        what = "nothing stands" if ink == "auto" else f"no {ink} ink stands"
        raise InputError(
            f"{name} is blank: {what} out from its paper by {_LEAST_CONTRAST:.0%} of the range; remove it, or scale "
            "its values to what their type holds"
        )
    brighter, darker = ((side > contrast / 2).mean() for side in (deviations, -deviations))
    if min(brighter, darker) > _OTHER_SIDE * max(brighter, darker) or max(brighter, darker) > 0.5:
        raise UnclearInkError(
            f"{name} has no plain paper at its border from which ink stands out; give ink='bright' or ink='dark', "
            "or ink='as_is' if these are no drawings (--ink on the command line)"
        )
    return bool(darker > brighter)


def _cropped(bright: Grey) -> Grey:
    """The square around the ink, filled up with paper."""
    ink = bright > bright.max() / 2
    (top, bottom), (left, right) = (
        (lines[0], lines[-1] + 1) for lines in map(np.flatnonzero, (ink.any(1), ink.any(0)))
    )
    edge = max(round(max(bottom - top, right - left) / _INK_SHARE), 1)
    square = np.full((edge, edge), _paper(bright), np.float32)
    up, back = (top + bottom - edge) // 2, (left + right - edge) // 2
    part = bright[max(up, 0) : up + edge, max(back, 0) : back + edge]
    square[max(-up, 0) :, max(-back, 0) :][: part.shape[0], : part.shape[1]] = part
    return square


def _fit(image: Grey, size: int, *, dark: bool = False) -> Grey:
    """Scaled to fit the square, aspect kept, centred on its own paper.

    In bytes, of the polarity that the file has, as other readers do; in floats where noise goes below the paper.
    """
    if image.shape == (size, size):
        return image
    scale = size / max(image.shape)
    height, width = (max(1, round(edge * scale)) for edge in image.shape)
    paper, in_bytes = _paper(image), image.min() >= 0
    if in_bytes:
        image, paper = (1 - image, 1 - paper) if dark else (image, paper)
        image, paper = (image * 255).round().astype(np.uint8), round(paper * 255)
    scaled = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS))
    square = np.full((size, size), paper, image.dtype)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = scaled
    if not in_bytes:
        return square
    unit: Grey = square.astype(np.float32) / np.float32(255)
    return 1 - unit if dark else unit


def _stretched(bright: Grey, name: str) -> Grey:
    """Paper to 0 and the brightest ink to 1; twice the paper's noise, as seen at the border, becomes paper."""
    depth = bright - np.float32(_paper(bright))
    contrast = float(depth.max())
    if contrast < _LEAST_CONTRAST:
        raise InputError(
            f"{name} has ink too thin to be seen at {len(bright)} pixels; crop=True (--crop) cuts it to its ink"
        )
    border = np.abs(border_of(depth[None]))
    even = float(np.median(border)) == 0  # then what else the border holds is ink, or what is left of its edges
    paper = border[border < contrast / 4]
    if paper.size == 0:
        raise UnclearInkError(
            f"{name} has no paper at its border, only ink and what is darker; leave a margin around the drawing, or "
            "give ink='as_is' if it is none (--ink on the command line)"
        )
    noise = 0.0 if even else float(np.sqrt(np.square(paper).mean()))
    if noise > _MOST_NOISE * contrast:
        raise UnevenPaperError(
            f"{name} has ink that hardly stands out from uneven paper ({noise / contrast:.0%} of noise; at most "
            f"{_MOST_NOISE:.0%} was expected): scan or draw it again, or give ink='as_is' (--ink as_is)"
        )
    return ((depth - 2 * noise) / (contrast - 2 * noise)).clip(0, 1).astype(np.float32)
