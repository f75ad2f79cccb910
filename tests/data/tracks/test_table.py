"""Tracks in a table of one's own: whatever its columns are called and parted by."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastslow.data.tracks.rows import REPEATED, UNORDERED
from fastslow.data.tracks.table import ONE, UNKNOWN, load_table
from fastslow.errors import InputError

HEADER = ("track", "t", "x", "y", "kind", "recording")
ROWS = [("7", k / 10, 1.5 * k, -k, "cyclist", "a") for k in range(5)]
ROWS += [("7", k / 5, k, 2 * k, "pedestrian", "b") for k in range(4)]


def write(path, rows=ROWS, header=HEADER, delimiter=",", end="\n"):
    lines = [delimiter.join(map(str, row)) for row in (header, *rows)]
    path.write_bytes((end.join(lines) + end).encode())
    return path


@pytest.fixture
def table(tmp_path):
    return tmp_path / "tracks.csv"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_columns_may_be_parted_and_lines_may_end_in_any_way(table, delimiter, end):
    tracks = load_table(write(table, delimiter=delimiter, end=end))
    assert tracks.names == ("a/7", "b/7")
    assert tracks.kinds == ("cyclist", "pedestrian")
    assert tracks.recordings == ("a", "b")
    assert tracks.rates == pytest.approx((10.0, 5.0))
    assert tracks.positions[:5].tolist() == [[1.5 * k, -k] for k in range(5)]


def test_other_names_frames_and_units_are_understood(table):
    rows = [(k, "3", 100 * k, 50, "extra") for k in range(4)]
    write(table, rows, ("Frame", "trackId", "xCenter", "yCenter", "note"))
    tracks = load_table(table, rate=25, metres=0.01)
    assert np.allclose(tracks.times, np.arange(4) / 25)
    assert np.allclose(tracks.positions, [[k, 0.5] for k in range(4)])
    assert (tracks.names, tracks.kinds, tracks.rates) == ((f"{ONE}/3",), (UNKNOWN,), (25.0,))
    with pytest.raises(InputError, match=r"counts time in frames; give rate, .* --frame-rate"):
        load_table(table)
    write(table, [(10 * k, "3", k, 0, "") for k in range(4)], ("Frame", "trackId", "xCenter", "yCenter", "note"))
    assert load_table(table, rate=25).rates == pytest.approx((2.5,))  # one frame in ten has a line


def test_frames_a_second_are_refused_where_time_is_in_seconds(table):
    write(table, [("a", 0, 0, 0), ("a", 1, 1, 0)], ("track", "Time", "x", "y"))
    with pytest.raises(InputError, match=r"got 10 frames a second for .*, whose column Time is in seconds; leave"):
        load_table(table, rate=10)


def test_stamps_from_1970_are_read_and_what_is_beyond_all_measure_is_refused_with_its_line(table):
    table.write_text("track,timestamp,x,y\r1,1700000000.0,0,0\r1,1700000000.1,1,0\r")
    assert load_table(table).rates == pytest.approx((10.0,), rel=1e-4)
    table.write_text("track,t,x,y\n1,0,0,0\n1,1,2e9,0\n")
    with pytest.raises(InputError, match=r"tracks\.csv, line 3: got t=1\.0, x=2000000000\.0"):
        load_table(table)


def test_rows_out_of_order_and_repeated_are_mended_and_counted(table):
    rows = [ROWS[1], ROWS[0], *ROWS[2:], ROWS[4]]
    tracks = load_table(write(table, rows))
    assert tracks.repairs == {UNORDERED: 1, REPEATED: 1}
    assert np.array_equal(tracks.positions, load_table(write(table)).positions)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"), ("a,b,c\n1,2,3\n", r"there is no track, no x, no y, no t or frame"),
        ("track,t,x\n1,2,3\n", "there is no y"), ("track,t,x,y\n1,0,0,0\n", "no track of two samples"),
        ("track,t,x,y\n", "tracks.csv"), ("track,t,x,y\n1,0,0\n", "line 2"), ("track,t,x,y\n1,0,a,0\n", "line 2"),
        ("track,t,x,y\n1,0,nan,0\n1,1,1,1\n", "line 2"), ("track,t,x,y,t\n1,0,1,0,1\n", "two columns named"),
        ("track,t,x,y\n1,0,0,0\n1,1e-12,1,0\n", r"line 2: track 'table/1' has 1e\+12 samples a second; fewer than"),
        ("track,t,x,y\n1,0,0,0\n1,1e-320,1,0\n", r"line 2: track 'table/1' has inf samples a second; fewer than"),
        ("track,t,x,y,scene\na/b,0,0,0,c\na/b,1,0,0,c\nb,0,0,0,c/a\nb,1,0,0,c/a\n",
         r"line 4: this track and that of line 2 are both named 'c/a/b'; give one of them, or of their recordings, an"),
        ("track,t,x,y,kind\n1,0,0,0,car\n1,1,0,0,bus\n", r"line 3: got kind='bus'; one kind for each track"),
    ],
)  # fmt: skip
def test_what_is_no_such_table_is_refused_by_name_and_line(table, content, message):
    table.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        load_table(table)
    assert "tracks.csv" in str(caught.value)


def test_units_of_which_a_place_or_moment_is_beyond_all_measure_are_refused_with_the_line(table):
    table.write_text("track,frame,x,y\n1,0,0,0\n1,1e9,1,0\n")
    for options in ({"rate": 1e-300}, {"rate": 1.0, "metres": 1e300}):
        with pytest.raises(InputError, match=r"line 3: got t=.*finite numbers were expected"):
            load_table(table, **options)


@pytest.mark.parametrize(
    "options",
    [{"rate": 10**400}, {"metres": 10**400}, {"rate": 0}, {"rate": "x"}, {"metres": -1.0}, {"metres": float("inf")}],
)
def test_numbers_that_are_none_are_refused(table, options):
    with pytest.raises(InputError, match="a positive number was expected"):
        load_table(write(table), **options)


def test_a_missing_file_is_refused_by_name(table):
    with pytest.raises(InputError, match=r"there is no file .*tracks\.csv"):
        load_table(table)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_table_that_is_cut_or_shuffled_never_gives_other_numbers(table, data):
    write(table)
    before = load_table(table)
    lines = table.read_text().splitlines()
    if data.draw(st.booleans()):
        table.write_text("\n".join([lines[0], *data.draw(st.permutations(lines[1:]))]))
        assert np.array_equal(load_table(table).positions, before.positions)
        return
    content = table.read_bytes()
    table.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with contextlib.suppress(InputError):
        cut = load_table(table)
        known = {tuple(place) for place in before.positions[:-1]}
        assert sum(tuple(place) not in known for place in cut.positions) <= 1  # the number that was cut through
