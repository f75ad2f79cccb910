"""Readers of tracks: tables, folders of inD and of the Stanford Drone Dataset, and the VRU archives.

Each file is read once more in the plainest way there is, value by value. What the library makes of it holds if every
sample is one of those, and all others are counted as repairs.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import yaml

from fastslow.data.tracks.base import TrackData
from fastslow.data.tracks.ind import MISSING, load_ind
from fastslow.data.tracks.rows import REPEATED, SHORT
from fastslow.data.tracks.sdd import KINDS, OUTSIDE, SCALES, load_sdd
from fastslow.data.tracks.table import NAMES, ONE, UNKNOWN, load_table
from fastslow.data.tracks.vru import load_vru
from mutations import damage, damage_rows
from robustness.harness import Reader

_MIB = 2**20
_TRACKS, _FRAMES = (3, 12, 40), 8


class Sample(NamedTuple):
    """Where someone was."""

    name: str
    kind: str
    t: float
    x: float
    y: float


def table_reader(folder: Path) -> Reader:
    """A table of one's own."""
    path = folder / "tracks.csv"
    rows = [f"{track},{frame / 10},{1.5 * frame},{-frame},cyclist,{place}"
            for place in "ab" for track in _TRACKS for frame in range(_FRAMES)]  # fmt: skip
    content = "\n".join(["track,t,x,y,kind,recording", *rows, ""]).encode()
    hostile = {
        "short rows": lambda: b"track,t,x,y\n" + b"".join(b"%d,%d,0,0\n" % (i // 10, i % 10) for i in range(2**21 - 2)),
        "long rows": lambda: b"track,t,x,y,z\n"
        + b"".join(b"%d,%d,0,0,%0100d\n" % (i >> 4, i & 15, 0) for i in range(2**21 - 2)),
        "as many tracks as rows": lambda: b"track,t,x,y\n" + b"".join(b"%d,0,0,0\n" % i for i in range(2**21 - 2)),
        "lines of nothing": lambda: b"track,t,x,y" + b"\n" * (128 * _MIB), "one line": lambda: b"x," * (64 * _MIB),
        "columns": lambda: b"track,t,x,y" + b",a" * (64 * _MIB) + b"\n" + b"," * (64 * _MIB),
        "carriage returns": lambda: b"track,t,x,y\n" + b"\r" * (200 * _MIB), "zeros": lambda: 255 * _MIB,
        "wide letters": lambda: ("track,t,x,y\n" + "\U0001f600" * (60 * _MIB)).encode(), "more zeros": lambda: 2**40,
    }  # fmt: skip
    return _reader("table of tracks", path, {path: content}, lambda: load_table(path), lambda: _of_table(path), hostile)


def ind_reader(folder: Path) -> Reader:
    """A recording of inD, one of its three files damaged."""
    classes = dict(zip(_TRACKS, ("bicycle", "car", "pedestrian"), strict=True))
    rows = [f"0,{track},{frame},{track + frame / 8},{frame / 4 - track},0.5" for track in _TRACKS
            for frame in range(_FRAMES)]  # fmt: skip
    lists = [f"0,{track},{_FRAMES},{name}" for track, name in classes.items()]
    files = {
        folder / "00_tracks.csv": ["recordingId,trackId,frame,xCenter,yCenter,heading", *rows],
        folder / "00_tracksMeta.csv": ["recordingId,trackId,numFrames,class", *lists],
        folder / "00_recordingMeta.csv": ["recordingId,frameRate,locationId", "0,25.0,4"],
    }
    contents = {path: "\n".join([*lines, ""]).encode() for path, lines in files.items()}
    many = b"trackId,frame,xCenter,yCenter\n" + b"".join(
        b"%d,%d,0,0\n" % (12 - 9 * (i > 1), i) for i in range(2**21 - 2)
    )
    hostile = {"rows": lambda: many, "zeros": lambda: 255 * _MIB, "lines of nothing": lambda: b"trackId\n" * 2**24}
    return _reader("inD", next(iter(files)), contents, lambda: load_ind(folder), lambda: _of_ind(*files), hostile)


def sdd_reader(folder: Path) -> Reader:
    """A video of the Stanford Drone Dataset, its annotations damaged or the scales."""
    path, scales = folder / "gates" / "video3" / "annotations.txt", folder / SCALES
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = dict(zip(_TRACKS, ("Biker", "Cart", "Pedestrian"), strict=True))
    rows = [f'{track} {frame} {10 * frame} {frame + 31} {10 * frame + 40} {frame} {int(frame == 5)} 0 1 "{label}"'
            for track, label in labels.items() for frame in range(_FRAMES)]  # fmt: skip
    contents = {path: "\n".join([*rows, ""]).encode(), scales: b"gates:\n  video3:\n    scale: 0.04\nnexus: {}\n"}
    many = b"".join(b'1 0 0 9 9 %d 0 0 0 "Biker"\n' % i for i in range(2**21 - 2))
    hostile = {"rows": lambda: many, "zeros": lambda: 255 * _MIB, "spaces": lambda: b" " * (255 * _MIB)}
    return _reader("Stanford Drone Dataset", path, contents, lambda: load_sdd(folder), lambda: _of_sdd(path, scales),
                   hostile)  # fmt: skip


def vru_reader(folder: Path) -> Reader:
    """An archive damaged as it is, or one that is packed rightly around what is damaged."""
    files = {f"cyclists/moving/{k}.csv": _of_vru_file(k) for k in range(4)} | {"cyclists/waiting/1.csv": b""}
    path, other = folder / "cyclists.tar.gz", folder / "pedestrians.tar.gz"
    other.write_bytes(gzip.compress(_tar({"pedestrians/moving/1.csv": _of_vru_file(9)}), mtime=0))
    inside = _tar(files)
    packed = gzip.compress(inside, mtime=0)
    rightly: list[Any] = [None]

    def write(random: Random) -> None:
        kind = random.choice(["archive", "file", "tar"])
        if kind == "archive":
            rightly[0], content = files, damage(packed, random)
        elif kind == "file":
            name = random.choice(sorted(files))
            rightly[0] = files | {name: _damage(files[name], random)}
            content = gzip.compress(_tar(rightly[0]), mtime=0)
        else:
            rightly[0], content = None, gzip.compress(damage(inside, random), mtime=0)
        path.write_bytes(content)

    def wanted() -> list[Sample]:
        return [s for archive, kind, rate in ((path, "cyclist", 12.5), (other, "pedestrian", 50.0))
                for s in _of_vru(_members(archive), kind, rate)]  # fmt: skip

    path.write_bytes(packed)
    original = _facts(load_vru(folder))

    def judge(data: TrackData) -> str:
        if path.stat().st_size > 2**14:
            return "different"  # a hostile one
        if rightly[0] is not None and _members(path) != rightly[0]:
            return "it is read, though it is damaged"
        if len(_members(path)) < len(files):
            return "it has lost files"
        return _verdict(data, wanted(), original)

    hostile = {
        "a file that unpacks to 2 GiB": lambda: gzip.compress(bytes(_MIB)) * 2048,
        "short rows": lambda: gzip.compress(_tar({"cyclists/1.csv": b",timestamp,x,y\n" + b"0,0,1,1\n" * (3 * _MIB)})),
        "small files": lambda: gzip.compress(_tar({f"cyclists/{k}.csv": _of_vru_file(k) for k in range(4000)})),
        "many files": lambda: gzip.compress(_tar(dict.fromkeys(map("{}.csv".format, range(50_000)), b""))),
        "zeros": lambda: 2**40,
    }
    return Reader("VRU", write, lambda: load_vru(folder), judge, ("cyclists",), path, hostile)


def _reader(
    name: str,
    target: Path,
    contents: dict[Path, bytes],
    read: Callable[[], TrackData],
    plainly: Callable[[], tuple[list[Sample], dict[str, int]]],
    hostile: dict[str, Callable[[], bytes | int]],
) -> Reader:
    def write(random: Random) -> None:
        for path, content in contents.items():
            path.write_bytes(content)
        path = random.choice(sorted(contents))
        path.write_bytes(_damage(contents[path], random, b" " if path.suffix == ".txt" else b","))

    def whole(make: Callable[[], bytes | int]) -> Callable[[], bytes | int]:
        return lambda: [path.write_bytes(content) for path, content in contents.items()] and make()

    def judge(data: TrackData) -> str:
        if target.stat().st_size > _MIB:
            return "different"  # a hostile one: it is time and memory that count
        samples, counted = plainly()
        if any(data.repairs.get(what, 0) != count for what, count in counted.items()):
            return f"it counts {dict(data.repairs)}, where there are {counted}"
        return _verdict(data, samples, original)

    for path, content in contents.items():
        path.write_bytes(content)
    original = _facts(read())
    names = (*(path.name for path in contents), "has no tracks of")  # a folder has not, whichever file is to blame
    return Reader(name, write, read, judge, names, target, {what: whole(make) for what, make in hostile.items()})


def _damage(content: bytes, random: Random, delimiter: bytes = b",") -> bytes:
    """Bytes or values."""
    return damage_rows(content, random, delimiter) if content and random.randint(0, 1) else damage(content, random)


def _verdict(data: TrackData, samples: Iterable[Sample], original: tuple[Any, ...]) -> str:
    left = Counter(samples)
    got = Counter(
        Sample(data.names[k], data.kinds[k], float(t), float(x), float(y))
        for k, t, (x, y) in zip(data.track.tolist(), data.times, data.positions, strict=True)
    )
    if made_up := got - left:
        return f"its file has no {next(iter(made_up))}"
    lost = (left - got).total()
    if lost != data.repairs.get(REPEATED, 0) + data.repairs.get(SHORT, 0):
        return f"{lost} samples are lost, but {dict(data.repairs)} counted"
    return "identical" if _facts(data) == original else "different"


def _facts(data: TrackData) -> tuple[Any, ...]:
    return data.names, data.kinds, data.recordings, data.rates, data.positions.tobytes(), data.times.tobytes()


def _lines(content: bytes) -> list[str]:
    return [line for line in re.split("\r\n|\r|\n", content.decode("utf-8-sig")) if line]


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if len(text) > 1 and text[0] == text[-1] == '"' else text


def _records(content: bytes) -> list[dict[str, str]]:
    first, *rows = _lines(content)
    names = [name.strip().strip('"') for name in first.split(",")]
    return [dict(zip(names, row.split(","), strict=True)) for row in rows]


def _of_table(path: Path) -> tuple[list[Sample], dict[str, int]]:
    rows, samples = _records(path.read_bytes()), []
    known = {alias: column for column, aliases in NAMES.items() for alias in reversed(aliases)}
    names = [name for name in rows[0] if name.lower() in known]
    # of several names of one column the usual one is taken, and of those that differ in capitals the first
    best = sorted(reversed(names), key=lambda name: -NAMES[known[name.lower()]].index(name.lower()))
    found = {known[name.lower()]: name for name in best}
    for row in rows:
        value = {column: row[name] for column, name in found.items()}
        place = _bare(value.get("recording", ONE))
        samples.append(
            Sample(
                f"{place}/{_bare(value['track'])}", _bare(value.get("kind", UNKNOWN)), float(value["t"]),
                float(value["x"]), float(value["y"]),
            )
        )  # fmt: skip
    return samples, {}


def _of_ind(tracks: Path, lists: Path, about: Path) -> tuple[list[Sample], dict[str, int]]:
    rate = float(_records(about.read_bytes())[0]["frameRate"])
    kinds, frames, samples, missing = {"bicycle": "cyclist", "pedestrian": "pedestrian"}, Counter[int](), [], 0
    listed = {int(float(row["trackId"])): row for row in _records(lists.read_bytes())}
    for row in _records(tracks.read_bytes()):
        track, kind = int(float(row["trackId"])), kinds.get(_bare(listed[int(float(row["trackId"]))]["class"]))
        if kind is not None:
            t = float(row["frame"]) / rate
            samples.append(Sample(f"ind-00/{track}", kind, t, float(row["xCenter"]), float(row["yCenter"])))
    for track, row in listed.items():
        frames[track] = len({s.t for s in samples if s.name == f"ind-00/{track}"})
        if _bare(row["class"]) in kinds and "numFrames" in row:
            missing += max(0, int(float(row["numFrames"])) - frames[track])
    return samples, {MISSING: missing}


def _of_sdd(path: Path, scales: Path) -> tuple[list[Sample], dict[str, int]]:
    scale = yaml.safe_load(scales.read_text(encoding="utf-8"))["gates"]["video3"]
    half, outside, samples = (scale["scale"] if isinstance(scale, dict) else scale) / 2, 0, []
    for row in _lines(path.read_bytes()):
        track, left, top, right, bottom, frame, lost, _, _, label = row.split(" ")
        if _bare(label) in ("Biker", "Pedestrian"):
            outside += float(lost) == 1
            x, y = (float(left) + float(right)) * half, -(float(top) + float(bottom)) * half
            if float(lost) == 0:
                name = f"sdd-gates-video3/{int(float(track))}"
                samples.append(Sample(name, KINDS[_bare(label)], float(frame) / 30.0, x, y))
    return samples, {OUTSIDE: outside}


def _of_vru(files: dict[str, bytes], kind: str, rate: float) -> list[Sample]:
    samples = []
    for name, content in files.items():
        rows = [[float(value) for value in line.split(",")] for line in _lines(content)[1:]]
        alike = len(rows) > 1 and len({row[1] for row in rows}) == 1
        samples += [
            Sample(name.removesuffix(".csv"), kind, k / rate if alike else t, x, y)
            for k, (_, t, x, y) in enumerate(rows)
        ]
    return samples


def _of_vru_file(number: int) -> bytes:
    return "\n".join([",timestamp,x,y", *(f"{k},{k / 8},{number + k},{2 * k}" for k in range(_FRAMES)), ""]).encode()


def _tar(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _members(archive: Path) -> dict[str, bytes]:
    with tarfile.open(archive) as tar:
        found = [(member.name.removeprefix("./"), tar.extractfile(member)) for member in tar if member.isfile()]
        return {name: file.read() for name, file in found if file is not None and name.endswith(".csv")}
