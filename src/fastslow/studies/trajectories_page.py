"""What the page of the study of trajectories draws beside tables and curves: forecasts while ten are learned, a map."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from fastslow.protocol.result import Cell, Result
from fastslow.report.figures.base import GREY, ORANGE, RED
from fastslow.studies.drawn import FORECASTS, LEARNED
from fastslow.studies.page import Drawing, Figure
from fastslow.studies.ten_tracks import course_name
from fastslow.studies.track_drawings import Found, Stepped, Style, ToDraw, map_of

#: As in the paper's Fig. 5: ours red, MAML++ grey, the supervised model purple, the memory network orange.
STYLES = {
    "constant-velocity": Style("black", "1 5"),
    "mlp-finetuned": Style("#7F4F24", "8 4"),
    "mamlpp": Style(GREY),
    "seq2seq": Style("#8E44AD"),
    "memory-network": Style(ORANGE),
    "memory-on-mlp": Style(RED),
}
#: The forecaster of a stream whose memory is shown.
MAPPED = "memory"
_CAPTION = (
    "Six of the pedestrians that nobody learns from, at even ranks of constant velocity's error, from its best "
    "forecasts to its worst. Ours is memory-on-mlp: a network at rest, trained on cyclists, and a memory of its errors "
    "on the ten, written in one step, forward only. memory-network is the paper's network in a fair setting, "
    "mlp-finetuned the network of ours, taught by backpropagation. Lines that leave the square are cut off."
)


def is_drawn(cell: Cell) -> bool:
    """Whether a cell's run leaves something to draw: those of the first seed, of a few rows."""
    ten = cell.options["protocol"] == "ten"
    return cell.seed == 0 and (cell.method in STYLES if ten else cell.method == MAPPED)


def drawn_of(results: Sequence[Result]) -> list[ToDraw]:
    """What the page draws, of all data and tasks."""
    return [
        ToDraw(its, axes, functools.partial(draw, f"{data}, {task}"))
        for protocol, axes, draw in (("ten", FORECASTS, _TEN.figure), ("stream", LEARNED, _maps))
        for (data, task), its in _by_tracks(results, protocol).items()
    ]


def _maps(of: str, found: Found) -> list[Figure | Drawing]:
    title = f"What a memory has learned of the place from a stream of pedestrians ({of})"
    return [map_of(title, arrays) for _, arrays in found.arrays]


def _by_tracks(results: Sequence[Result], protocol: str) -> dict[tuple[str, str], list[Result]]:
    """Those that are drawn, by data and task."""
    found: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if result.cell.options["protocol"] == protocol and is_drawn(result.cell):
            found.setdefault((result.cell.data, str(result.cell.options["task"])), []).append(result)
    return found


def _names(count: int) -> list[str]:
    return [f"track {number}" for number in range(1, count + 1)]


def _readings(result: Result) -> Mapping[str, Sequence[float]]:
    steps = range(int(str(result.cell.options["steps"])) + 1)
    course = [result.numbers[course_name(step)] for step in steps]
    return {f"squared error on all {course[0].count} others (m²)": [number.mean for number in course]}


_TEN = Stepped(
    "Forecasts of others while ten pedestrians are learned", _CAPTION, "adaptation step", _names, STYLES, _readings
)
