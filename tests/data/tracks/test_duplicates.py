"""One movement in several files, and splits that keep it on one side."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.duplicates import physical_groups, recording_groups, split_tracks
from fastslow.errors import InputError
from track_sample import straight


def table(*places, recordings=None, begin=None):
    """Tracks with the times of their files; with `begin`, of one clock."""
    lengths = [len(part) for part in places]
    begun = begin or [0.0] * len(places)
    times = np.concatenate([at + np.arange(length) / 10 for at, length in zip(begun, lengths, strict=True)])
    count = len(places)
    return TrackData(
        np.concatenate(places), times, np.repeat(np.arange(count), lengths), tuple(f"t{k}" for k in range(count)),
        ("cyclist",) * count, tuple(recordings or ["r"] * count), (10.0,) * count,
        one_clock=begin is not None,
    )  # fmt: skip


def walk(length, seed):
    return np.random.default_rng(seed).normal(size=(length, 2)).cumsum(0)


def test_tracks_that_share_a_run_of_samples_are_one_movement_and_so_are_those_between():
    long, other = walk(60, 0), walk(30, 1)
    found = physical_groups(table(long[:30], other, long[20:50], long[40:]))
    assert found.tolist() == [0, 1, 0, 0]


def test_short_runs_and_those_of_who_stands_still_are_no_sign():
    long = walk(60, 0)
    assert physical_groups(table(long[:20], np.concatenate([long[13:20], walk(9, 2)]))).tolist() == [0, 1]
    still = np.zeros((20, 2))
    assert physical_groups(table(still, still)).tolist() == [0, 1]
    assert physical_groups(table(long, long, recordings=["a", "b"])).tolist() == [0, 1]


def test_with_one_clock_the_same_way_at_another_time_is_another_movement():
    long = walk(60, 0)
    assert physical_groups(table(long[:30], long[:30], begin=[0.0, 60.0])).tolist() == [0, 1]
    assert physical_groups(table(long[:30], long[20:], begin=[5.0, 7.0])).tolist() == [0, 0]
    straight_on = np.round(0.14 * np.outer(np.arange(40), [1, 0]), 1)
    walkers = physical_groups(table(*[straight_on] * 30, begin=[60.0 * k for k in range(30)]))
    assert walkers.tolist() == list(range(30))


def test_a_split_keeps_groups_together_and_depends_on_names_alone():
    tracks = straight(*[3] * 40)
    groups = np.arange(40) // 2
    split = split_tracks(tracks, groups, seed=0)
    for part in (split.train, split.validation, split.test):
        assert {groups[k] for k in part}.isdisjoint(set(groups) - {groups[k] for k in part})
        assert len(part) == 2 * len({groups[k] for k in part})
    assert sorted(split.train + split.validation + split.test) == list(range(40))
    order = np.random.default_rng(0).permutation(40).tolist()
    assert split_tracks(tracks.select(order), groups[order], seed=0).sha256 == split.sha256
    assert split_tracks(tracks, groups, seed=1).sha256 != split.sha256
    with pytest.raises(InputError, match="got 3 groups for 40 tracks"):
        split_tracks(tracks, [0, 1, 2], seed=0)


def test_recordings_are_groups_too():
    tracks = dataclasses.replace(straight(3, 3, 3), recordings=("b", "a", "b"))
    assert recording_groups(tracks).tolist() == [0, 1, 0]
