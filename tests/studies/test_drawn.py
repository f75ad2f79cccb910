"""What runs leave for pictures: which tracks, which numbers, and files that are read with care."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fastslow import FastSlowForecaster
from fastslow.data.tracks.resample import resampled, windows_of
from fastslow.errors import InputError
from fastslow.studies.drawn import FILE, FORECASTS, LEARNED, Notes, evenly_hard, learned, read_drawn, write_drawn
from fastslow.studies.track_drawings import map_of
from mutations import damage_json
from robustness.harness import Reader, survey
from track_sample import straight, turning


def windows(count=24):
    """At 10 Hz and 1 m/s along x, each track a metre above the one before."""
    return windows_of(resampled(straight(*[100] * count), 10.0), seen=50, future=50)


def bent(found):
    """Window k ends k metres beside where constant velocity says."""
    aside = np.linspace(0.0, 1.0, 50)[None, :, None] * np.arange(len(found.track))[:, None, None] * [0.0, 1.0]
    return found._replace(future=found.future + aside)


def test_tracks_that_are_drawn_are_at_even_ranks_of_how_hard_they_are():
    found = bent(windows())
    assert evenly_hard(found, 10.0, 6).tolist() == [2, 6, 10, 14, 18, 22]  # each the middle of four
    mixed = found._replace(seen=found.seen[::-1], future=found.future[::-1])
    assert evenly_hard(mixed, 10.0, 3).tolist() == [23 - 4, 23 - 12, 23 - 20]
    few = found._replace(seen=found.seen[:2], future=found.future[:2], track=found.track[:2])
    assert evenly_hard(few, 10.0, 6).tolist() == [0, 1]


def test_lines_hold_every_fifth_position_and_the_last_and_distances_are_of_all():
    found, notes = bent(windows()), Notes(10.0, tracks=2)
    for step in range(3):
        notes.add(found, lambda seen, step=step: seen[:, -1:] + [[0.1 * step, 0.0]] * np.arange(1, 51)[:, None])
    arrays = notes.arrays()
    rows = [6, 18]
    assert arrays["seen"].shape == (2, 10, 2)
    assert np.array_equal(arrays["seen"][:, -1], found.seen[rows, -1])
    assert np.array_equal(arrays["future"], found.future[rows][:, 4::5])
    assert arrays["forecasts"].shape == (3, 2, 10, 2)
    assert np.allclose(arrays["forecasts"][1, 0, -1], found.seen[6, -1] + [5.0, 0.0])
    right = np.abs(found.future[rows, :, 1] - found.seen[rows, -1:, 1]).mean(1)  # constant velocity: off aside alone
    assert np.allclose(arrays["off"][1], right)
    assert (arrays["off"][0] > right).all()


def test_what_is_left_is_read_back_to_the_millimetre_and_nothing_is_none(tmp_path):
    tracks = turning()
    forecaster = FastSlowForecaster(rate=10.0, horizon=1.0).partial_fit(tracks)
    arrays = learned(forecaster, tracks)
    assert read_drawn(tmp_path / "cell", LEARNED) is None
    write_drawn(tmp_path / "cell", arrays)
    again = read_drawn(tmp_path / "cell", LEARNED)
    assert set(again) == set(LEARNED)
    for name in LEARNED:
        assert again[name] == pytest.approx(arrays[name], abs=6e-4)
    assert (again["counts"].sum(), len(np.unique(again["path"]))) == (forecaster.rule_.memory.num_written, 30)
    assert len(again["path"]) == 30 * 6  # of 5.9 s, a point a second
    assert (tmp_path / "cell" / FILE).stat().st_size < 30_000


def test_a_damaged_file_is_refused_or_read_as_pictures_can_be_made_of(tmp_path):
    tracks, drawn = turning(), []
    forecaster = FastSlowForecaster(rate=10.0, horizon=1.0, max_slots=2).partial_fit(tracks)
    whole = {name: array[:4] for name, array in learned(forecaster, tracks).items()}
    write_drawn(tmp_path / "whole", whole)
    content = json.loads((tmp_path / "whole" / FILE).read_text(encoding="utf-8"))

    def judge(arrays):
        drawn.append(map_of("t", arrays))
        drawn[-1].plot(tmp_path / "map.png")
        return "different" if set(drawn[-1].frame()) else "empty"

    reader = Reader(
        "what is drawn", lambda random: (tmp_path / FILE).write_bytes(damage_json([content], random)),
        lambda: read_drawn(tmp_path, LEARNED), judge, names=(FILE,),
    )  # fmt: skip
    tally = survey(reader, 300)
    assert (tally.tracebacks, tally.silent_wrong) == (0, 0), tally.faults  # the memory is of all tests so far
    assert tally.slowest_seconds < 10
    assert tally.refused > 100
    assert len(drawn) > 5


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"seen": 1}', '{"seen": [[["<b>", 1]]]}', '{"seen": [[[NaN, 1]]]}', '{"seen": [[[null, 1]]]}',
     '{"seen": [[[1, 2, 3]]], "future": [[[1, 2]]], "forecasts": [[[[1, 2]]]], "off": [[1]]}',
     '{"seen": [[[1, 2]]], "future": [[[1, 2]]], "forecasts": [[[[1, 2]]]], "off": [[1, 1]]}',
     '{"seen": [[[1, 2]]], "future": [[[1, 2]]], "forecasts": [[[[1, 2]]]], "off": [[1], [1, 2]]}'],
)  # fmt: skip
def test_files_of_something_else_are_refused_by_name(tmp_path, content):
    (tmp_path / FILE).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=FILE):
        read_drawn(tmp_path, FORECASTS)
