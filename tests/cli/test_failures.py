"""Whatever goes wrong ends in one line and an exit code; only our own faults end in a traceback."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import cyclopts
import pytest
import torch

from fastslow import cli
from fastslow.cli import main
from fastslow.cli.console import show_notes_as_lines
from fastslow.errors import InputError

LONG = "x" * 300
RESULTS = Path(__file__).parents[2] / "results"


def ends(arguments, capsys):
    """Exit code and what stderr says of a command that must end with one line."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    (line,) = capsys.readouterr().err.strip().splitlines()
    return stopped.value.code, line


@pytest.fixture
def failing(monkeypatch):
    """An app whose one command raises what it is told to."""

    def install(error):
        app = cyclopts.App(result_action="return_value", suppress_keyboard_interrupt=False)

        @app.default
        def command():
            raise error

        monkeypatch.setattr(cli, "app", app)

    monkeypatch.delenv("FASTSLOW_DEBUG", raising=False)
    return install


def a_full_disk_as_torch_says_it():
    return RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534")


def a_full_disk_as_safetensors_says_it():
    return RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


FAILURES = [
    (InputError("got way=1; a task needs at least 2 classes"), 2, "error: got way=1; a task needs at least 2 classes"),
    (InputError("a message\nof two lines"), 2, "error: a message of two lines"),
    (FileNotFoundError(errno.ENOENT, "No such file", "a.json"), 2, "error: a.json: No such file; give a path"),
    (FileExistsError(errno.EEXIST, "File exists", "runs"), 2, "error: runs: File exists"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory", "runs/a"), 2, "error: runs/a: Not a directory"),
    (IsADirectoryError(errno.EISDIR, "Is a directory", "runs"), 2, "error: runs: Is a directory"),
    (PermissionError(errno.EACCES, "Permission denied", "runs"), 2, "error: runs: Permission denied"),
    (OSError(errno.EROFS, "Read-only file system", "runs"), 2, "error: runs: Read-only file system"),
    (OSError(errno.ENAMETOOLONG, "File name too long", LONG), 2, "File name too long"),
    (OSError(errno.ENOSPC, "No space left on device"), 1, "error: No space left on device; free space"),
    (OSError(errno.EDQUOT, "Disk quota exceeded", "a.json"), 1, "error: a.json: Disk quota exceeded"),
    (OSError(errno.EIO, "Input/output error", "a.json"), 1, "error: a.json: Input/output error"),
    (OSError(errno.EMFILE, "Too many open files"), 1, "error: Too many open files"),
    (OSError("a text alone"), 1, "error: a text alone"),
    (OSError(), 1, "error: OSError"),
    (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), 1, "error: Connection timed out"),
    (BrokenPipeError(errno.EPIPE, "Broken pipe"), 1, "stopped reading"),
    (MemoryError(), 1, "error: memory or disk is full; free some"),
    (MemoryError("Unable to allocate 3 TiB"), 1, "Unable to allocate 3 TiB"),
    (torch.OutOfMemoryError("CUDA out of memory."), 1, "CUDA out of memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "can't allocate memory"),
    (a_full_disk_as_torch_says_it(), 1, "memory or disk is full"),
    (a_full_disk_as_safetensors_says_it(), 1, "No space left on device"),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), 2, "not UTF-8"),
    (UnicodeEncodeError("ascii", "ä", 0, 1, "ordinal not in range(128)"), 2, "not UTF-8"),
    (RecursionError("maximum recursion depth exceeded"), 2, "nested too deeply"),
    (KeyboardInterrupt(), 130, "interrupted"),
]


@pytest.mark.parametrize(("error", "code", "text"), FAILURES, ids=lambda value: type(value).__name__)
def test_a_failure_is_one_line_and_its_code(error, code, text, failing, capsys):
    failing(error)
    got, line = ends([], capsys)
    assert got == code
    assert text in line


@pytest.mark.parametrize("error", [ValueError("a bug"), RuntimeError("shapes differ"), KeyError("x"), TypeError("no")])
def test_a_fault_of_ours_keeps_its_traceback(error, failing):
    failing(error)
    with pytest.raises(type(error)):
        main([])


