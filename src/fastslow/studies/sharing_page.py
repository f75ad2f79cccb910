"""What the page of the study of sharing draws beside tables and curves: forecasts after each update (Fig. 9)."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from fastslow.protocol.result import Cell, Result
from fastslow.report.figures.base import GREY, ORANGE, RED
from fastslow.studies.drawn import FORECASTS, Notes, write_drawn
from fastslow.studies.sharing_data import Pair, Shown
from fastslow.studies.sharing_learners import Branches
from fastslow.studies.sharing_tracks import RATE
from fastslow.studies.track_drawings import Stepped, Style, ToDraw

#: As in the paper's Fig. 9: predictors that are shared red, separate ones orange.
STYLES = {
    "backprop-tuned": Style(GREY, "8 4"),
    "shared-decoder": Style("#8E44AD"),
    "separate": Style(ORANGE),
    "shared": Style(RED, "9 5"),
}
#: Data that are tracks, and how many of them are drawn of each network.
_DATA = ("junction", "vru")
_EACH = 3
_CAPTION = (
    "Three tracks that nobody learns from are forecast by the first network and three by the second, at even ranks of "
    "constant velocity's error, from good forecasts of it to bad ones. Both networks are the paper's in a fair setting "
    "(as printed they are off by far more than a picture holds): with their gradient predictors shared, separate, or "
    "with none (backprop-tuned). In shared-decoder, ours, the second has the first one's encoder and decoder too and "
    "learns by predicted gradients alone. Lines that leave the square are cut off."
)


def number(network: str, update: int) -> str:
    """What the error of the "first" or the "second" network is called, right after an update; 0 is before any.

    The share of right answers after the last is that of "first right" or "second right", where there is one.
    """
    return f"{network}, after {update}"


def is_drawn(cell: Cell) -> bool:
    """Whether a cell's run leaves something to draw: those of the first seed, of a few rows."""
    return cell.seed == 0 and cell.method in STYLES and cell.data in _DATA


class SharingNotes:
    """Forecasts of a few tracks by both networks, update after update; none of pairs that are no tracks.

    Args:
        branches: the two networks.
        pair: what they are asked about.
    """

    def __init__(self, branches: Branches, pair: Pair) -> None:
        self._branches = branches
        self._shown = {False: pair.first_shown, True: pair.second_shown}
        self._notes = {second: Notes(RATE, _EACH) for second in self._shown}

    def add(self) -> None:
        """Notes what both forecast now."""
        for second, shown in self._shown.items():
            if shown is not None:
                self._notes[second].add(shown.windows, functools.partial(self._forecast, shown, second))

    def write(self, folder: Path) -> None:
        """Leaves them in a cell's folder: tracks of the first network before those of the second."""
        if None in self._shown.values():
            return
        first, second = (notes.arrays() for notes in self._notes.values())
        axes = {name: words.split().index("tracks") for name, words in FORECASTS.items()}
        write_drawn(folder, {name: np.concatenate([first[name], second[name]], axes[name]) for name in FORECASTS})

    def _forecast(self, shown: Shown, second: bool, seen: np.ndarray) -> np.ndarray:
        inputs = torch.from_numpy(np.ascontiguousarray(shown.frame.inputs(seen))).float()
        answers = self._branches.answers(inputs, second=second).double().numpy()
        return shown.frame.positions(seen, answers.reshape(len(seen), -1, 2))


def drawn_of(results: Sequence[Result]) -> list[ToDraw]:
    """What the page draws, of each pair."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if is_drawn(result.cell):
            groups.setdefault((result.cell.data, str(result.cell.options["task"])), []).append(result)
    return [
        ToDraw(group, FORECASTS, functools.partial(_STEPPED.figure, f"{data}, {task}"))
        for (data, task), group in groups.items()
    ]


def _names(count: int) -> list[str]:
    """Of as many tracks of either network."""
    each = range(1, count // 2 + 1)
    return [f"{network} network, track {number}" for network in ("first", "second") for number in each]


def _readings(result: Result) -> Mapping[str, Sequence[float]]:
    updates = range(int(str(result.cell.options["updates"])) + 1)
    return {
        f"{network} network's squared error over constant velocity's, all tracks": [
            result.numbers[number(network, update)].mean for update in updates
        ]
        for network in ("first", "second")
    }


_STEPPED = Stepped(
    "Forecasts of two networks after each update of the second", _CAPTION, "updates of the second network", _names,
    STYLES, _readings,
)  # fmt: skip
