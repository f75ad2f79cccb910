"""Flags that say which cells of a study are meant, for every command on a study."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from fastslow.studies.base import Selection


@dataclasses.dataclass(frozen=True)
class WantedCells:
    """Which cells, and where their results are.

    Attributes:
        methods: names separated by commas, to run and show these alone.
        cells: tasks separated by commas, such as 5w1s,20w1s, likewise.
        seeds: how many, likewise; all of the budget's if not given.
        data: to run on, in place of the budget's own: glyphs, omniglot, ...
        results: folder of result files, one per cell.
        budget: which cells: quick, for minutes; cpu, for a night on two cores; paper, as the paper did.
    """

    methods: str = ""
    cells: str = ""
    seeds: int | None = None
    data: str | None = None
    results: Path = Path("results")
    budget: Literal["quick", "cpu", "paper"] = "quick"

    def selection(self, key: str | None = None) -> Selection:
        """These cells; of them the one of a key, if one is given."""
        from fastslow.studies.base import Selection

        return Selection(_names(self.methods), _names(self.cells), self.seeds, self.data, key)


def _names(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]