@pytest.mark.parametrize("error", [InputError("wrong"), OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_every_traceback_is_shown_on_request(error, failing, monkeypatch):
    failing(error)
    monkeypatch.setenv("FASTSLOW_DEBUG", "1")
    with pytest.raises(type(error)):
        main([])


EVALUATE = ("evaluate", "--model", "pretrained:omniglot-5w1s-fast", "--episodes", "1000000000", "--json")
#: Commands that write, up to the path that they write to.
WRITERS = [
    EVALUATE,
    ("pack", "pretrained:omniglot-5w1s-fast"),
    ("export", "--model", "pretrained:omniglot-5w1s-fast", "--out"),
    ("table", ".", "--out"),
    ("report", ".", "--out"),
    ("data", "preview", "--out"),
    ("quickstart", "--minutes", "1000", "--out"),
    ("train", "fewshot", "--steps", "1000000", "--runs"),
]


@pytest.mark.parametrize("place", ["in-the-way/below", "in-the-way/far/below", LONG])
@pytest.mark.parametrize("writer", WRITERS, ids=lambda words: words[0])
def test_where_nothing_can_be_written_nothing_is_begun(writer, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in-the-way").write_text("a file", encoding="utf-8")
    endings = {"pack": ".safetensors"}
    code, line = ends([*writer, place + endings.get(writer[0], "")], capsys)
    assert code == 2
    assert line.startswith("error: ")
    assert place[:10] in line or "too long" in line
    assert [path.name for path in tmp_path.iterdir()] == ["in-the-way"]


@pytest.mark.parametrize(
    "writer",
    [
        ("export", "--model", "pretrained:omniglot-5w1s-fast", "--out"),
        ("play", "--export-site"),
        ("quickstart", "--minutes", "1000", "--out"),
        ("train", "fewshot", "--steps", "1000000", "--runs"),
        ("reproduce", "sharing", "--results"),
    ],
    ids=lambda words: words[0],
)
def test_a_file_where_a_folder_is_needed_is_named(writer, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.html").write_text("a file", encoding="utf-8")
    code, line = ends([*writer, "page.html"], capsys)
    assert code == 2
    assert line.startswith("error: page.html is a file, and a folder is needed there: give a folder that you may write")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == "a file"


@pytest.mark.parametrize("name", ["m.pt", "m.bin", "m", "m.safetensors.zip", "m.SAFETENSORS "])
def test_a_packed_model_ends_in_safetensors(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, line = ends(["pack", "no-such-model", name], capsys)
    assert code == 2
    assert "ends in .safetensors" in line
    assert not list(tmp_path.iterdir())


BAD_NAMES = {
    "../x": "'/'", "a/b": "'/'", "/x": "'/'", "[/x]": "'/'", "a\\b": "'\\\\'", "..": "cannot be a folder", "": "letter",
    ".": "cannot be a folder", "  ": "letter", "CON": "cannot be a folder", "nul.txt": "cannot be a folder",
    "a ": "cannot be a folder", "a.": "cannot be a folder", "x" * 101: "at most 100", "字" * 90: "at most 100",
    "a\nb": "'\\n'", "a:b": "':'",
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
@pytest.mark.parametrize("by_file", [False, True])
def test_a_name_that_is_no_folder_is_refused_before_work(name, by_file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if by_file:
        (tmp_path / "options.yaml").write_text(f"name: {json.dumps(name)}\n", encoding="utf-8")
    given = ["--config", "options.yaml"] if by_file else [f"--name={name}"]
    code, line = ends(["train", "fewshot", "--steps", "1000000", *given], capsys)
    assert code == 2
    assert BAD_NAMES[name] in line
    assert len(line) < 300
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("options", [["--device", "tpu"], ["--model.image-size", "0"], ["--model.nope", "1"]])
def test_an_option_that_cannot_be_is_refused_before_a_folder_is_made(options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, _ = ends(["train", "fewshot", "--steps", "1000000", *options], capsys)
    assert code == 2
    assert not list(tmp_path.iterdir())


def in_a_process(*arguments, code=None, **options):
    """A command in a process of its own; `code` is run in place of the command line's own entry."""
    words = ["-c", code] if code else ["-m", "fastslow", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **options.pop("env", {})}
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([sys.executable, *words], check=False, env=environment, timeout=120, **options)


#: Prints a finished measurement as `evaluate` does, of data with a name that is markup, of characters beyond ASCII.
MEASURED = """
import cyclopts, sys
from fastslow import cli
from fastslow.cli.console import console
from fastslow.protocol.result import Cell, Interval, Provenance, Result
from fastslow.report.tables import accuracy_table
app = cyclopts.App(result_action="return_value")
@app.default
def measure():
    data = NAME.encode("utf-8", "replace").decode()  # half a character is refused before any work
    number = Interval(0.987, 0.001, 10)
    provenance = Provenance("", {}, protocol={"n_way": 5, "n_shot": 1, "part": "test"})
    result = Result(Cell("fewshot", "[/y]", data, {}, 0), {"accuracy": number, "[x]": number}, provenance)
    console().print(accuracy_table(result))
    print("left behind: runs/" + NAME, file=sys.stderr)
cli.app = app
cli.main([])
"""
ASCII = [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}]


@pytest.mark.parametrize("env", [*ASCII, {"PYTHONIOENCODING": "utf-8"}, {"PYTHONIOENCODING": "cp1252"}], ids=str)
@pytest.mark.parametrize("name", ["[/x]", "[bold]", "日本 ±", "\udcff", ":smile:", "[link=x]"], ids=ascii)
def test_a_console_that_lacks_characters_does_not_cost_a_measurement(env, name):
    done = in_a_process(code=f"NAME = {name!a}\n{MEASURED}", env=env)
    assert done.returncode == 0, done.stderr
    assert b"98.70" in done.stdout
    assert b"[/y]" in done.stdout
    assert b"[x]" in done.stdout
    if name.isascii():
        assert name.encode() in done.stdout
        assert name.encode() in done.stderr


@pytest.mark.parametrize("command", [["train", "--help"], ["table", str(RESULTS)]], ids=lambda words: words[0])
def test_a_reader_that_has_gone_is_no_traceback(command):
    reading, writing = os.pipe()
    os.close(reading)
    done = in_a_process(*command, stdout=writing)
    os.close(writing)
    assert done.returncode == 1
    said = done.stderr.decode().splitlines()
    assert said in ([], ["error: whatever read the output stopped reading; the rest is lost"])


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs a device that is always full")
def test_a_full_disk_behind_the_output_is_no_traceback():
    with open("/dev/full", "w") as full:
        done = in_a_process("data", "list", stdout=full)
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert "No space left on device" in line


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
def test_a_disk_that_fills_up_while_writing_is_no_traceback_and_leaves_nothing(tmp_path):
    code = f"""
import resource
from fastslow.cli import main
from fastslow.cli.console import show_notes_as_lines
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
main(["table", {str(RESULTS)!r}, "--out", {str(tmp_path / "table.md")!r}])
"""
    done = in_a_process(code=code)
    assert done.returncode in (1, 2)
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith("error: ")
    assert not list(tmp_path.iterdir())


def test_no_output_at_all_is_no_traceback(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(SystemExit, match="2"):
        main(["no-such-command"])


def test_ctrl_c_while_the_command_is_being_imported_is_no_traceback(tmp_path):
    (tmp_path / "cyclopts.py").write_text("raise KeyboardInterrupt", encoding="utf-8")
    path = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)]), "FASTSLOW_DEBUG": ""}
    script = "from fastslow.__main__ import main; main()"
    for done in (in_a_process("--help", env=path), in_a_process(code=script, env=path)):
        assert (done.returncode, done.stderr.decode().splitlines()) == (130, ["interrupted"])
    done = in_a_process("--help", env={**path, "FASTSLOW_DEBUG": "1"})
    assert b"Traceback" in done.stderr


def test_the_command_is_the_entry_that_catches_it():
    project = tomllib.loads((RESULTS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"fastslow": "fastslow.__main__:main"}


def test_what_the_library_warns_users_of_is_a_line_and_programmers_see_the_place(monkeypatch, recwarn):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    show_notes_as_lines()
    warnings.warn("all are taken\nfor photographs", stacklevel=1)
    warnings.warn("of a former version", FutureWarning, stacklevel=1)
    note, other = (warnings.formatwarning(w.message, w.category, w.filename, w.lineno, w.line) for w in recwarn.list)
    assert note == "note: all are taken for photographs\n"
    assert "test_failures.py" in other
    assert "FutureWarning: of a former version\n" in other
