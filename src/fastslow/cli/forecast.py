"""`fastslow forecast`: forecasts of tracks as they go on, learned from on the way."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts

from fastslow.cli.track_table import TrackTable

if TYPE_CHECKING:
    from fastslow.data.tracks.base import TrackData
    from fastslow.estimators.forecaster import FastSlowForecaster
    from fastslow.estimators.replay import Played


def forecast(
    tracks: str,
    *,
    out: Path | None = None,
    map: Path | None = None,
    rate: float | None = None,
    horizon: float | None = None,
    every: float = 1.0,
    step: float = 0.4,
    slots: int | None = None,
    table: Annotated[TrackTable | None, cyclopts.Parameter(name="*")] = None,
    model: str | None = None,
    save: Path | None = None,
) -> None:
    """Forecast road users in the order in which they come, and learn from each as its future is seen.

    Prints how far off forecasts were, with what had been learned by then and without.

    Args:
        tracks: junction (embedded), vru, a table with the columns track, t (or frame), x, y and, if there are, kind and
            recording; or a folder of inD, VRU or the Stanford Drone Dataset.
        out: .csv file to write forecasts to: of each track at made_at, for the moment t, where it is expected (x, y),
            how far off (spread), where it would be without what was learned (plain_x, plain_y), and how far from where
            it then was both were (error, plain_error); seconds and metres.
        map: .png file to draw what was learned of the place to; several recordings get a file each.
        rate: samples a second that forecasts are made of, Hz; 25 if not given.
        horizon: seconds ahead; 2 if not given.
        every: seconds from one forecast of a track to the next.
        step: seconds between the moments of a forecast that are written.
        slots: of the memory; 256 if not given.
        table: how tracks are read.
        model: .safetensors file of a forecaster to go on with, in place of rate, horizon and slots; pretrained:junction
            has a network, for 25 Hz and 2 s, and has learned no place yet.
        save: .safetensors file to save the forecaster to, of one recording.
    """
    from fastslow.cli.outputs import refuse_output
    from fastslow.cli.track_progress import track_bar
    from fastslow.data.tracks.units import gaps_of
    from fastslow.errors import InputError, shown
    from fastslow.estimators.forecaster import FastSlowForecaster
    from fastslow.estimators.replay import play
    from fastslow.files import write_text

    for name, seconds in (("every", every), ("step", step)):
        if not 0 < seconds < float("inf"):
            raise InputError(f"got {name}={shown(seconds)}; a positive number of seconds was expected")
    refuse_output("--out", out, ".csv", others={"the file of tracks": tracks})
    refuse_output("--map", map, ".png", others={"the file of tracks": tracks})
    refuse_output("--save", save, ".safetensors", others={"the file of tracks": tracks})
    chosen = {name: its for name, its in (("rate", rate), ("horizon", horizon), ("slots", slots)) if its is not None}
    if model is not None and chosen:
        raise InputError(f"got {', '.join(chosen)} beside a model, which has its own; leave out either")
    begun = None if model is None else FastSlowForecaster.load(model)
    made = {"max_slots" if name == "slots" else name: its for name, its in chosen.items()}
    plan = begun or FastSlowForecaster(**made)
    data, repeated = (table or TrackTable()).load(tracks)
    by_recording = _by_recording(data)
    pictures = {} if map is None else _pictures(map, list(by_recording))
    if len(by_recording) > 1 and (save or (begun is not None and begun.rule_.memory.size)):
        raise InputError(
            f"got {len(by_recording)} recordings, each of a place of its own, to learn in one forecaster; give tracks "
            "of one recording, or leave out --save, and --model of one that knows a place"
        )
    lines, played = ["recording,track,made_at,t,x,y,spread,plain_x,plain_y,error,plain_error"], []
    for recording, part in by_recording.items():
        gaps = gaps_of(part, plan.horizon)
        forecaster = (
            FastSlowForecaster(**made, max_gap=max(gaps))
            if begun is None
            else FastSlowForecaster.load(str(model), max_gap=max(*gaps, begun.max_gap))
        )
        with track_bar(recording) as on_sample:
            found = list(play(forecaster, part, every=every, gaps=gaps, on_sample=on_sample))
        played += found
        lines += [line for one in found for line in _lines(recording, part, one, step)]
        if recording in pictures:
            _draw(recording, part, forecaster, pictures[recording])
    if out is not None:
        write_text(out, "\n".join(lines) + "\n")
    if save is not None:
        forecaster.save(save)
    _tell(data, played, repeated, plan)


def _by_recording(data: TrackData) -> dict[str, TrackData]:
    numbers: dict[str, list[int]] = {}
    for number, name in enumerate(data.recordings):
        numbers.setdefault(name, []).append(number)
    return {name: data.select(its) for name, its in numbers.items()}


def _lines(recording: str, part: TrackData, one: Played, step: float) -> list[str]:
    """A forecast as lines of the table, a moment each `step` seconds and the last."""
    import numpy as np

    forecast, count = one.forecast, len(one.forecast.times)
    between = forecast.times[1] - forecast.times[0] if count > 1 else 1.0
    apart = max(1, round(min(step, count * between) / between))
    lines = []
    for at in sorted({*range(apart - 1, count, apart), count - 1}):
        off = [np.hypot(*(positions[at] - one.outcome[at])) for positions in (forecast.positions, forecast.plain)]
        numbers = [
            one.made_at, forecast.times[at], *forecast.positions[at], forecast.spread[at], *forecast.plain[at], *off
        ]  # fmt: skip
        shown = ",".join("" if np.isnan(number) else f"{number:.3f}" for number in numbers)
        name = part.names[one.track].removeprefix(f"{recording}/")  # as the source calls it
        lines.append(f"{_quoted(recording)},{_quoted(name)},{shown}")
    return lines


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _draw(recording: str, part: TrackData, forecaster: FastSlowForecaster, path: Path) -> None:
    from fastslow.data.tracks.table import ONE
    from fastslow.report.figures.error_map import ErrorMap

    starts = part.starts.tolist()
    paths = [part.positions[starts[number] : starts[number + 1]] for number in range(part.num_tracks)]
    of = "Where" if recording == ONE else f"{recording}: where"
    title = f"{of} road users went, from where they had been expected {forecaster.horizon:g} s before"
    ErrorMap(title, paths, *forecaster.rule_.learned_errors()).plot(path)


def _pictures(path: Path, recordings: list[str]) -> dict[str, Path]:
    """The file of each recording's map: several have the number and the name of theirs in it."""
    from fastslow.files import refuse_unwritable

    if len(recordings) == 1:
        return {recordings[0]: path}
    found = {}
    for number, recording in enumerate(recordings):
        safe = "".join(sign if sign.isalnum() or sign in "-_" else "_" for sign in recording)
        found[recording] = path.with_name(f"{path.stem}-{number}-{safe}{path.suffix}")
        refuse_unwritable(found[recording])
    return found


