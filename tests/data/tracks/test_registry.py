"""Tracks by name, file or folder."""

from __future__ import annotations

import pytest

from fastslow.data.tracks.registry import SITES, TRACKS, load_tracks
from fastslow.errors import InputError


def test_the_junction_is_there_without_any_file_and_always_the_same():
    tracks = load_tracks("junction")
    assert tracks.num_tracks == SITES * TRACKS
    assert set(tracks.kinds) == {"cyclist", "pedestrian"}
    assert tracks.one_clock


def test_a_table_and_folders_are_told_by_what_they_are(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("id,frame,x,y\n1,0,0,0\n1,1,100,0\n")
    tracks = load_tracks(table, rate=10, metres=0.01)
    assert tracks.positions.tolist() == [[0, 0], [1, 0]]
    (tmp_path / "ind").mkdir()
    (tmp_path / "ind" / "00_tracks.csv").write_text("")
    with pytest.raises(InputError, match="00_"):
        load_tracks(tmp_path / "ind")
    with pytest.raises(InputError, match="got metres for"):
        load_tracks(tmp_path / "ind", metres=1.0)
    scene = tmp_path / "sdd" / "little" / "video0"
    scene.mkdir(parents=True)
    lines = [f'1 {k} 0 {k + 2} 2 {k} 0 0 0 "Biker"' for k in range(5)]
    (scene / "annotations.txt").write_text("\n".join(lines))
    assert load_tracks(tmp_path / "sdd", metres=0.05).kinds == ("cyclist",)
    with pytest.raises(InputError, match=r"got an empty text; give junction, vru"):
        load_tracks("")
    (tmp_path / "cyclists.tar.gz").write_bytes(b"no archive")
    with pytest.raises(
        InputError, match=r"pedestrians\.tar\.gz in .*; get both archives of the VRU Trajectory Dataset"
    ):
        load_tracks(tmp_path)
    (tmp_path / "pedestrians.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"cyclists\.tar\.gz cannot be unpacked"):
        load_tracks(tmp_path)
    with pytest.raises(InputError, match=r"give junction, vru, a table .* \(there is no such file or folder\)"):
        load_tracks(tmp_path / "none")
