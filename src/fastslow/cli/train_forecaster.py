"""`fastslow train forecaster`: the network of a forecaster of road users."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from fastslow.cli.track_table import TrackTable

if TYPE_CHECKING:
    from fastslow.data.tracks.base import TrackData
    from fastslow.estimators.forecaster import FastSlowForecaster

#: One track in so many is held out, where there are as many.
_HELD_OUT = 10


def forecaster(
    tracks: str,
    *,
    out: Path,
    rate: float = 25.0,
    horizon: float = 2.0,
    past: float = 2.0,
    steps: int = 3000,
    seed: int = 0,
    sites: int = 1,
    table: Annotated[TrackTable | None, cyclopts.Parameter(name="*")] = None,
) -> None:
    """Train the network of a forecaster, for fastslow forecast --model; it learns no place.

    One track in ten is held out, and the distance from where those were is printed.

    Args:
        tracks: as for fastslow forecast.
        out: .safetensors file of the forecaster.
        rate: samples a second that forecasts are made of, Hz.
        horizon: seconds ahead.
        past: seconds that a forecast is made of.
        steps: of training.
        seed: of weights and of what is drawn.
        sites: of junction, 300 tracks each.
        table: how tracks are read.
    """
    import numpy as np

    from fastslow.cli.track_progress import track_bar
    from fastslow.errors import InputError, shown
    from fastslow.estimators.forecaster import FastSlowForecaster
    from fastslow.files import refuse_unwritable
    from fastslow.training.motion import train_motion_network

    if not 0 < past < float("inf"):
        raise InputError(f"got past={shown(past)}; a positive number of seconds was expected")
    if out.suffix != ".safetensors":
        raise InputError(f"got --out {out}; give a file that ends in .safetensors")
    refuse_unwritable(out)
    untrained = FastSlowForecaster(rate=rate, horizon=horizon)
    data, _ = (table or TrackTable()).load(tracks, sites=sites)
    held_out = np.random.default_rng(seed).permutation(data.num_tracks)[: data.num_tracks // _HELD_OUT]
    used = np.setdiff1d(np.arange(data.num_tracks), held_out)
    with track_bar("training") as on_step:
        network = train_motion_network(
            data.select(used.tolist()), rate=untrained.rate, samples=round(past * rate), steps=untrained.steps,
            seed=seed, training_steps=steps, on_step=on_step,
        )  # fmt: skip
    trained = FastSlowForecaster(rate=rate, horizon=horizon, network=network)
    trained.save(out)
    print(f"{len(used)} tracks learned; left behind: {out}")
    _tell(data.select(sorted(held_out.tolist())), {"trained": trained, "constant velocity": untrained})


def _tell(data: TrackData, forecasters: dict[str, FastSlowForecaster]) -> None:
    """How far off forecasts of tracks are, each from the first moment at which all can make one."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from fastslow.data.tracks.resample import resampled, windows_of

    trained = forecasters["trained"]
    windows = windows_of(resampled(data, trained.rate), seen=trained.rule_.past, future=trained.steps)
    if not len(windows.seen):
        return
    title = f"Distance of {len(windows.seen)} tracks that were held out from where they then were, metres"
    table = Table(title=title, title_justify="left")
    for column in ("", "mean", "at the horizon"):
        table.add_column(column, justify="right" if column else "left")
    for name, forecaster in forecasters.items():
        places = forecaster.rule_.forecast(windows.seen[:, -forecaster.rule_.past :]).positions
        off = np.hypot(*np.moveaxis(places - windows.future, 2, 0))
        table.add_row(name, f"{off.mean():.3f}", f"{off[:, -1].mean():.3f}")
    Console().print(table)
