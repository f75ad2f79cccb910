"""`fastslow forecast`: tracks in, forecasts, a map and what was learned out."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest

from fastslow import FastSlowForecaster
from fastslow.cli import main
from fastslow.data.tracks.base import joined
from track_sample import straight, turning


def write(path, tracks):
    rows = [
        f"{tracks.recordings[number]},{tracks.names[number]},{t:.3f},{x:.4f},{y:.4f},{tracks.kinds[number]}"
        for number, t, (x, y) in zip(tracks.track.tolist(), tracks.times, tracks.positions, strict=True)
    ]
    path.write_text("\n".join(["recording,track,t,x,y,kind", *rows]) + "\n")
    return str(path)


@pytest.fixture
def table(tmp_path):
    return write(tmp_path / "tracks.csv", turning(20, apart=3.0))


def test_forecasts_are_written_before_their_future_and_get_better(table, tmp_path, capsys):
    out, picture, saved = (tmp_path / name for name in ("f.csv", "map.png", "f.safetensors"))
    main(["forecast", table, "--out", str(out), "--map", str(picture), "--rate", "10", "--save", str(saved)])
    said = capsys.readouterr().out
    assert "20 tracks (20 pedestrian)" in said
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert all(float(row["t"]) > float(row["made_at"]) for row in rows)
    known = [row for row in rows if row["error"]]
    late = known[len(known) // 2 :]
    learned, plain = (np.mean([float(row[name]) for row in late]) for name in ("error", "plain_error"))
    assert learned < 0.8 * plain
    assert rows[0]["spread"] == ""
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert FastSlowForecaster.load(saved).rule_.memory.num_written > 0


def test_what_was_learned_goes_on(table, tmp_path, capsys):
    saved, out = tmp_path / "f.safetensors", tmp_path / "f.csv"
    main(["forecast", table, "--rate", "10", "--save", str(saved)])
    main(["forecast", table, "--model", str(saved), "--out", str(out)])
    capsys.readouterr()
    with out.open() as file:
        first = next(csv.DictReader(file))
    assert first["spread"] != ""


def test_recordings_are_places_of_their_own(tmp_path, capsys):
    tracks = straight(60, 60, recordings=["north", "south/2"], names=["a", "b"])
    table, picture = write(tmp_path / "t.csv", tracks), tmp_path / "map.png"
    main(["forecast", table, "--map", str(picture), "--rate", "10"])
    assert {path.name for path in tmp_path.glob("*.png")} == {"map-0-north.png", "map-1-south_2.png"}
    with pytest.raises(SystemExit) as caught:
        main(["forecast", table, "--save", str(tmp_path / "f.safetensors")])
    assert caught.value.code != 0
    assert "got 2 recordings, each of a place of its own" in capsys.readouterr().err


def test_tracks_too_short_are_said_and_nothing_is_made_up(tmp_path, capsys):
    main(["forecast", write(tmp_path / "t.csv", straight(20)), "--rate", "10"])
    assert "no track lasted until the end of a forecast" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "give junction, vru, a table"),
        (["junction", "--frame-rate", "10"], "got rate for 'junction'"),
        (["TABLE", "--kind", "car"], "there are pedestrian"), (["TABLE", "--every", "0"], "got every=0"),
        (["TABLE", "--out", "TABLE/f.csv"], "tracks.csv"), (["TABLE", "--model", "none.safetensors"], "none"),
        (["TABLE", "--horizon", "-1"], "got horizon=-1"), (["TABLE", "--step", "inf"], "got step=inf"),
        (["TABLE", "--save", "x.bin"], "ends in .safetensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_forecast_is_refused_in_one_line(table, arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(["forecast", *(argument.replace("TABLE", table) for argument in arguments)])
    said = capsys.readouterr().err
    assert message in said
    assert len(said.splitlines()) == 1


def test_a_movement_that_is_there_twice_is_played_once(tmp_path, capsys):
    tracks = turning(6, apart=3.0)
    table = write(tmp_path / "t.csv", joined([tracks, dataclasses.replace(tracks, names=tuple("abcdef"))]))
    main(["forecast", table, "--rate", "10"])
    said = capsys.readouterr().out
    assert "left out: 6 tracks that repeat the movement of another" in said
    assert "6 tracks (6 pedestrian)" in said


def test_a_table_of_every_tenth_frame_is_forecast_at_its_own_rate(tmp_path, capsys):
    rows = [f"{n},{10 * k},{0.4 * k + 0.01 * n},{n}" for n in range(4) for k in range(40)]
    (tmp_path / "t.csv").write_text("\n".join(["id,frame,x,y", *rows]))
    out = tmp_path / "f.csv"
    main(["forecast", str(tmp_path / "t.csv"), "--frame-rate", "25", "--rate", "2.5", "--out", str(out)])
    assert "0 forecasts" not in capsys.readouterr().out
    assert len(out.read_text().splitlines()) > 20


def test_a_network_is_trained_and_forecasts(tmp_path, capsys):
    tracks, model = write(tmp_path / "t.csv", turning(20, length=90)), tmp_path / "m.safetensors"
    options = ["--rate", "10", "--horizon", "1", "--past", "1.5", "--steps", "30"]
    main(["train", "forecaster", tracks, "--out", str(model), *options])
    said = capsys.readouterr().out
    assert "18 tracks learned" in said
    assert "Distance of 2 tracks that were held out" in said.replace("\n", " ")
    trained = FastSlowForecaster.load(model)
    assert (trained.rate, trained.horizon, trained.network.samples) == (10.0, 1.0, 15)
    assert not trained.rule_.memory.size
    main(["forecast", tracks, "--model", str(model), "--save", str(model)])
    assert FastSlowForecaster.load(model).rule_.memory.size > 0


def test_a_model_that_knows_no_place_yet_forecasts_at_several(tmp_path, capsys):
    parts = [turning(6, length=150), turning(6, seed=1, length=150)]
    named = [
        dataclasses.replace(part, recordings=(name,) * 6, names=tuple(f"{name}{k}" for k in range(6)))
        for name, part in zip("ab", parts, strict=True)
    ]
    tracks = write(tmp_path / "t.csv", joined(named))
    main(["forecast", tracks, "--model", "pretrained:junction"])
    assert "12 tracks" in capsys.readouterr().out
    knows = tmp_path / "knows.safetensors"
    FastSlowForecaster(rate=10.0).partial_fit(parts[0]).save(knows)
    with pytest.raises(SystemExit):
        main(["forecast", tracks, "--model", str(knows)])
    assert "each of a place of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.txt"], "give a file whose name ends in .safetensors"),
        (["--out", "x.safetensors", "--past", "0"], "got past=0"),
        (["--out", "x.safetensors", "--past", "0.2"], "got past=0.2; 1.1 to 1000 seconds were expected"),
        (["--out", "x.safetensors", "--past", "1e9"], "seconds were expected, at 10 Hz"),
        (["--out", "x.safetensors", "--seed", "-1"], "seed is -1; give a whole number of at least 0"),
        (["--out", "x.safetensors", "--sites", "2"], "only made-up junctions"),
        (["--out", "x.safetensors", "--horizon", "90"], "none of"),
        (["--out", "x.safetensors", "--steps", "0"], "training_steps"),
        (["--out", "x.safetensors", "--kind", "tram"], "got kind='tram'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is_begun(table, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["train", "forecaster", table, "--rate", "10", *arguments])
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("x.*"))


def test_a_step_beyond_the_horizon_gives_its_end(table, tmp_path, capsys):
    out = tmp_path / "f.csv"
    main(["forecast", table, "--rate", "10", "--step", "1e308", "--out", str(out), "--every", "5"])
    capsys.readouterr()
    with out.open() as file:
        ahead = {round(float(row["t"]) - float(row["made_at"]), 1) for row in csv.DictReader(file)}
    assert ahead == {2.0}


def test_a_track_with_hardly_any_samples_changes_nothing_for_the_others(tmp_path, capsys):
    whole = turning(10, length=100, apart=3.0)
    seen = np.abs(whole.times - whole.times[whole.starts[whole.track]] - 5.0) > 1.0
    holes = dataclasses.replace(
        whole, positions=whole.positions[seen], times=whole.times[seen], track=whole.track[seen]
    )
    table, out, written = write(tmp_path / "t.csv", holes), tmp_path / "f.csv", []
    for more in ("", "r,odd,0,0,0,pedestrian\nr,odd,20,1,1,pedestrian\n"):
        with open(table, "a") as file:
            file.write(more)
        main(["forecast", table, "--rate", "10", "--horizon", "1", "--out", str(out)])
        written.append(out.read_text())
    assert written[0] == written[1]
    assert "no forecast of tracks with less than a sample in 1 s: 1" in capsys.readouterr().out


def test_milliseconds_taken_for_seconds_are_refused_and_odd_speeds_are_said(tmp_path, capsys):
    tracks = turning(6, length=100, rate=25.0)
    late = write(tmp_path / "ms.csv", dataclasses.replace(tracks, times=1000 * tracks.times))
    for command in (["forecast", late], ["train", "forecaster", late, "--out", str(tmp_path / "m.safetensors")]):
        with pytest.raises(SystemExit):
            main(command)
        assert "has a sample every 40 s, and no track has more" in " ".join(capsys.readouterr().err.split())
    for name, scale, odd in (("cm", 100, True), ("m", 1, False)):
        main(
            [
                "forecast",
                write(tmp_path / f"{name}.csv", dataclasses.replace(tracks, positions=scale * tracks.positions)),
            ]
        )
        said = " ".join(capsys.readouterr().out.split())
        assert ("see that times are in seconds and places in metres" in said) == odd


def test_a_file_that_is_read_is_not_written_over(table, tmp_path, capsys):
    linked, model = tmp_path / "linked.csv", tmp_path / "m.safetensors"
    linked.symlink_to(table)
    FastSlowForecaster(rate=10.0).save(model)
    before = [path.read_bytes() for path in (linked, model)]
    for options in (
        ["--out", table],
        ["--out", str(linked)],
        ["--map", table],
        ["--model", str(model), "--out", str(model)],
    ):
        with pytest.raises(SystemExit):
            main(["forecast", table, *options])
        assert "error: got --" in capsys.readouterr().err
    assert [path.read_bytes() for path in (linked, model)] == before


def test_a_network_bridges_what_is_no_gap_in_the_data(tmp_path, capsys):
    slow, out = write(tmp_path / "t.csv", turning(12, length=60, rate=2.5)), tmp_path / "f.csv"
    main(["forecast", slow, "--model", "pretrained:junction", "--out", str(out)])
    lines = out.read_text().splitlines()[1:]
    assert len(lines) > 10
    assert {line.split(",")[1] for line in lines} <= {f"p{number}" for number in range(12)}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["forecast", slow, "--model", "pretrained:junction", "--horizon", "4"])
    assert "got horizon beside a model, which has its own" in capsys.readouterr().err


def test_of_few_tracks_it_is_said_how_many_taught_and_that_none_was_held_out(tmp_path, capsys):
    tracks = write(tmp_path / "t.csv", joined([turning(4, length=90), straight(20, 20, names=["short", "brief"])]))
    options = ["--rate", "10", "--horizon", "1", "--past", "1.5", "--steps", "3"]
    main(["train", "forecaster", tracks, "--out", str(tmp_path / "m.safetensors"), *options])
    said = " ".join(capsys.readouterr().out.split())
    assert "4 tracks learned, of 6 that were not held out" in said
    assert "fewer than 10 tracks, so that none was held out" in said
