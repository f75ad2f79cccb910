import shutil
import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastslow.data.tracks import sdd
from fastslow.data.tracks.rows import REPEATED, UNORDERED
from fastslow.data.tracks.sdd import load_sdd
from fastslow.errors import InputError
from mutations import FUZZ, attempt, damage
from track_sample import path_of

LABELS = {0: "Biker", 1: "Cart", 2: "Pedestrian", 10: "Biker"}
SCALE = 0.04


def box(track, frame):
    """xmin, ymin, xmax, ymax."""
    return 100 * track + frame, 200 + frame, 100 * track + frame + 31, 240 + frame


def rows(labels=LABELS, frames=6, lost=()):
    return [
        " ".join(map(str, (track, *box(track, frame), frame, int((track, frame) in lost), 0, 1, f'"{label}"')))
        for track, label in labels.items()
        for frame in range(frames)
    ]


def write_video(folder, scene="gates", video="video3", lines=None):
    path = folder / scene / video / "annotations.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(("\n".join(rows() if lines is None else lines) + "\n").encode())
    return folder


@pytest.fixture
def folder(tmp_path):
    return write_video(tmp_path / "sdd")


def same(data, other, names):
    """Whether the tracks of these names agree."""
    return all(
        data.kinds[data.names.index(name)] == other.kinds[other.names.index(name)]
        and all(np.array_equal(a, b) for a, b in zip(path_of(data, name), path_of(other, name), strict=True))
        for name in names
    )


def test_values(folder):
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert data.names == ("sdd-gates-video3/0", "sdd-gates-video3/2", "sdd-gates-video3/10")
    assert data.kinds == ("cyclist", "pedestrian", "cyclist")
    assert data.recordings == ("sdd-gates-video3",) * 3
    assert data.rates == (30.0,) * 3
    assert data.repairs == {}
    times, positions = path_of(data, "sdd-gates-video3/2")
    np.testing.assert_array_equal(times, np.arange(6) / 30)
    np.testing.assert_allclose(positions[0], [(200 + 231) / 2 * SCALE, -(200 + 240) / 2 * SCALE], rtol=1e-12)
    np.testing.assert_allclose(positions[:, 1], -(220 + np.arange(6)) * SCALE, rtol=1e-12)


def test_up_in_the_picture_is_up(folder):
    write_video(folder, lines=[f'5 10 {50 - k} 20 {60 - k} {k} 0 0 0 "Biker"' for k in range(3)])
    assert (np.diff(load_sdd(folder, metres_per_pixel=1.0).positions[:, 1]) == 1).all()


def test_other_labels(folder):
    assert load_sdd(folder, kinds=["Cart"], metres_per_pixel=SCALE).kinds == ("cart",)


def test_rows_outside_the_view_are_left_out_and_counted(folder):
    lost = {(0, 4), (0, 5), (2, 0), (1, 3)}
    write_video(folder, lines=rows(lost=lost))
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert data.repairs == {sdd.OUTSIDE: 3}  # those of the cart are not read
    assert path_of(data, "sdd-gates-video3/0")[0].tolist() == [k / 30 for k in range(4)]
    assert path_of(data, "sdd-gates-video3/2")[0].tolist() == [k / 30 for k in range(1, 6)]


def test_boxes_outside_the_view_may_be_inside_out(folder):
    write_video(folder, lines=[*rows(), '2 300 200 100 300 9 1 0 0 "Pedestrian"'])
    assert load_sdd(folder, metres_per_pixel=SCALE).repairs == {sdd.OUTSIDE: 1}


def test_videos_with_the_same_track_ids_stay_apart_and_are_in_the_order_of_their_numbers(folder):
    for scene, video in (("gates", "video10"), ("coupa", "video3")):
        write_video(folder, scene, video, rows({2: "Biker"}))
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert data.names[0] == "sdd-coupa-video3/2"
    assert data.names[-1] == "sdd-gates-video10/2"
    assert [kind for name, kind in zip(data.names, data.kinds, strict=True) if name.endswith("/2")] == [
        "cyclist", "pedestrian", "cyclist",
    ]  # fmt: skip


def test_windows_line_ends_and_a_byte_order_mark(folder):
    whole = load_sdd(folder, metres_per_pixel=SCALE)
    path = folder / "gates/video3/annotations.txt"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert data.names == whole.names
    assert same(data, whole, whole.names)


