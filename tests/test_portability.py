"""Without the modules that only Unix has, and in a locale without UTF-8."""

from __future__ import annotations

import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastslow

#: What there is no module of on Windows; each is imported late, or not at all.
UNIX_ONLY = (
    "crypt",
    "curses",
    "fcntl",
    "grp",
    "nis",
    "posix_ipc",
    "pty",
    "pwd",
    "resource",
    "syslog",
    "termios",
    "tty",
)
#: Imports every module of the package while those are missing. What other packages import of them is theirs: they try.
HIDING = """
import builtins, importlib, pkgutil, sys
real = builtins.__import__

def without_unix(name, importer=None, *rest):
    if name.partition(".")[0] in {hidden} and (importer or {{}}).get("__name__", "").partition(".")[0] == "fastslow":
        raise ImportError("there is no " + name + " on Windows")
    return real(name, importer, *rest)

builtins.__import__ = without_unix
import fastslow
for module in pkgutil.walk_packages(fastslow.__path__, "fastslow."):
    if module.name != "fastslow.__main__":
        importlib.import_module(module.name)
from fastslow.protocol.provenance import peak_memory_mib
print(peak_memory_mib())
"""
#: No UTF-8 anywhere: neither Python's own mode nor the locale that it would change to by itself.
ASCII = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
WRITING = """
import sys
from pathlib import Path
from fastslow.config import load_config
from fastslow.files import read_json, read_json_lines, write_json, write_text
from fastslow.tensors import load_tensors, save_tensors
from fastslow.training.run import Run
import locale, torch
assert locale.getpreferredencoding(False).lower() not in ("utf-8", "utf8")
folder = Path(sys.argv[1])
name = bytes([195, 169]).decode()  # e with an accent, without one in this text
write_json(folder / "a.json", {"name": name})
assert read_json(folder / "a.json") == {"name": name}
write_text(folder / "a.yaml", "name: " + name + chr(10))
assert load_config(folder / "a.yaml") == {"name": name}
save_tensors(folder / "a.safetensors", {name: torch.ones(2)}, {"name": name})
assert load_tensors(folder / "a.safetensors")[1] == {"name": name}
with Run(folder / "run") as run:
    run.log(name=name)
    assert run.read_metrics() == [{"name": name}]
    run.save_checkpoint({"name": name})
assert Run.load_checkpoint(folder / "run") == {"name": name}
try:
    write_text(name, "in a name that this locale has no letters for")
except ValueError as error:
    print(str(error).encode("ascii", "replace").decode())
"""


def python(*arguments, cwd=None, **environment):
    source = str(Path(fastslow.__file__).parents[1])
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True,
        env={**os.environ, "PYTHONPATH": source, **environment}, timeout=120, check=False, cwd=cwd,
    )  # fmt: skip


def test_every_module_can_be_imported_without_those_of_unix():
    names = {module.name for module in pkgutil.walk_packages(fastslow.__path__, "fastslow.")}
    assert {"fastslow.claims", "fastslow.protocol.provenance", "fastslow.training.run"} <= names
    done = python("-c", HIDING.format(hidden=UNIX_ONLY))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().strip() == "None"


@pytest.fixture
def accented(tmp_path):
    folder = tmp_path / "Größe é"
    folder.mkdir()
    return folder


def test_help_is_shown_in_a_locale_without_utf_8(accented):
    done = python("-m", "fastslow", "--help", cwd=accented, **ASCII)
    assert done.returncode == 0, done.stderr.decode()
    assert b"train" in done.stdout


def test_texts_are_utf_8_in_a_locale_without_it(accented):
    done = python("-c", WRITING, accented, **ASCII)
    assert done.returncode == 0, done.stderr.decode()
    assert (accented / "run" / "metrics.jsonl").exists()
    assert (accented / "a.yaml").read_bytes() == "name: é\n".encode()


def test_a_path_with_an_accent_is_refused_in_words_in_a_locale_without_it(accented):
    done = python("-m", "fastslow", "evaluate", "--model", accented / "none", "--json", accented / "out.json", **ASCII)
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert b"error: there is no model" in done.stderr
