from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import pytest

from fastslow import claims
from fastslow.claims import CLAIM_NAME, Claim, InUseError
from fastslow.errors import InputError
from fastslow.processes import this_machine

#: Claims a folder, says so, and holds it until it is killed or its input ends.
HOLDER = """
import sys
from fastslow.claims import Claim
claim = Claim(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / "run"`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline().strip() == b"held"
    yield process
    process.kill()
    process.communicate()


def test_a_folder_held_by_another_process_is_refused_by_its_number(tmp_path, holder):
    with pytest.raises(InputError, match=rf"run is in use by process {holder.pid} on .* since .*; wait for its end"):
        Claim(tmp_path / "run")
    assert holder.poll() is None
    assert json.loads((tmp_path / "run" / CLAIM_NAME).read_text())["pid"] == holder.pid


def test_the_claim_of_a_killed_process_can_be_taken_over(tmp_path, holder):
    holder.kill()
    holder.communicate()
    assert (tmp_path / "run" / CLAIM_NAME).exists()  # nobody cleared up
    with Claim(tmp_path / "run"):
        assert json.loads((tmp_path / "run" / CLAIM_NAME).read_text())["pid"] == os.getpid()
    assert list((tmp_path / "run").iterdir()) == []


def test_of_many_at_once_one_gets_the_folder(tmp_path):
    code = HOLDER.replace("claim = Claim", "sys.stdin.readline(); claim = Claim")
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = [subprocess.Popen(command, **pipes) for _ in range(4)]
    for process in processes:
        process.stdin.write(b"go\n")
        process.stdin.flush()
    # The refused end by themselves; the one that holds the folder ends when its input does.
    said = [process.stdout.readline() for process in processes]
    outputs = [process.communicate() for process in processes]
    assert sorted(said) == [b"", b"", b"", b"held\n"]
    assert sum(b"is in use by" in error for _, error in outputs) == 3


def test_the_same_process_is_refused_too(tmp_path):
    with Claim(str(tmp_path)), pytest.raises(InputError, match=f"in use by process {os.getpid()}"):
        Claim(tmp_path)
    with Claim(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_folders_made_for_a_claim_go_again_unless_something_is_in_them(tmp_path):
    with Claim(tmp_path / "a" / "b"):
        pass
    assert list(tmp_path.iterdir()) == []
    with Claim(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").write_text("kept")
    assert (tmp_path / "a" / "b" / "file").exists()
    claim = Claim(tmp_path / "a" / "b")
    claim.release()
    claim.release()  # twice is once
    assert (tmp_path / "a" / "b" / "file").exists()


def test_places_that_cannot_be_claimed_are_refused_in_words(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "odd" / CLAIM_NAME).mkdir(parents=True)
    (tmp_path / "loop").mkdir()
    (tmp_path / "loop" / CLAIM_NAME).symlink_to(tmp_path / "nowhere")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "file/below", "odd", "n" * 300, "link", "link/below"):
        with pytest.raises(InputError, match="cannot be written"):
            Claim(tmp_path / name)
    with pytest.raises(InputError, match=f"loop is in use by another process; .*delete {CLAIM_NAME}"):
        Claim(tmp_path / "loop")


def no_locks(_):
    raise OSError(errno.ENOLCK, "No locks available")


def write_holder(folder, pid, machine):
    (folder / CLAIM_NAME).write_text(json.dumps({"pid": pid, "machine": machine, "host": "h", "since": "s"}))


def test_without_locks_the_file_itself_is_the_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "_lock_on_unix", no_locks)
    with Claim(tmp_path), pytest.raises(InputError, match="is in use by process"):
        Claim(tmp_path)
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    write_holder(tmp_path, int(dead.stdout), this_machine())
    with Claim(tmp_path):
        pass
    write_holder(tmp_path, int(dead.stdout), "elsewhere")  # where nobody can ask
    with pytest.raises(InputError, match=r"is in use by process .* on 'h' since 's'"):
        Claim(tmp_path)
    (tmp_path / CLAIM_NAME).write_text("")  # made, and not yet signed
    with pytest.raises(InputError, match="is in use by another process"):
        Claim(tmp_path)


def test_a_claim_removed_while_it_was_being_taken_is_taken_anew(tmp_path, monkeypatch):
    lock, calls = claims._lock, []

    def late(descriptor):
        if not calls:
            (tmp_path / CLAIM_NAME).unlink()  # its holder gave it up just before
        calls.append(descriptor)
        return lock(descriptor)

    monkeypatch.setattr(claims, "_lock", late)
    with Claim(tmp_path):
        assert len(calls) == 2
        assert (tmp_path / CLAIM_NAME).exists()


def test_a_folder_that_goes_with_another_claim_this_very_moment_is_made_again(tmp_path, monkeypatch):
    real, folder, calls = claims._open, tmp_path / "made" / "for it", []

    def late(path):
        calls.append(path)
        if len(calls) == 1:
            path.parent.rmdir()
            path.parent.parent.rmdir()
        return real(path)

    monkeypatch.setattr(claims, "_open", late)
    with Claim(folder):
        assert len(calls) == 2
        with pytest.raises(InUseError, match="is in use by process"):
            Claim(folder)
