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
#: The longest past that there is room for, samples.
_MOST_SAMPLES = 10_000


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

    from fastslow.cli.outputs import refuse_output
    from fastslow.cli.track_progress import track_bar
    from fastslow.core.motion import samples_needed
    from fastslow.data.checks import refuse_unless_whole
    from fastslow.data.tracks.units import doubt, gaps_of
    from fastslow.errors import InputError, shown
    from fastslow.estimators.forecaster import FastSlowForecaster
    from fastslow.training.motion import train_motion_network

    refuse_unless_whole("seed", seed, 0, 2**63 - 1)
    refuse_output("--out", out, ".safetensors", others={"the file of tracks": tracks})
    untrained = FastSlowForecaster(rate=rate, horizon=horizon)
    least, most = samples_needed(rate) / rate, _MOST_SAMPLES / rate
    if not least <= past <= most:
        raise InputError(f"got past={shown(past)}; {least:.4g} to {most:.4g} seconds were expected, at {rate:g} Hz")
    data, repeated = (table or TrackTable()).load(tracks, sites=sites)
    gap = max(gaps_of(data, untrained.horizon))
    held_out = np.random.default_rng(seed).permutation(data.num_tracks)[: data.num_tracks // _HELD_OUT]
    used = data.select(np.setdiff1d(np.arange(data.num_tracks), held_out).tolist())
    with track_bar("training") as on_step:
        network = train_motion_network(
            used, rate=untrained.rate, samples=round(past * rate), steps=untrained.steps, seed=seed,
            training_steps=steps, bridged=gap, on_step=on_step,
        )  # fmt: skip
    trained, untrained = (
        FastSlowForecaster(rate=rate, horizon=horizon, max_gap=gap, network=its) for its in (network, None)
    )
    trained.save(out)
    if repeated:
        print(f"left out: {repeated} tracks that repeat the movement of another")
    if words := doubt(data):
        print(words)
    length = network.samples + untrained.steps
    learned = _num_long(used, trained, length)
    print(f"{learned} tracks learned, of {used.num_tracks} that were not held out; left behind: {out}")
    if len(held_out):
        _tell(data.select(sorted(held_out.tolist())), {"trained": trained, "constant velocity": untrained})
    else:
        print(f"fewer than {_HELD_OUT} tracks, so that none was held out: how far off forecasts are is not known")


def _num_long(data: TrackData, trained: FastSlowForecaster, length: int) -> int:
    """How many tracks have so many samples without a gap."""
    import numpy as np

    from fastslow.data.tracks.resample import resampled

    alone = (data.select([number]) for number in range(data.num_tracks))
    even = (resampled(track, trained.rate, bridged=trained.max_gap) for track in alone)
    return sum(bool((np.diff(pieces.starts) >= length).any()) for pieces in even)


def _tell(data: TrackData, forecasters: dict[str, FastSlowForecaster]) -> None:
    """How far off forecasts of tracks are, each from the first moment at which all can make one."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from fastslow.data.tracks.resample import resampled, windows_of

    trained = forecasters["trained"]
    even = resampled(data, trained.rate, bridged=trained.max_gap)
    windows = windows_of(even, seen=trained.rule_.past, future=trained.steps)
    if not len(windows.seen):
        needed = trained.rule_.length / trained.rate
        print(f"none of the {data.num_tracks} tracks held out has {needed:.3g} s without a gap: errors are not known")
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
