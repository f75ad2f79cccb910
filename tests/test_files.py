from __future__ import annotations

import errno
import io
import json
import math
import os
import pickle
import stat
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fastslow import files
from fastslow.errors import InputError
from fastslow.files import (
    MAX_NESTING,
    UnwritableError,
    from_json,
    read_json,
    read_json_lines,
    read_text,
    refuse_unwritable,
    refuse_unwritable_folder,
    to_json,
    write_atomically,
    write_json,
    write_text,
)
from fastslow.processes import this_machine
from mutations import FUZZ, attempt, damaged

CONTENT = {
    "way": 5,
    "rates": [0.001, 1e-5, -3.5],
    "name": "Glyphen – é",
    "deep": {"a": [{"b": None}, True]},
    "n": 10**20,
}


def fail_half_way(path):
    path.write_text("half")
    raise RuntimeError("the writer is broken")


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="the writer is broken"):
        write_atomically(path, fail_half_way)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_first_writer_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="the writer is broken"):
        write_atomically(tmp_path / "file.txt", fail_half_way)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_the_old_one_until_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    path.parent.mkdir()
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # the same file system, or the rename would be a copy

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path, flushed = tmp_path / "file.txt", []
    path.write_text("old")
    sync = os.fsync

    def spy(descriptor):
        flushed.append((os.fstat(descriptor).st_size, path.read_text()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    write_text(path, "the new content")
    assert flushed[0] == (15, "old")
    assert [name for _, name in flushed[1:]] == ["the new content"]  # the folder, after the rename


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_what_the_system_says_against_writing_is_put_in_words(tmp_path, code):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def refuse(temporary):
        temporary.write_text("ha")
        raise OSError(code, os.strerror(code))

    with pytest.raises(InputError, match=rf"file\.txt cannot be written \({os.strerror(code)}\): free space, or give"):
        write_atomically(path, refuse)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_where_no_file_can_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path, tmp_path / "file" / "below.json", Path(os.devnull), tmp_path / "a\0b"):
        for write in (refuse_unwritable, lambda path: write_json(path, {})):
            with pytest.raises(InputError, match="cannot be written: give a file in a folder that you may write to"):
                write(path)
            with pytest.raises(InputError, match="cannot be written"):
                write(str(path))
    write_json(tmp_path / "new" / "folder" / "x.json", {})
    assert (tmp_path / "file").read_text() == "kept"


def test_folders_in_which_no_file_can_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "old" / "a").mkdir(parents=True)
    for folder in (tmp_path / "file", tmp_path / "file" / "below", str(tmp_path / "file" / "far" / "below")):
        with pytest.raises(
            InputError, match=r"file is a file, and a folder is needed there: give a folder that you may"
        ):
            refuse_unwritable_folder(folder, "a", "b")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for folder in (tmp_path / "link", tmp_path / "link" / "far" / "below"):
        with pytest.raises(InputError, match=r"link is a link to nothing, and a folder is needed there: give a folder"):
            refuse_unwritable_folder(folder, "a")
    with pytest.raises(InputError, match=r"old.a cannot be written: give a folder that you may write to, or that is"):
        refuse_unwritable_folder(tmp_path / "old", "b", "a")
    for folder in (tmp_path / ("n" * 300), tmp_path / "a\0b", Path("\ud800")):
        with pytest.raises(InputError, match=r"cannot be written.*: give a folder"):
            refuse_unwritable_folder(folder, "a")
    refuse_unwritable_folder(tmp_path / "new" / "far", "a", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "old"]


def test_a_refusal_to_write_outlives_its_process(tmp_path):
    with pytest.raises(UnwritableError) as refused:
        refuse_unwritable(tmp_path)
    again = pickle.loads(pickle.dumps(refused.value))
    assert (str(again), again.what) == (str(refused.value), refused.value.what)


@pytest.mark.parametrize("name", ["n" * 300, "é" * 200, "/".join(["n" * 200] * 30), "\ud800"], ids=len)
def test_names_that_cannot_be_are_refused_in_few_words(tmp_path, name):
    with pytest.raises(InputError, match="cannot be written") as refusal:
        write_text(tmp_path / name, "text")
    assert len(str(refusal.value)) < 500
    assert str(refusal.value).isprintable()


