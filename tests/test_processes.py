from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from fastslow import processes


def test_a_process_lives_until_it_has_ended():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert processes.is_alive(process.pid)
    process.communicate(b"\n")
    assert not processes.is_alive(process.pid)
    assert processes.is_alive(os.getpid())


def test_a_process_of_somebody_else_lives(monkeypatch):
    def denied(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", denied)
    assert processes.is_alive(1)
    monkeypatch.undo()
    assert processes.is_alive(10**30)  # no number of a process: nothing is concluded from it


@pytest.mark.parametrize(
    ("handle", "error", "code", "alive"), [(7, 0, 259, True), (7, 0, 1, False), (0, 87, 0, False), (0, 5, 0, True)]
)
def test_windows_is_asked_without_ending_the_process(monkeypatch, handle, error, code, alive):
    import ctypes

    def code_of(_, place):
        place._obj.value = code
        return 1

    kernel = SimpleNamespace(
        OpenProcess=lambda *_: handle, GetLastError=lambda: error, GetExitCodeProcess=code_of, CloseHandle=lambda _: 1
    )
    monkeypatch.setattr(ctypes, "windll", SimpleNamespace(kernel32=kernel), raising=False)
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(os, "kill", None)
    assert processes.is_alive(1234) is alive


def test_the_machine_has_a_name_without_the_files_of_linux(monkeypatch):
    def missing(_):
        raise FileNotFoundError

    assert processes.this_machine() == processes.this_machine()
    monkeypatch.setattr(os, "readlink", missing)
    assert len(processes.this_machine.__wrapped__()) == 8
