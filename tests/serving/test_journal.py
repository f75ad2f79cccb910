"""A journal tells a record that was cut short from one that was damaged."""

from __future__ import annotations

import os

import pytest

from fastslow.errors import InputError
from fastslow.serving.journal import Journal

RECORDS = [{"do": "learn", "labels": ["é"]}, {"do": "undo"}, {"do": "forget", "example": 3}]


def written(path, records=RECORDS):
    journal = Journal.create(path, {"format": 1})
    ends = [journal.num_synced_bytes]
    for record in records:
        journal.append(record)
        journal.sync()
        ends.append(journal.num_synced_bytes)
    journal.close()
    return ends


def read(path):
    journal = Journal(path)
    journal.close()
    return journal.found


def test_what_was_synced_is_read_back(tmp_path):
    written(tmp_path / "j")
    journal = Journal(tmp_path / "j")
    assert (journal.header, journal.found) == ({"format": 1}, RECORDS)
    journal.append({"do": "undo"})
    journal.sync()
    journal.close()
    assert read(tmp_path / "j") == [*RECORDS, {"do": "undo"}]


def test_what_was_not_synced_is_not_there(tmp_path):
    path = tmp_path / "j"
    written(path)
    journal = Journal(path)
    journal.append({"do": "undo"})
    journal.close()
    assert read(path) == RECORDS


def test_a_last_record_that_is_cut_short_is_taken_off_wherever_it_was_cut(tmp_path):
    path = tmp_path / "j"
    *_, before, end = written(path)
    content = path.read_bytes()
    for cut in range(before, end):
        path.write_bytes(content[:cut])
        assert read(path) == RECORDS[:-1]
        assert path.stat().st_size == before


@pytest.mark.parametrize("there", [0, 8, 30])
def test_zeros_in_the_place_of_a_last_record_are_taken_off(tmp_path, there):
    path = tmp_path / "j"
    *_, before, end = written(path)
    content = path.read_bytes()
    path.write_bytes(
        content[: before + there] + bytes(end - before - there) if there != 8 else content[:before] + bytes(99)
    )
    assert read(path) == RECORDS[:-1]


def test_a_byte_that_has_changed_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "j"
    written(path)
    content = bytearray(path.read_bytes())
    for place in range(len(content)):
        content[place] ^= 0xFF
        path.write_bytes(content)
        with pytest.raises(InputError, match="is damaged"):
            Journal(path)
        content[place] ^= 0xFF


def test_records_that_are_missing_doubled_or_moved_are_found(tmp_path):
    path = tmp_path / "j"
    ends = written(path)
    content = path.read_bytes()
    head, *parts = (content[a:b] for a, b in zip([0, *ends], ends, strict=False))
    for order in ([1, 2], [0, 2], [0, 0, 1, 2], [1, 0, 2]):
        path.write_bytes(head + b"".join(parts[i] for i in order))
        with pytest.raises(InputError, match=r"record \d, is damaged"):
            Journal(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="no first record"):
        Journal(path)


def test_a_disk_that_is_full_in_the_midst_of_a_record_leaves_those_before(tmp_path, monkeypatch):
    path = tmp_path / "j"
    written(path)
    journal = Journal(path)
    journal.append({"do": "learn", "labels": ["a"] * 50})
    real = os.write

    def half(descriptor, content):
        if len(content) < 100:
            raise OSError(28, "No space left on device")
        return real(descriptor, content[:100])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.sync()
    journal.roll_back()
    journal.close()
    monkeypatch.undo()
    assert read(path) == RECORDS
