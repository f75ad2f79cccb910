"""From lines to images: the slant, size and place of the whole, and the pen."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Complex64, Float32, UInt8
from torch import Tensor
from torch.nn import functional as F

from fastslow.data.glyphs.motor import MOTOR_NORMALS, Plan, lay_out

IMAGE_SIZE = 28
_PER_IMAGE = 10
NUM_NORMALS = MOTOR_NORMALS + _PER_IMAGE
"""How many normally distributed numbers one image is made from."""
STYLE = {"rounding": 0, "size": 1, "width": 2, "slant": 3, "turn": 4, "pen": 9}
"""What the whole of a drawing differs by, but for its place: each the index of its number after the strokes' own."""

_PAPER = 22.5  # pixels across the square that the middle of the pen stays in
_MARGIN = 4  # pixels beyond the border that a pen may reach, cut off at the end
_WINDOW = 5  # pixels across the square that one step of the pen may touch
_EDGE = 1.2  # pixels over which the ink fades


def draw(
    plan: Plan, normals: Float32[Tensor, "classes images normals"]
) -> UInt8[Tensor, "classes images height width"]:
    """Draws images of each class.

    Args:
        plan: what `compile_programs` made of the classes.
        normals: all that is random in the images: normally distributed, (classes, images, `NUM_NORMALS`).
            Zeros draw each program without noise.

    Returns:
        Shape (classes, images, 28, 28); 255 is ink.
    """
    low, high = _box(lay_out(plan, normals.new_zeros(len(normals), MOTOR_NORMALS)), plan.exists)
    width, height = (high - low).real, (high - low).imag
    squeeze = ((height + 0.1) / (width + 0.1)).pow(0.25).clamp(1 / 1.3, 1.3)
    scale = plan.size / torch.maximum(width * squeeze, height / squeeze).clamp_min(0.1)
    scale = torch.stack([scale * squeeze, scale / squeeze], 1)
    index = torch.arange(len(normals), device=normals.device).repeat_interleave(normals.shape[1])
    each = Plan(*(part[index] for part in plan))
    motor, whole = torch.split(normals.flatten(0, 1), [MOTOR_NORMALS, _PER_IMAGE], 1)
    paths = _as_a_whole(lay_out(each, motor), each.exists, scale[index], whole)
    pen = 0.8 * torch.exp(0.08 * whole[:, -1])
    return _ink(paths, each.exists, pen).view(*normals.shape[:2], IMAGE_SIZE, IMAGE_SIZE)


def _box(
    paths: Complex64[Tensor, "images strokes points"], exists: Bool[Tensor, "images strokes"]
) -> Complex64[Tensor, "2 images"]:
    """Top left and bottom right corner of the box round each drawing, as right + 1j * down."""
    points = torch.view_as_real(torch.where(exists[:, :, None], paths, paths[:, :1]).flatten(1))
    return torch.view_as_complex(torch.stack([points.amin(1), points.amax(1)]))


def _smooth(
    paths: Complex64[Tensor, "images strokes points"],
) -> Complex64[Tensor, "images strokes points"]:
    """The running mean of the points of each stroke: the same stroke with its corners well rounded."""
    lines = torch.view_as_real(paths).flatten(0, 1).transpose(1, 2)
    mean = F.avg_pool1d(lines, 9, 1, 4, count_include_pad=False)
    return torch.view_as_complex(mean.transpose(1, 2).contiguous()).view_as(paths)


def _as_a_whole(
    paths: Complex64[Tensor, "images strokes points"],
    exists: Bool[Tensor, "images strokes"],
    scale: Float32[Tensor, "images 2"],
    noise: Float32[Tensor, "images _"],
) -> Complex64[Tensor, "images strokes points"]:
    """Rounds the corners; scales, slants, turns and centres the drawing on the paper, in pixels."""
    noise = noise[:, :, None, None]
    rounding = torch.sigmoid(1.5 * noise[:, 0] - 1.5)
    paths = paths * (1 - rounding) + _smooth(paths) * rounding
    wide = scale[:, 0, None, None] * torch.exp(0.08 * noise[:, 1] + 0.06 * noise[:, 2])
    tall = scale[:, 1, None, None] * torch.exp(0.08 * noise[:, 1] - 0.06 * noise[:, 2])
    paths = torch.complex(wide * (paths.real + 0.1 * noise[:, 3] * paths.imag), tall * paths.imag)
    paths = paths * torch.polar(torch.ones_like(wide), 0.08 * noise[:, 4])
    low, high = torch.view_as_real(_box(paths, exists)).unbind(0)
    shrink = (_PAPER / (high - low).amax(1, keepdim=True)).clamp_max(1.0)
    room = (_PAPER - shrink * (high - low)) / 2
    centre = (IMAGE_SIZE - 1) / 2 + torch.maximum(torch.minimum(1.3 * noise[:, 5:7, 0, 0], room), -room)
    shift = centre - shrink * (low + high) / 2
    return paths * shrink[:, :, None] + torch.complex(shift[:, 0], shift[:, 1])[:, None, None]


def _ink(
    paths: Complex64[Tensor, "images strokes points"],
    exists: Bool[Tensor, "images strokes"],
    pen: Float32[Tensor, " images"],
) -> UInt8[Tensor, "images height width"]:
    """Draws each step as a line of radius `pen` pixels, softly; where two meet, the darker counts."""
    image, stroke = exists.nonzero(as_tuple=True)
    points = torch.view_as_real(paths[image, stroke])
    start, step = points[:, :-1], points.diff(dim=1)
    nearest = (start + step / 2).round()
    window = torch.arange(_WINDOW, device=points.device)[:, None] - _WINDOW // 2
    pixel = nearest[:, :, None, :] + window  # (strokes, steps, window, 2): column and row
    x, y = (pixel - start[:, :, None, :]).unbind(3)
    x, y = x[:, :, None, :], y[:, :, :, None]
    right, down = (part[:, :, None, None] for part in step.unbind(2))
    along = ((x * right + y * down) / (right.square() + down.square()).clamp_min(1e-9)).clamp_(0, 1)
    distance = torch.hypot(x - along * right, y - along * down)
    ink = ((pen[image, None, None, None] - distance) / _EDGE + 0.5).clamp_(0, 1)
    side = IMAGE_SIZE + 2 * _MARGIN
    column, row = (pixel.long() + _MARGIN).unbind(3)
    where = (image[:, None, None] * side + row)[..., None] * side + column[:, :, None, :]
    canvas = points.new_zeros(len(paths) * side * side)
    canvas.scatter_reduce_(0, where.flatten(), ink.flatten(), "amax")
    canvas = canvas.view(-1, side, side)[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return (canvas * 255).round().to(torch.uint8)
