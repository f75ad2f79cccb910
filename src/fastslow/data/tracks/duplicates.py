"""The same physical trajectory in several files: found, so that it never lies on both sides of a split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from fastslow.data.splits import Split, make_split, random_split
from fastslow.data.tracks.base import TrackData
from fastslow.errors import InputError

#: So many samples in a row that are alike, to the last bit, are no accident; unless hardly anything moves.
_RUN, _MOVES = 8, 3


def physical_groups(tracks: TrackData) -> Int64[np.ndarray, " tracks"]:
    """Which tracks are of one movement: a number for each, the same for those that share a run of samples.

    Two tracks of one recording are joined where 8 positions in a row, with at least 3 moves between them, are equal bit
    for bit, and so are all that are joined with either. Where a recording has one clock, they have to be so at the same
    times, as places that were rounded are often alike; where it has none, each file begins at 0.

    Args:
        tracks: as they were read; resampling would hide what is equal.

    Returns:
        Numbers from 0, in the order in which groups first appear.
    """
    leader = list(range(tracks.num_tracks))

    def find(number: int) -> int:
        while leader[number] != number:
            leader[number] = leader[leader[number]]
            number = leader[number]
        return number

    first: dict[tuple[str, bytes], int] = {}
    starts = tracks.starts.tolist()
    for number in range(tracks.num_tracks):
        rows = slice(starts[number], starts[number + 1])
        places = np.ascontiguousarray(tracks.positions[rows])
        told = np.column_stack([tracks.times[rows], places]) if tracks.one_clock else places
        moves = np.concatenate([[0], (np.diff(places, axis=0) != 0).any(1).cumsum()])
        for at in range(len(places) - _RUN + 1):
            if moves[at + _RUN - 1] - moves[at] < _MOVES:
                continue
            run = (tracks.recordings[number], told[at : at + _RUN].tobytes())
            other = first.setdefault(run, number)
            if find(other) != find(number):
                leader[max(find(other), find(number))] = min(find(other), find(number))
    leaders = [find(number) for number in range(tracks.num_tracks)]
    number_of = {number: place for place, number in enumerate(dict.fromkeys(leaders))}
    return np.array([number_of[number] for number in leaders], dtype=np.int64)


def each_movement_once(tracks: TrackData) -> TrackData:
    """The first track of each of `physical_groups`."""
    first = np.unique(physical_groups(tracks), return_index=True)[1]
    return tracks.select(np.sort(first).tolist())


def split_tracks(
    tracks: TrackData,
    groups: Sequence[int] | Int64[np.ndarray, " tracks"],
    *,
    seed: int,
    fractions: tuple[float, float, float] = (0.7, 0.1, 0.2),
) -> Split:
    """A split of tracks into training, validation and test that keeps groups together.

    Args:
        tracks: to divide.
        groups: number of each track's group: of `physical_groups`, or `recording_groups`.
        seed: another seed, another split.
        fractions: of the groups, see `random_split`.

    Raises:
        InputError: if there is not one group per track, or see `random_split`.
    """
    numbers = [int(group) for group in groups]
    if len(numbers) != tracks.num_tracks:
        raise InputError(f"got {len(numbers)} groups for {tracks.num_tracks} tracks; one per track was expected")
    members: dict[int, list[int]] = {}
    for number, group in enumerate(numbers):
        members.setdefault(group, []).append(number)
    names = [min(tracks.names[number] for number in its) for its in members.values()]
    of_groups, its = random_split(names, seed=seed, fractions=fractions), list(members.values())
    train, validation, test = (
        sorted(number for group in part for number in its[group])
        for part in (of_groups.train, of_groups.validation, of_groups.test)
    )
    return make_split(of_groups.name, tracks.names, train=train, validation=validation, test=test)


def recording_groups(tracks: TrackData) -> Int64[np.ndarray, " tracks"]:
    """The number of each track's recording, in the order in which recordings first appear."""
    number_of = {name: place for place, name in enumerate(dict.fromkeys(tracks.recordings))}
    return np.array([number_of[name] for name in tracks.recordings], dtype=np.int64)
