import shutil
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks import ind
from fastslow.data.tracks.ind import load_ind
from fastslow.data.tracks.rows import REPEATED, SHORT, UNORDERED
from fastslow.errors import InputError
from mutations import FUZZ, attempt, damage
from track_sample import path_of

#: Those of the data set, in another order.
COLUMNS = (
    "lonVelocity", "xCenter", "recordingId", "frame", "yCenter", "trackLifetime", "heading", "width", "length",
    "xVelocity", "yVelocity", "xAcceleration", "yAcceleration", "trackId", "latVelocity", "lonAcceleration",
    "latAcceleration",
)  # fmt: skip
CLASSES = {3: "bicycle", 4: "car", 12: "pedestrian", 5: "truck_bus", 40: "bicycle"}


def place(track, frame):
    return round(track + 0.1 * frame, 5), round(-track + 0.2 * frame, 5)


def rows(recording=0, classes=CLASSES, frames=6):
    """The rows of a tracks file, as text."""
    lines = [",".join(COLUMNS)]
    for track in classes:
        for frame in range(10, 10 + frames):
            x, y = place(track, frame)
            known = {"recordingId": recording, "trackId": track, "frame": frame, "xCenter": x, "yCenter": y}
            lines.append(",".join(str(known.get(column, 0.5)) for column in COLUMNS))
    return lines


def metas(recording=0, classes=CLASSES, frames=6):
    """The rows of the two other files."""
    tracks = ["recordingId,trackId,initialFrame,finalFrame,numFrames,width,length,class"]
    tracks += [f"{recording},{track},10,{9 + frames},{frames},1.5,2,{name}" for track, name in classes.items()]
    about = ["recordingId,locationId,frameRate,weekday,orthoPxToMeter", f"{recording},4,25.0,monday,0.0081"]
    return tracks, about


def write(folder, name, lines, end="\n"):
    (folder / name).write_bytes((end.join(lines) + end).encode())


def write_recording(folder, recording=0, name="00", **changes):
    folder.mkdir(exist_ok=True)
    tracks, about = metas(recording, **changes)
    write(folder, f"{name}_tracks.csv", rows(recording, **changes))
    write(folder, f"{name}_tracksMeta.csv", tracks)
    write(folder, f"{name}_recordingMeta.csv", about)
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_recording(tmp_path / "ind")


def test_values(folder):
    data = load_ind(folder)
    assert data.names == ("ind-00/3", "ind-00/12", "ind-00/40")
    assert data.kinds == ("cyclist", "pedestrian", "cyclist")
    assert data.recordings == ("ind-00",) * 3
    assert data.rates == (25.0,) * 3
    assert data.repairs == {}
    times, positions = path_of(data, "ind-00/12")
    np.testing.assert_array_equal(times, np.arange(10, 16) / 25)
    np.testing.assert_array_equal(positions, [place(12, frame) for frame in range(10, 16)])


def test_other_classes(folder):
    data = load_ind(folder, kinds=["truck_bus"])
    assert (data.names, data.kinds) == (("ind-00/5",), ("truck_bus",))


def test_two_recordings_with_the_same_track_ids_stay_apart(folder):
    write_recording(folder, 17, "17", classes={3: "pedestrian"})
    data = load_ind(folder)
    assert data.names == ("ind-00/3", "ind-00/12", "ind-00/40", "ind-17/3")
    assert data.recordings[-2:] == ("ind-00", "ind-17")
    assert data.kinds[-1] == "pedestrian"
    np.testing.assert_array_equal(path_of(data, "ind-17/3")[1], path_of(data, "ind-00/3")[1])


def test_a_class_of_their_own_is_read_when_it_is_asked_for(tmp_path):
    folder = write_recording(tmp_path / "ind", classes={3: "scooter", 4: "car"})
    assert load_ind(folder, kinds=["scooter"]).kinds == ("scooter",)
    with pytest.raises(InputError, match=r"00_tracksMeta\.csv, line 2: got class='scooter'; one of animal, bicycle"):
        load_ind(folder)


def test_windows_line_ends_and_a_byte_order_mark(folder, tmp_path):
    whole = load_ind(folder)
    for file in folder.iterdir():
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert same(load_ind(folder), whole)