def test_the_longest_names_that_can_be_are_written(tmp_path):
    write_text(tmp_path / ("n" * 255), "text")
    write_text(tmp_path / ("é" * 127), "text")
    assert len(list(tmp_path.iterdir())) == 2


def dead_process():
    done = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    return int(done.stdout)


def test_what_a_killed_writer_left_behind_goes_with_the_next_write(tmp_path):
    path = tmp_path / "file.txt"
    code = (
        "import os, sys; from fastslow.files import write_atomically\n"
        "write_atomically(sys.argv[1], lambda temporary: (temporary.write_text('half'), os._exit(9)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    (stale,) = tmp_path.iterdir()
    write_text(tmp_path / "other.txt", "no concern of it")
    assert stale.exists()
    write_text(path, "whole")
    assert not stale.exists()
    assert path.read_text() == "whole"


def test_temporary_files_of_living_writers_and_strangers_stay(tmp_path):
    path, prefix = tmp_path / "file.txt", files._prefix(Path("file.txt"))
    dead = dead_process()
    names = {
        "living": f"{prefix}{this_machine()}-{os.getppid()}-1.tmp",
        "ours": f"{prefix}{this_machine()}-{os.getpid()}-2.tmp",
        "elsewhere": f"{prefix}00000000-{dead}-3.tmp", "user's": f"{prefix}notes.txt", "damaged": f"{prefix}x.tmp",
    }  # fmt: skip
    gone = {"dead": f"{prefix}{this_machine()}-{dead}-4.tmp", "old": f"{prefix}00000000-{os.getpid()}-5.tmp"}
    for name in (*names.values(), *gone.values()):
        (tmp_path / name).write_text("half")
    long_ago = time.time() - 25 * 3600
    os.utime(tmp_path / gone["old"], (long_ago, long_ago))
    write_text(path, "whole")
    assert {found.name for found in tmp_path.iterdir()} == {"file.txt", *names.values()}


def test_two_threads_writing_one_file_leave_one_of_both(tmp_path):
    path = tmp_path / "file.txt"

    def write(temporary):
        temporary.write_text("outer")
        write_text(path, "inner")  # as another thread would, half way

    write_atomically(path, write)
    assert path.read_text() == "outer"
    assert list(tmp_path.iterdir()) == [path]


def test_json_comes_back_as_it_was(tmp_path):
    write_json(str(tmp_path / "a" / "b" / "file.json"), CONTENT)
    assert read_json(str(tmp_path / "a" / "b" / "file.json")) == CONTENT
    assert read_json(tmp_path / "a" / "b" / "file.json") == CONTENT
    assert (tmp_path / "a" / "b" / "file.json").read_text(encoding="utf-8").endswith("}\n")


def test_what_json_has_no_word_for_is_written_as_what_comes_nearest():
    odd = {
        "path": Path("a") / "b", "nan": math.nan, "inf": [math.inf, (-math.inf, 1)], "array": np.array([1.5, np.nan]),
        "number": np.float32(0.5), "whole": np.int64(3), "tensor": torch.tensor([[1, 2]]), "flag": np.bool_(True),
    }  # fmt: skip
    assert json.loads(to_json(odd)) == {
        "path": str(Path("a") / "b"), "nan": None, "inf": [None, [None, 1]], "array": [1.5, None],
        "number": 0.5, "whole": 3, "tensor": [[1, 2]], "flag": True,
    }  # fmt: skip


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"way": 5})
    with pytest.raises(TypeError):
        write_json(path, {("a", "tuple"): 1})
    assert json.loads(path.read_text()) == {"way": 5}


