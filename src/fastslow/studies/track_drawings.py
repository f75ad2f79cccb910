"""From what runs have left to pictures of a page: forecasts step by step, the map of a memory, and what is missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastslow.errors import InputError
from fastslow.protocol.result import Result
from fastslow.report.figures.error_map import ErrorMap
from fastslow.report.figures.stepped_tracks import Forecaster, SteppedTracks, Track
from fastslow.studies.drawn import FORECASTS, LEARNED, read_drawn
from fastslow.studies.page import Drawing, Figure, Page


class Style(NamedTuple):
    """Of a forecaster's lines, see `Forecaster`."""

    colour: str
    dashes: str = ""


#: Rows of a table that are drawn, in this order.
Styles = Mapping[str, Style]


class Found(NamedTuple):
    """What runs have left.

    Attributes:
        arrays: with the result beside which they lie.
        missing: results beside which there are none.
        notes: on those that cannot be read.
    """

    arrays: list[tuple[Result, dict[str, np.ndarray]]]
    missing: list[Result]
    notes: list[str]


class ToDraw(NamedTuple):
    """What is drawn together.

    Attributes:
        results: of cells that leave something.
        axes: `FORECASTS` or `LEARNED`.
        draw: pictures of what is found; adds notes to it.
    """

    results: Sequence[Result]
    axes: Mapping[str, str]
    draw: Callable[[Found], Sequence[Figure | Drawing]]


def with_drawings(page: Page, drawn: Sequence[ToDraw], runs: Path, budget: str) -> Page:
    """A page with pictures before its own, and notes on those that are missing.

    Args:
        page: without them.
        drawn: what is drawn.
        runs: folder of the cells' folders.
        budget: that they are of.
    """
    figures: list[Figure | Drawing] = []
    found = [found_of(one.results, runs, one.axes) for one in drawn]
    for one, its in zip(drawn, found, strict=True):
        figures += one.draw(its)
    notes = [note for its in found for note in its.notes]
    missing = [result for its in found for result in its.missing]
    notes += how_to_draw(missing, budget)
    return dataclasses.replace(page, figures=[*figures, *page.figures], notes=notes)


def found_of(results: Sequence[Result], runs: Path, axes: Mapping[str, str]) -> Found:
    """Looks for what is drawn of some results.

    Args:
        results: of cells that leave something.
        runs: folder of the cells' folders.
        axes: `FORECASTS` or `LEARNED`.
    """
    found = Found([], [], [])
    for result in results:
        try:
            arrays = read_drawn(runs / result.cell.key, axes)
        except InputError as error:
            found.notes.append(f"Not drawn: {error}.")
            continue
        if arrays is None:
            found.missing.append(result)
        else:
            found.arrays.append((result, arrays))
    return found


@dataclasses.dataclass(frozen=True)
class Stepped:
    """How forecasts are shown, see `SteppedTracks`.

    Attributes:
        title: without what they are of.
        caption: likewise.
        step: likewise.
        names: of the tracks that are drawn, for as many as there are.
        styles: of rows.
        readings: numbers of a result that stand beside its row, one a step.
    """

    title: str
    caption: str
    step: str
    names: Callable[[int], Sequence[str]]
    styles: Styles
    readings: Callable[[Result], Mapping[str, Sequence[float]]]

    def figure(self, where: str, found: Found) -> list[SteppedTracks]:
        """One, of what is there; none of nothing. What is of other tracks than the first is left out, with a note."""
        order = list(self.styles)
        its = sorted(found.arrays, key=lambda pair: order.index(pair[0].cell.method))
        if not its:
            return []
        first = its[0][1]
        forecasters = []
        for result, arrays in its:
            name, readings = result.cell.method, self.readings(result)
            steps = {len(numbers) for numbers in readings.values()}
            if not _same(arrays, first) or steps != {len(arrays["off"])}:
                found.notes.append(f"Not drawn: {name}, {where}; its run has left forecasts of other tracks or steps.")
                continue
            lines = arrays["forecasts"], arrays["off"]
            forecasters.append(Forecaster(name, *self.styles[name], *lines, readings))
        names = self.names(len(first["seen"]))
        tracks = [Track(*its) for its in zip(names, first["seen"], first["future"], strict=True)]
        title = f"{self.title} ({where})"
        return [SteppedTracks(title, self.caption, self.step, tracks, forecasters)] if forecasters else []


def _same(arrays: Mapping[str, np.ndarray], first: Mapping[str, np.ndarray]) -> bool:
    """Whether forecasts are of the same tracks, and as many steps of them."""
    told = all(np.array_equal(arrays[name], first[name]) for name in ("seen", "future"))
    return told and all(arrays[name].shape == first[name].shape for name in FORECASTS)


def map_of(title: str, arrays: Mapping[str, np.ndarray]) -> ErrorMap:
    """The map of what a memory has learned, of what is left of it."""
    path = arrays["path"]
    paths = np.split(arrays["path_points"], np.flatnonzero(np.diff(path)) + 1)
    return ErrorMap(title, paths, *(arrays[name] for name in LEARNED if not name.startswith("path")))


def how_to_draw(missing: Sequence[Result], budget: str) -> list[str]:
    """What to do for pictures of results that were brought here without their runs: a sentence for each data set."""
    notes = []
    for data in dict.fromkeys(result.cell.data for result in missing):
        its = [result.cell for result in missing if result.cell.data == data]
        methods = ",".join(dict.fromkeys(cell.method for cell in its))
        command = (
            f"fastslow reproduce {its[0].study} --data {data} --budget {budget} --seeds 1 --methods {methods} "
            "--results drawn --out page.html"
        )
        notes.append(
            f"Tracks are no part of results, and {len(its)} of the runs on {data} have left none beside them to draw; "
            f"where {data} is at hand, this runs them again and draws them: {command}"
        )
    return notes
