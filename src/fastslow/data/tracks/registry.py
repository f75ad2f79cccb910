"""All track data by name, and those of one's own by what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.ind import load_ind
from fastslow.data.tracks.junction import make_junction
from fastslow.data.tracks.sdd import load_sdd
from fastslow.data.tracks.table import load_table
from fastslow.data.tracks.vru import holds_vru, load_vru
from fastslow.errors import InputError, as_path, shown

#: Of the embedded junction.
SITES, TRACKS, SEED = 1, 300, 0
#: Tracks with a name, and what they are.
NAMES = {
    "junction": "made-up cyclists and pedestrians at a junction of streets (embedded)",
    "vru": "VRU Trajectory Dataset: cyclists and pedestrians at one German intersection; not fetched from here",
}


def track_names() -> str:
    """What may be given as tracks, for messages and help."""
    return f"{', '.join(NAMES)}, a table (.csv or other text), or a folder of inD, VRU or the Stanford Drone Dataset"


def load_tracks(
    source: str | Path,
    *,
    data_dir: str | Path | None = None,
    rate: Any = None,  # noqa: ANN401 - from users
    metres: Any = None,  # noqa: ANN401
) -> TrackData:
    """Tracks of a data set with a name, a table or a folder of one's own.

    Args:
        source: see `track_names`.
        data_dir: where downloaded data lie; see `data_folder`.
        rate: frames a second of a table that counts frames, Hz.
        metres: that one unit of a table, or one pixel of the Stanford Drone Dataset, is.

    Raises:
        InputError: if there is no such data, an option is given that it does not take, or it cannot be read.
    """
    path = as_path(source, "table or folder of tracks")
    if not str(source):
        raise InputError(f"got an empty text; give {track_names()}")
    of_vru = str(source) == "vru" or (path.is_dir() and holds_vru(path))
    if str(source) in NAMES or of_vru or (path.is_dir() and any(path.glob("*_tracks.csv"))):
        taken: set[str] = set()
    else:
        taken = {"metres"} if path.is_dir() else {"rate", "metres"}
    given = {name for name, value in (("rate", rate), ("metres", metres)) if value is not None}
    if extra := sorted(given - taken):
        raise InputError(f"got {' and '.join(extra)} for {shown(str(source))}, which states that itself; leave it out")
    if str(source) == "junction":
        return make_junction(sites=SITES, tracks_per_site=TRACKS, seed=SEED)
    if of_vru:
        return load_vru(data_dir if str(source) == "vru" else path)
    if path.is_dir():
        return load_sdd(path, metres_per_pixel=metres) if taken else load_ind(path)
    if path.is_file():
        return load_table(path, rate=rate, metres=1.0 if metres is None else metres)
    raise InputError(f"got tracks={shown(str(source))}; give {track_names()} (there is no such file or folder)")
