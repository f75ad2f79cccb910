"""From stroke programs to lines: carries out a program with the noise of a hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex64, Float32
from torch import Tensor
from torch.nn import functional as F

from fastslow.data.glyphs.programs import NUM_STROKES, Program
from fastslow.data.glyphs.strokes import NUM_SEGMENTS

NUM_STEPS = 40
_PER_STROKE = 3 * NUM_SEGMENTS + 6 + NUM_STEPS
MOTOR_NORMALS = NUM_STROKES * _PER_STROKE
"""How many normally distributed numbers the lines of one image are made from."""


class Plan(NamedTuple):
    """The programs of some classes as tensors (classes, strokes, ...); strokes are cut into equal steps."""

    size: Tensor  # (classes,): the longer side of the character, in pixels
    exists: Tensor
    closed: Tensor
    anchor: Tensor
    anchor_at: Tensor
    own_at: Tensor
    offset: Tensor  # complex: right + 1j * down
    bridge: Tensor
    bridge_at: Tensor
    step: Tensor  # the length of one step
    segment: Tensor  # (classes, strokes, steps): which segment a step belongs to
    begins: Tensor  # (classes, strokes, steps): 1 where a segment begins, else 0
    share: Tensor  # (classes, strokes, steps): 1 / the number of steps in the segment
    corner: Tensor  # (classes, strokes, steps): the corner of the segment
    arc: Tensor  # (classes, strokes, steps): the arc of the segment


def compile_programs(programs: Sequence[Program]) -> Plan:
    """Turns programs into tensors, with every stroke cut into `NUM_STEPS` steps."""
    shape = (len(programs), NUM_STROKES)
    pieces = np.zeros((*shape, NUM_SEGMENTS, 3), np.float32)
    places = np.zeros((*shape, 9), np.float32)
    for c, program in enumerate(programs):
        for s, stroke in enumerate(program.strokes):
            pieces[c, s, : len(stroke.segments)] = stroke.segments
            place = (stroke.closed, stroke.anchor, stroke.anchor_at, stroke.own_at, *stroke.offset)
            places[c, s] = (1.0, *place, stroke.bridge, stroke.bridge_at)
    exists, closed, anchor, anchor_at, own_at, right, down, bridge, bridge_at = torch.from_numpy(places).unbind(2)
    length, corner, arc = torch.from_numpy(pieces).unbind(3)
    ends = length.cumsum(2)
    total = ends[:, :, -1:].clamp_min(1e-6)
    middles = (torch.arange(NUM_STEPS, dtype=torch.float32, device="cpu") + 0.5) / NUM_STEPS * total
    segment = torch.searchsorted(ends, middles.contiguous()).clamp_max(NUM_SEGMENTS - 1)
    begins = torch.cat([torch.ones_like(segment[:, :, :1]), segment.diff(dim=2).clamp_max(1)], 2).to(torch.float32)
    count = torch.zeros_like(length).scatter_add(2, segment, torch.ones_like(middles))
    return Plan(
        size=torch.tensor([program.size for program in programs], dtype=torch.float32, device="cpu"),
        exists=exists > 0,
        closed=closed,
        anchor=anchor.long(),
        anchor_at=anchor_at,
        own_at=own_at,
        offset=torch.complex(right, down),
        bridge=bridge.long(),
        bridge_at=bridge_at,
        step=total[:, :, 0] / NUM_STEPS,
        segment=segment,
        begins=begins,
        share=1 / count.gather(2, segment),
        corner=corner.gather(2, segment),
        arc=arc.gather(2, segment),
    )


def lay_out(plan: Plan, normals: Float32[Tensor, "images normals"]) -> Complex64[Tensor, "images strokes points"]:
    """The strokes of each image as points, each in its place among the others; a row of `plan` an image."""
    noise = normals.reshape(-1, NUM_STROKES, _PER_STROKE)
    lengths, corners, arcs, place, wobble = torch.split(noise, [NUM_SEGMENTS] * 3 + [6, NUM_STEPS], 2)
    lengths, corners, arcs = (part.gather(2, plan.segment) for part in (lengths, corners, arcs))
    step = plan.step[..., None] * torch.exp(0.11 * lengths + 0.07 * place[..., :1])
    bend = plan.arc * (1 + 0.09 * arcs) + 0.09 * arcs
    turn = plan.begins * (plan.corner + 0.09 * corners) + plan.share * bend
    wobble = F.avg_pool1d(wobble, 5, 1, 2, count_include_pad=False)
    strokes = torch.polar(step, turn.cumsum(2) + 0.2 * wobble).cumsum(2)
    strokes = torch.cat([torch.zeros_like(strokes[..., :1]), strokes], 2)
    along = torch.linspace(0, 1, NUM_STEPS + 1, dtype=torch.float32, device=strokes.device)
    strokes = strokes - (plan.closed[..., None] * along) * strokes[..., -1:]
    return _place(plan, strokes, place)


def _place(
    plan: Plan,
    strokes: Complex64[Tensor, "images strokes points"],
    noise: Float32[Tensor, "images strokes slips"],
) -> Complex64[Tensor, "images strokes points"]:
    """Moves each stroke to its anchor, and turns and stretches bridges until they reach their end."""
    rows = torch.arange(len(strokes), device=strokes.device)

    def point(of: Tensor, at: Tensor) -> Tensor:
        return placed[rows, of, (at * NUM_STEPS).round().long().clamp(0, NUM_STEPS)]

    placed = strokes.clone()
    for s in range(1, NUM_STROKES):
        own, slip = strokes[:, s], noise[:, s]
        start = point(plan.anchor[:, s], plan.anchor_at[:, s] + 0.04 * slip[:, 1])
        start = start + plan.offset[:, s] * torch.exp(0.15 * slip[:, 2])
        start = start + 0.03 * torch.complex(slip[:, 3], slip[:, 4])
        is_bridge = plan.bridge[:, s] >= 0
        end = point(plan.bridge[:, s].clamp_min(0), plan.bridge_at[:, s] + 0.04 * slip[:, 5])
        reach = torch.where(own[:, -1].abs() < 1e-3, torch.ones_like(end), own[:, -1])
        own = own * torch.where(is_bridge, (end - start) / reach, torch.ones_like(end))[:, None]
        held = own[rows, (plan.own_at[:, s] * NUM_STEPS).round().long()]
        placed[:, s] = own + (start - held)[:, None]
    return placed