def test_rows_out_of_order_and_repeated_are_mended_and_counted(folder):
    whole = load_sdd(folder, metres_per_pixel=SCALE)
    write_video(folder, lines=[*reversed(rows()), rows()[0]])
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert same(data, whole, whole.names)
    assert data.repairs[REPEATED] == 1
    assert data.repairs[UNORDERED] > 0


def scale_of(data, name):
    return path_of(data, name)[1][0, 1] / -220


def test_scales_of_the_file_come_before_the_argument(folder):
    for video in ("video4", "video5"):
        write_video(folder, video=video)
    text = "gates:\n  video3:\n    scale: 0.03\n    certainty: 1.0\n  video4: 0.05\nnexus: {video0: {scale: 0.1}}\n"
    (folder / "estimated_scales.yaml").write_text(text)
    data = load_sdd(folder, metres_per_pixel=0.5)
    found = [scale_of(data, f"sdd-gates-video{k}/0") for k in (3, 4, 5)]
    np.testing.assert_allclose(found, [0.03, 0.05, 0.5])
    with pytest.raises(
        InputError, match=r"no scale of 'gates/video5'; put estimated_scales\.yaml beside the scenes, or"
    ):
        load_sdd(folder)


def test_scales_by_video(folder):
    write_video(folder, video="video4")
    data = load_sdd(folder, metres_per_pixel={"gates/video3": 0.03, "gates/video4": 0.04})
    np.testing.assert_allclose([scale_of(data, f"sdd-gates-video{k}/0") for k in (3, 4)], [0.03, 0.04])
    with pytest.raises(InputError, match="no scale of 'gates/video4'; put"):
        load_sdd(folder, metres_per_pixel={"gates/video3": 0.03})
    with pytest.raises(InputError, match=r"metres_per_pixel of 'gates-video3'; there are \['gates/video3'"):
        load_sdd(folder, metres_per_pixel={"gates-video3": 0.03})


