"""The archives of cyclists and pedestrians: what is read, mended and refused."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastslow.data.tracks.duplicates import physical_groups
from fastslow.data.tracks.vru import REBUILT, load_vru
from fastslow.errors import InputError

HEADER = ",timestamp,x,y"


def table(count=5, step=0.08, x=1.0):
    return "\n".join([HEADER, *(f"{k},{step * k:.2f},{x + k},{2 * k}" for k in range(count))]) + "\n"


def write(folder, kind, files):
    with tarfile.open(folder / f"{kind}.tar.gz", "w:gz") as tar:
        for name, text in files.items():
            content = text.encode() if isinstance(text, str) else text
            member = tarfile.TarInfo(f"{kind}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "cyclists", {"moving/2.csv": table(), "waiting/1.csv": table(3, step=0.0)})
    write(tmp_path, "pedestrians", {"moving/1.csv": table(4, step=0.02), "moving/9.csv": ""})
    return tmp_path


def test_both_archives_are_read_and_stamps_that_are_all_alike_are_made_of_the_rate(folder):
    tracks = load_vru(folder)
    assert tracks.names == ("cyclists/moving/2", "cyclists/waiting/1", "pedestrians/moving/1")
    assert tracks.kinds == ("cyclist", "cyclist", "pedestrian")
    assert tracks.rates == (12.5, 12.5, 50.0)
    assert tracks.positions[:5].tolist() == [[1 + k, 2 * k] for k in range(5)]
    assert np.allclose(tracks.times[5:8], [0, 0.08, 0.16])
    assert tracks.repairs == {REBUILT: 1}


def test_windows_line_ends_are_read(folder):
    before = load_vru(folder).positions
    write(folder, "cyclists", {"moving/2.csv": table().replace("\n", "\r\n"), "waiting/1.csv": table(3, step=0.0)})
    assert np.array_equal(load_vru(folder).positions, before)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c,d\n1,2,3,4\n", r"'cyclists/moving/1\.csv' begins with 'a,b,c,d'"),
        (HEADER + "\n0,0,x,1\n", r"'cyclists/moving/1\.csv', line 2: got x='x'; a finite number"),
        (HEADER + "\n0,0,1\n", r"'cyclists/moving/1\.csv', line 2: got 3 columns; 4, parted by commas"),
        (HEADER + "\n0,0,1,1,1,0.08,2,2\n", r"'cyclists/moving/1\.csv', line 2: got 8 columns; 4, parted by commas"),
        (HEADER + "\n0,0,1,2\n1,0.08,nan,2\n", r"'cyclists/moving/1\.csv', line 3: got x='nan'"),
        (HEADER + "\n0,0,1,2\n1,0.08,2e9,2\n", r"'cyclists/moving/1\.csv', line 3: got t=0\.08, x=2000000000"),
        (b"\xff\xfe\x00", r"'cyclists/moving/1\.csv', line 1, is no text in UTF-8"),
    ],
)
def test_what_is_no_table_is_refused_by_name(folder, text, message):
    write(folder, "cyclists", {"moving/1.csv": text})
    with pytest.raises(InputError, match=message):
        load_vru(folder)


def test_a_missing_archive_and_one_that_unpacks_to_too_much_are_refused(folder, monkeypatch):
    monkeypatch.setattr("fastslow.data.tracks.vru._MAX_BYTES", 30_000)
    write(folder, "pedestrians", {"moving/1.csv": " " * 30_000})
    with pytest.raises(InputError, match=r"pedestrians\.tar\.gz unpacks to more than"):
        load_vru(folder)
    (folder / "pedestrians.tar.gz").unlink()
    with pytest.raises(InputError, match=r"looked for pedestrians\.tar\.gz"):
        load_vru(folder)


@pytest.mark.parametrize("damaged", [lambda tar: tar[:1024], lambda tar: tar[:1024] + b"x" + tar[1025:]])
def test_an_archive_that_loses_files_by_ending_early_is_refused(folder, damaged):
    """Packed rightly around it: what unpacks archives takes a header that is none for their end."""
    path = folder / "cyclists.tar.gz"
    whole = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(damaged(whole)))
    with pytest.raises(InputError, match=r"cyclists\.tar\.gz has no end, or something that is no file"):
        load_vru(folder)


def test_two_files_of_one_name_are_refused_by_archive_and_file_and_so_are_too_many(folder, monkeypatch):
    with tarfile.open(folder / "cyclists.tar.gz", "w:gz") as tar:
        for name in ("cyclists/moving/1.csv", "./cyclists/moving/1.csv"):
            member = tarfile.TarInfo(name)
            member.size = len(table())
            tar.addfile(member, io.BytesIO(table().encode()))
    with pytest.raises(InputError, match=r"cyclists\.tar\.gz: .* each have a track named 'cyclists/moving/1'"):
        load_vru(folder)
    with tarfile.open(folder / "cyclists.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("pedestrians/moving/1.csv")
        member.size = len(table())
        tar.addfile(member, io.BytesIO(table().encode()))
    with pytest.raises(InputError, match=r"cyclists\.tar\.gz and .*pedestrians\.tar\.gz each have a track named"):
        load_vru(folder)
    monkeypatch.setattr("fastslow.data.tracks.vru._MAX_FILES", 1)
    with pytest.raises(InputError, match=r"pedestrians\.tar\.gz holds more than 1 files"):
        load_vru(folder)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_archives_are_refused_or_read_as_they_were(folder, data):
    write(folder, "cyclists", {"moving/2.csv": table(), "waiting/1.csv": table(3, step=0.0)})
    before, path = load_vru(folder).positions, folder / "cyclists.tar.gz"
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(bytes(content))
    with contextlib.suppress(InputError):
        assert np.array_equal(load_vru(folder).positions, before)


@pytest.mark.no_cover  # reads many files, by lines that others run
def test_the_real_archives_hold_what_is_known_of_them():
    data = Path(os.environ.get("FASTSLOW_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not (data / "vru" / "cyclists.tar.gz").exists():
        pytest.skip("the VRU archives are not there: put them into FASTSLOW_DATA")
    tracks = load_vru(data)
    groups = physical_groups(tracks)
    cyclists = [number for number, kind in enumerate(tracks.kinds) if kind == "cyclist"]
    assert (len(cyclists), len(set(groups[cyclists]))) == (494, 331)
    assert tracks.num_tracks == 494 + 1068
    assert tracks.repairs[REBUILT] == 2