def test_text_is_utf_8_whatever_it_holds(tmp_path):
    write_text(tmp_path / "file.txt", "é – \udc80")
    assert (tmp_path / "file.txt").read_bytes() == "é – \\udc80".encode()
    assert read_text(tmp_path / "file.txt") == "é – \\udc80"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b"[1]", "holds a list; an object of names and values was expected"),
        (b'"text"', "holds a text; an object"),
        (b'{"a": 1, "b": 2, "a": 1}', "is no JSON \\('a' stands there twice\\)"),
        (b'{"a": [{"b": NaN}]}', "is no JSON \\(NaN is no number\\)"),
        (b'{"a": -Infinity}', "is no JSON \\(-Infinity is no number\\)"),
        (b'{"a": 1e999}', "is no JSON \\('1e999' is no number\\)"),
        (b'{"a": ' + b"9" * 5000 + b"}", "is no JSON"),
        (b'{"a": 1', "is no JSON"),
        (b'{"a": "\xff"}', "is no text in UTF-8 \\(invalid start byte\\); save it as UTF-8"),
        ('{"a": "é"}'.encode("utf-16"), "is no text in UTF-8"),
        (b'{"a": ' + b"[" * 200_000, "is nested too deep; 64 levels are the most"),
        (b'{"a": ' * 100 + b"1" + b"}" * 100, "is nested too deep; 64 levels are the most"),
        (b'{"a": "' + b"x" * (2 * files.MAX_TEXT_BYTES) + b'"}', "is larger than 2 MiB, the most that is read"),
    ],
    ids=range(14),
)
def test_what_is_no_json_is_refused_by_name_in_few_words(tmp_path, content, message):
    (tmp_path / "file.json").write_bytes(content)
    with pytest.raises(InputError, match=rf"file\.json {message}") as refusal:
        read_json(tmp_path / "file.json")
    assert len(str(refusal.value)) < 500
    (tmp_path / "file.jsonl").write_bytes(b'{"a": 1}\n' + content.replace(b"\n", b" ") + b"\n")
    if content:
        with pytest.raises(InputError, match=r"file\.jsonl"):
            read_json_lines(tmp_path / "file.jsonl")


def test_as_deep_as_is_promised_can_be_read():
    text = '{"a": ' * MAX_NESTING + "1" + "}" * MAX_NESTING
    assert from_json(text, "it") == json.loads(text)


def test_what_is_missing_a_folder_or_locked_is_refused_by_name(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"there is no file .*file\.json"):
        read_json(tmp_path / "file.json")
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(InputError, match="is a folder, a device or a pipe; give a file"):
            read_json(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_json("a\0b")
    write_json(tmp_path / "file.json", {})

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(InputError, match=r"file\.json cannot be read \(Permission denied\); see that you may read it"):
        read_json(tmp_path / "file.json")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with a name are of Unix")
def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is a folder, a device or a pipe"):
        read_json(tmp_path / "pipe")
    with pytest.raises(InputError, match="cannot be written"):
        write_json(tmp_path / "pipe", {})


def test_lines_come_back_in_order_and_a_damaged_one_is_named(tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_text('{"a": 1}\n\n{"a": "\u2028"}\n', encoding="utf-8")
    assert read_json_lines(path) == [{"a": 1}, {"a": "\u2028"}]
    path.write_text('{"a": 1}\n{"a": 1}\n{"a"')
    with pytest.raises(InputError, match=r"file\.jsonl, line 3, is no JSON"):
        read_json_lines(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(), inside, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_every_plain_value_comes_back(content):
    back = from_json(to_json(content), "it")
    assert back == content
    assert repr(back) == repr(content)  # true is not 1, nor 1.0


@FUZZ
@given(damaged(to_json(CONTENT).encode()))
def test_damaged_json_is_refused_or_read_as_json(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content)
    back, message = attempt(read_json, path)
    if back is None:
        assert "file.json" in message
        assert len(message) < 500
    else:
        assert back == json.loads(content)
        assert from_json(to_json(back), "it") == back


def test_a_file_larger_than_memory_is_refused_by_name(tmp_path, monkeypatch):
    class Huge(io.BytesIO):
        def read(self, _):
            raise MemoryError

    path = tmp_path / "huge.pt"
    path.write_bytes(b"x")
    monkeypatch.setattr("builtins.open", lambda *_, **__: Huge())
    with pytest.raises(InputError, match=r"huge\.pt has .* MiB, more than fit into memory"):
        files.read_bytes(path, 2**40)
