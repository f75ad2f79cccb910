"""The table of tracks, and what is made of the rows of a file."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks.base import TrackData, joined
from fastslow.data.tracks.rows import REPEATED, SHORT, UNORDERED, TrackRows, as_tracks
from fastslow.errors import InputError
from track_sample import straight


def test_tracks_are_chosen_by_number_and_by_kind():
    tracks = straight(3, 2, 4, kinds=["cyclist", "pedestrian", "cyclist"])
    assert tracks.starts.tolist() == [0, 3, 5, 9]
    chosen = tracks.select([2, 0])
    assert (chosen.names, chosen.track.tolist()) == (("t2", "t0"), [0] * 4 + [1] * 3)
    assert chosen.positions[:4, 1].tolist() == [2.0] * 4
    assert tracks.of_kind("cyclist").names == ("t0", "t2")
    assert tracks.select([]).num_tracks == 0
    with pytest.raises(InputError, match="there are cyclist, pedestrian"):
        tracks.of_kind("car")
    for wrong in ([3], [0, 0], [-1]):
        with pytest.raises(InputError, match="give different numbers"):
            tracks.select(wrong)


def test_tables_are_joined_and_their_repairs_added():
    first = dataclasses.replace(straight(3, 2), repairs={"a": 1, "b": 2})
    second = dataclasses.replace(straight(4, names=["other"]), repairs={"a": 5})
    both = joined([first, second])
    assert both.names == ("t0", "t1", "other")
    assert both.track.tolist() == [0] * 3 + [1] * 2 + [2] * 4
    assert both.repairs == {"a": 6, "b": 2}
    assert joined([]).num_tracks == 0
    with pytest.raises(InputError, match="two tracks named 't0'"):
        joined([first, first])
    with pytest.raises(InputError, match=r"a\.csv and b\.csv each have a track named 't0'; give one another name"):
        joined([first, second, first], ["a.csv", "c.csv", "b.csv"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([0.0, 0.1, 0.1, 0.0, 0.1])}, "track 't0' goes back in time, or stays"),
        ({"times": np.array([0.0, 0.1, np.nan, 0.0, 0.1])}, "times that are not finite"),
        ({"positions": np.full((5, 2), np.inf)}, "positions that are not finite"),
        ({"positions": np.full((5, 2), 1e12)}, "beyond 1e"),
        ({"track": np.array([0, 1, 0, 1, 1])}, "one track after another"),
        ({"track": np.array([0, 0, 0, 0, 0])}, "a track without samples"),
        ({"track": np.array([0, 0, 2, 2, 2])}, "a track without samples"),
        ({"rates": (10.0, 0.0)}, "a frame rate that is not positive"),
        ({"rates": (10.0,)}, "one entry per sample and per track"),
        ({"names": ("a", "a")}, "two tracks named 'a'"),
    ],
)
def test_what_does_not_fit_together_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(straight(3, 2), **change)


def rows(track, times, x, **changes):
    count = max(track, default=-1) + 1
    made = TrackRows(
        "a.csv", np.array(track, dtype=np.int64), np.array(times, dtype=float),
        np.column_stack([np.array(x, dtype=float), np.zeros(len(x))]), np.arange(len(track)) + 2,
        [f"t{k}" for k in range(count)], ["cyclist"] * count, ["r"] * count, [10.0] * count,
    )  # fmt: skip
    return made._replace(**changes)


def test_rows_are_put_in_order_and_repairs_counted():
    tracks = as_tracks(rows([1, 0, 0, 1, 0, 0, 2], [0.1, 0.0, 0.2, 0.0, 0.1, 0.2, 5.0], [11, 0, 2, 10, 1, 99, 7]))
    assert tracks.names == ("t0", "t1")
    assert tracks.times.tolist() == [0.0, 0.1, 0.2, 0.0, 0.1]
    assert tracks.positions[:, 0].tolist() == [0, 1, 2, 10, 11]
    assert tracks.repairs == {UNORDERED: 2, REPEATED: 1, SHORT: 1}


@given(st.integers(0, 99), st.integers(1, 30))
def test_any_order_of_rows_gives_the_same_tracks(seed, count):
    random = np.random.default_rng(seed)
    track = np.sort(random.integers(0, 3, size=count))
    track = np.unique(track, return_inverse=True)[1]
    table = rows(track.tolist(), np.arange(count) / 10, random.normal(size=count))
    order = random.permutation(count)
    mixed = table._replace(
        track=table.track[order], times=table.times[order], positions=table.positions[order], lines=table.lines[order]
    )
    first, second = as_tracks(table), as_tracks(mixed)
    assert np.array_equal(first.positions, second.positions)
    assert first.names == second.names


@pytest.mark.parametrize("strange", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused_with_their_line(strange):
    with pytest.raises(InputError, match=r"a\.csv, line 3: got t=0\.1, x=.*finite numbers were expected"):
        as_tracks(rows([0, 0, 0], [0, 0.1, 0.2], [0, strange, 2]))


def test_a_file_without_rows_has_no_tracks():
    assert as_tracks(rows([], [], [])).num_tracks == 0
    assert isinstance(as_tracks(rows([], [], [])), TrackData)