@pytest.mark.parametrize("scale", [0.0, -0.04, 25.0, float("nan"), float("inf")])
def test_scales_that_are_none(folder, scale):
    with pytest.raises(InputError, match=r"metres_per_pixel: got .* of 'gates/video3'; give the metres in one pixel"):
        load_sdd(folder, metres_per_pixel=scale)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "gates:\n  video3:\n    scale: abc\n",
            r"estimated_scales\.yaml: got 'abc' of 'gates/video3'; give the metres",
        ),
        ("gates:\n  video3:\n    certainty: 1\n", r"estimated_scales\.yaml: got None of 'gates/video3'"),
        ("gates:\n  video3: true\n", r"estimated_scales\.yaml: got True of"),
        ("gates: 0.04\n", r"estimated_scales\.yaml has 0.04 of 'gates'; give its videos' scales by name"),
        ("- gates\n", r"estimated_scales\.yaml holds list"),
        ("gates: [\n", r"estimated_scales\.yaml, line 2 cannot be read as YAML"),
    ],
)
def test_damaged_files_of_scales(folder, text, message):
    (folder / "estimated_scales.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_sdd(folder, metres_per_pixel=SCALE)


def change(old, new, count=1):
    def make(folder):
        path = folder / "gates/video3/annotations.txt"
        text = path.read_text()
        assert old in text
        path.write_bytes(text.replace(old, new, count).encode("latin1"))

    return make


WHERE = r"annotations\.txt, line 1"
FIRST = '0 0 200 31 240 0 0 0 1 "Biker"'
BAD = {
    "no folder": (shutil.rmtree, "sdd is not a folder; give one that holds SCENE/videoN/annotations.txt"),
    "no scenes": (lambda folder: shutil.rmtree(folder / "gates"), "sdd holds no videos; give a folder that holds"),
    "no annotations": (
        lambda folder: (folder / "gates/video3/annotations.txt").unlink(), r"no file .*video3.annotations\.txt",
    ),
    "empty": (lambda folder: (folder / "gates/video3/annotations.txt").write_bytes(b""), r"annotations\.txt is empty"),
    "cut short": (change(rows()[-1] + "\n", rows()[-1][:9]), "line 24: got 3 columns; 10, parted by .*cut short"),
    "text": (change(FIRST, FIRST.replace("31", "l1")), WHERE + ": got xmax='l1'; a finite number"),
    "NaN": (change(FIRST, FIRST.replace("31", "nan")), WHERE + ": got xmax='nan'; a finite number"),
    "infinity": (change(FIRST, FIRST.replace("31", "inf")), WHERE + ": got xmax='inf'; a finite number"),
    "far away": (change(FIRST, FIRST.replace("31", "3e6")), WHERE + ": got xmax=3000000; a place within 100000 pixels"),
    "inside out": (change(FIRST, FIRST.replace("240", "140")), WHERE + ": got ymax=140; a number of at least ymin"),
    "half a frame": (change(FIRST, FIRST.replace("240 0", "240 .5")), WHERE + ": got frame=0.5; a whole number from 0"),
    "lost is 2": (change(FIRST, FIRST.replace("0 0 0 1", "0 2 0 1")), WHERE + ": got lost=2; a whole number from 0 to"),
    "track below 0": (change(FIRST, "-1" + FIRST[1:]), WHERE + ": got track=-1; a whole number from 0"),
    "wrong delimiter": (change(" ", ",", -1), WHERE + ": got 1 columns; 10, .* expected .they look parted by commas"),
    "unknown label": (change("Biker", "Bicker"), WHERE + ": got label='Bicker'; one of Biker, Bus, Car, Cart, Ped"),
    "two labels": (change("Biker", "Skater"), "line 2: got label='Biker'; one label for all rows of a track was"),
    "damaged label": (change('"Biker"', '"Biker'), WHERE + ": got label='\"Biker'; a text of 1 to 100 bytes without"),
    "no UTF-8": (change("Biker", "v\xe9lo"), WHERE + ", is no text in UTF-8"),
    "none of these": (
        lambda folder: write_video(folder, lines=rows({0: "Cart"})), "sdd has no tracks of Biker, Pedestrian; choose",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders_are_refused_by_file_and_line(folder, kind):
    harm, message = BAD[kind]
    harm(folder)
    with pytest.raises(InputError, match=message):
        load_sdd(folder, metres_per_pixel=SCALE)


def test_a_file_that_is_too_large(folder):
    with (folder / "gates/video3/annotations.txt").open("rb+") as file:
        file.truncate(2**34)
    with pytest.raises(InputError, match=r"annotations\.txt is larger than 256 MiB"):
        load_sdd(folder, metres_per_pixel=SCALE)


@pytest.mark.parametrize("kinds", ["Biker", (), ("biker",)])
def test_unknown_kinds(folder, kinds):
    with pytest.raises(InputError, match="in kinds; give a list of one or more of Biker, Bus, Car"):
        load_sdd(folder, kinds=kinds, metres_per_pixel=SCALE)


def harmed(content, random):
    """A file with lines swapped, dropped or doubled, or bytes changed."""
    lines = content.splitlines(keepends=True)
    kind = random.choice(["swap", "drop", "double", "bytes", "bytes", "bytes"])
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


def touched(before, after):
    """Names of the tracks in lines that are not the same in both."""
    one, two = Counter(before.splitlines()), Counter(after.splitlines())
    found = set()
    for line in (one - two) + (two - one):
        try:
            found.add(f"sdd-gates-video3/{int(float(line.split(b' ')[0]))}")
        except (ValueError, OverflowError):
            continue  # no row of a track
    return found


@FUZZ
@given(st.randoms(use_true_random=False))
def test_damaged_files_are_refused_or_the_other_tracks_agree(tmp_path_factory, random):
    folder = write_video(tmp_path_factory.mktemp("fuzz") / "sdd", lines=rows(lost={(2, 0), (10, 5)}))
    path = folder / "gates/video3/annotations.txt"
    whole, before = load_sdd(folder, metres_per_pixel=SCALE), path.read_bytes()
    after = harmed(before, random)
    path.write_bytes(after)
    data, message = attempt(lambda: load_sdd(folder, metres_per_pixel=SCALE))
    if data is None:
        assert "sdd" in message
    else:
        changed = touched(before, after)
        assert same(data, whole, set(whole.names) - changed)
        assert set(data.names) <= set(whole.names) | changed


def test_speed(tmp_path):
    folder = write_video(tmp_path / "sdd", lines=rows(dict.fromkeys(range(400), "Biker"), 500))
    start = time.process_time()
    data = load_sdd(folder, metres_per_pixel=SCALE)
    assert time.process_time() - start < 12
    assert len(data.times) == 200_000
