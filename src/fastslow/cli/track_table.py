"""Flags that say how a table of tracks is read, for every command on tracks."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastslow.data.tracks.base import TrackData


@dataclasses.dataclass(frozen=True)
class TrackTable:
    """How tracks are read, and which of them are taken.

    Attributes:
        kind: of road users to take alone, such as pedestrian; all if not given.
        frame_rate: frames a second of a table that counts frames.
        metres: that one unit of a table, or one pixel of the Stanford Drone Dataset, is.
        data_dir: where downloaded data lie; FASTSLOW_DATA or the cache folder if not given.
    """

    kind: str = ""
    frame_rate: float | None = None
    metres: float | None = None
    data_dir: Path | None = None

    def load(self, tracks: str, *, sites: int = 1) -> tuple[TrackData, int]:
        """Each movement once, and how many tracks were such as had been there before.

        Args:
            tracks: junction (embedded), vru, a table or a folder, see `fastslow forecast`.
            sites: of junction.

        Raises:
            ValueError: if they cannot be read, or `sites` is of others.
        """
        from fastslow.data.tracks.duplicates import each_movement_once
        from fastslow.data.tracks.junction import make_junction
        from fastslow.data.tracks.registry import SEED, TRACKS, load_tracks
        from fastslow.errors import InputError

        if sites != 1 and tracks != "junction":
            raise InputError(f"got sites={sites} for {tracks}; only made-up junctions have as many as are asked for")
        if tracks == "junction" and sites != 1:
            data = make_junction(sites=sites, tracks_per_site=TRACKS, seed=SEED)
        else:
            data = load_tracks(tracks, data_dir=self.data_dir, rate=self.frame_rate, metres=self.metres)
        data = data.of_kind(self.kind) if self.kind else data
        once = each_movement_once(data)
        return once, data.num_tracks - once.num_tracks