def _tell(data: TrackData, played: list[Played], repeated: int, plan: FastSlowForecaster) -> None:
    """What was read and mended, and how far off forecasts were: of one recording in three parts of the stream."""
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from fastslow.data.tracks.units import doubt, num_slower

    console = Console()
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(Counter(data.kinds).items()))
    told = [found for one in played if (found := one.errors()) is not None]
    made = f"{len(played)} forecasts, of {len(told)} of which the outcome was seen"
    console.print(f"{data.num_tracks} tracks ({kinds}), {made}", markup=False)
    for what, count in data.repairs.items():
        console.print(f"mended: {count} {what}", markup=False)
    if repeated:
        console.print(f"left out: {repeated} tracks that repeat the movement of another")
    if slower := num_slower(data, plan.horizon):
        console.print(f"no forecast of tracks with less than a sample in {plan.horizon:g} s: {slower}")
    if words := doubt(data):
        console.print(words, markup=False)
    if not played:
        needed = plan.rule_.past / plan.rate
        console.print(f"no track has history enough for a forecast, {needed:.2g} s without a gap: give longer tracks")
        return
    errors = np.array(told).reshape(-1, 4)
    if not len(errors):
        console.print("no track lasted until the end of a forecast: nothing was learned, and errors are not known")
        return
    table = Table(title="Distance from where they then were, metres", title_justify="left")
    for column in ("forecasts", "learned: mean", "at the horizon", "not learned: mean", "at the horizon"):
        table.add_column(column, justify="right")
    for part in np.array_split(errors, min(3, len(errors)) if len(set(data.recordings)) == 1 else 1):
        table.add_row(str(len(part)), *(f"{number:.3f}" for number in part.mean(0)))
    console.print(table)