def same(data, other, names=None):
    """Whether tracks agree, all of them or those named."""
    for name in names if names is not None else other.names:
        one, two = data.names.index(name), other.names.index(name)
        alike = (data.kinds[one], data.recordings[one], data.rates[one]) == (
            other.kinds[two], other.recordings[two], other.rates[two],
        )  # fmt: skip
        pairs = zip(path_of(data, name), path_of(other, name), strict=True)
        if not alike or not all(np.array_equal(a, b) for a, b in pairs):
            return False
    return names is not None or data.names == other.names


def test_rows_out_of_order_and_repeated_are_mended_and_counted(folder):
    whole = load_ind(folder)
    lines = rows()
    lines[2], lines[5] = lines[5], lines[2]
    write(folder, "00_tracks.csv", [*lines, lines[3], lines[3]])
    data = load_ind(folder)
    assert same(data, whole)
    assert data.repairs[REPEATED] == 2
    assert data.repairs[UNORDERED] > 0


def test_rows_that_are_missing_are_counted(folder):
    lines = rows()
    write(folder, "00_tracks.csv", [*lines[:3], *lines[4:13], *lines[18:]])  # one row of 3, five of 12
    data = load_ind(folder)
    assert data.repairs == {ind.MISSING: 6, SHORT: 1}
    assert data.names == ("ind-00/3", "ind-00/40")


def change(name, old, new, count=1):
    """A change of a file's text; `None` removes the file."""

    def make(folder):
        path = folder / name
        if new is None:
            path.unlink()
        else:
            text = path.read_text()
            assert old in text
            path.write_bytes(text.replace(old, new, count).encode("latin1"))

    return make


TRACKS, LIST, ABOUT = "00_tracks.csv", "00_tracksMeta.csv", "00_recordingMeta.csv"
FIRST = ",".join(["0.5", "4.0", "0", "10", "-1.0"])
BAD = {
    "no folder": (shutil.rmtree, "ind is not a folder; give one that holds NN_tracks.csv"),
    "no recordings": (lambda folder: [file.unlink() for file in folder.iterdir()], "ind holds no recordings; give"),
    "no tracks": (change(TRACKS, "", None), r"no file .*00_tracks\.csv, though there is 00_recordingMeta\.csv; copy"),
    "no list": (change(LIST, "", None), r"no file .*00_tracksMeta\.csv, though there is"),
    "no rate": (change(ABOUT, "", None), r"no file .*00_recordingMeta\.csv, though there is"),
    "same number": (
        lambda folder: write_recording(folder, 0, "0"),
        r"0_recordingMeta\.csv and 00_recordingMeta\.csv are of two recordings with the same number; give one",
    ),
    "another's content": (
        lambda folder: write_recording(folder, 0, "01"), r"01_recordingMeta\.csv, line 2: got recordingId=0; 1, as in",
    ),
    "another's rows": (
        change(TRACKS, "0.5,4.2,0,", "0.5,4.2,1,"), r"00_tracks\.csv, line 4: got recordingId=1; 0, as in the name",
    ),
    "empty": (lambda folder: (folder / TRACKS).write_bytes(b""), r"00_tracks\.csv is empty"),
    "cut short": (
        lambda folder: (folder / TRACKS).write_text("\n".join(rows())[:-40]),
        r"00_tracks\.csv, line 31: got 7 columns; 17, parted by commas, were expected: the file is cut short, copy",
    ),
    "text": (change(TRACKS, FIRST, "0.5,four,0,10,1"), r"00_tracks\.csv, line 2: got xCenter='four'; a finite number"),
    "NaN": (change(TRACKS, FIRST, "0.5,4.0,0,10,nan"), r"00_tracks\.csv, line 2: got yCenter='nan'; a finite number"),
    "infinity": (change(TRACKS, FIRST, "0.5,-inf,0,10,1"), r"00_tracks\.csv, line 2: got xCenter='-inf'; a finite"),
    "far away": (change(TRACKS, FIRST, "0.5,9e9,0,10,1"), "line 2: got xCenter=9000000000; a place within 1e"),
    "half a frame": (change(TRACKS, FIRST, "0.5,4,0,10.5,1"), "line 2: got frame=10.5; a whole number from 0 to"),
    "wrong delimiter": (change(TRACKS, ",", ";", -1), r"00_tracks\.csv has no column .*look parted by semicolons"),
    "no column": (change(TRACKS, "xCenter", "x"), r"00_tracks\.csv has no column 'xCenter'"),
    "unlisted track": (
        change(LIST, "0,12,", "0,11,"), r"00_tracks\.csv, line 14: got trackId=12; a track that .*tracksMeta.csv lists",
    ),
    "track without rows": (
        change(LIST, "0,12,", "0,99,10,15,6,1,1,bicycle\n0,12,"),
        r"00_tracks\.csv has no rows of track 99, which .*00_tracksMeta\.csv lists; the file is cut short: copy",
    ),
    "track listed twice": (
        change(LIST, "0,12,", "0,3,"), r"00_tracksMeta\.csv, line 4: got trackId=3; a track that no line before has",
    ),
    "unknown class": (
        change(LIST, "pedestrian", "pedestrain"), r"00_tracksMeta\.csv, line 4: got class='pedestrain'; one of animal",
    ),
    "no frame rate": (change(ABOUT, "frameRate", "rate"), r"00_recordingMeta\.csv has no column 'frameRate'"),
    "empty frame rate": (change(ABOUT, "25.0", ""), r"00_recordingMeta\.csv, line 2: got frameRate=''; a finite"),
    "frame rate 0": (change(ABOUT, "25.0", "0"), "line 2: got frameRate=0; a number of frames a second from 0.1 to"),
    "frame rate below 0": (change(ABOUT, "25.0", "-25"), "line 2: got frameRate=-25; a number of frames a second"),
    "two rates": (change(ABOUT, "0,4", "0,4,30,monday,1\n0,4"), r"00_recordingMeta\.csv, line 3: a second row; one"),
    "no UTF-8": (change(LIST, "bicycle", "v\xe9lo"), r"00_tracksMeta\.csv, line 2, is no text in UTF-8"),
    "none of these": (
        lambda folder: write_recording(folder, classes={3: "car", 4: "van"}),
        "ind has no tracks of bicycle, pedestrian; it has car, van",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders_are_refused_by_file_and_line(folder, kind):
    harm, message = BAD[kind]
    harm(folder)
    with pytest.raises(InputError, match=message):
        load_ind(folder)


def test_a_file_that_is_too_large(folder):
    with (folder / TRACKS).open("rb+") as file:
        file.truncate(2**34)
    with pytest.raises(InputError, match=r"00_tracks\.csv is larger than 256 MiB"):
        load_ind(folder)


@pytest.mark.parametrize("kinds", ["bicycle", (), ("bicycel",)])
def test_unknown_kinds(folder, kinds):
    with pytest.raises(InputError, match="in kinds; give a list of one or more of animal, bicycle"):
        load_ind(folder, kinds=kinds)


def harmed(content, random):
    """A file with lines swapped, dropped or doubled, or bytes changed."""
    lines = content.splitlines(keepends=True)
    kind = random.choice(["swap", "drop", "double", "bytes", "bytes"])
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    if kind == "bytes":
        return damage(content, random)
    if kind == "swap":
        lines[one], lines[two] = lines[two], lines[one]
    elif kind == "drop":
        del lines[one]
    else:
        lines.insert(two, lines[one])
    return b"".join(lines)


def touched(before, after, column):
    """Names of the tracks in lines that are not the same in both."""
    one, two = Counter(before.splitlines()), Counter(after.splitlines())
    found = set()
    for line in (one - two) + (two - one):
        try:
            found.add(f"ind-00/{int(float(line.split(b',')[column]))}")
        except (ValueError, IndexError, OverflowError):
            continue  # no row of a track
    return found


@FUZZ
@given(st.randoms(use_true_random=False), st.sampled_from([TRACKS, TRACKS, TRACKS, LIST, ABOUT]))
def test_damaged_files_are_refused_or_the_other_tracks_agree(tmp_path_factory, random, name):
    folder = write_recording(tmp_path_factory.mktemp("fuzz") / "ind")
    whole, before = load_ind(folder), (folder / name).read_bytes()
    after = harmed(before, random)
    (folder / name).write_bytes(after)
    data, message = attempt(load_ind, folder)
    if data is None:
        assert "00_" in message
    elif name != ABOUT:
        changed = touched(before, after, COLUMNS.index("trackId") if name == TRACKS else 1)
        assert same(data, whole, set(whole.names) - changed)
        assert set(data.names) <= set(whole.names) | changed


def test_speed(tmp_path):
    folder = write_recording(tmp_path / "ind", classes=dict.fromkeys(range(400), "bicycle"), frames=500)
    start = time.process_time()
    data = load_ind(folder)
    assert time.process_time() - start < 12
    assert len(data.times) == 200_000
