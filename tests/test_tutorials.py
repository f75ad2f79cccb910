"""Each tutorial runs in an empty folder and prints what it says; its pictures are those it makes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from PIL import Image

from fastslow.methods.config import METHODS
from pages import code_and_output

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted(path for path in (DOCS / "tutorials").glob("*.md") if path.name != "index.md")
each = pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)


def pictures(page):
    return re.findall(r"!\[[^\]]+\]\(\.\./images/([\w-]+\.png)\)", page.read_text(encoding="utf-8"))


@pytest.mark.no_cover  # lines that others run
@pytest.mark.no_cover  # what it runs, others run
@each
def test_it_prints_what_it_says_and_makes_its_pictures(page, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    before = dict(METHODS)
    names = {"__name__": "__main__"}
    try:
        for code, output in code_and_output(page.read_text(encoding="utf-8")):
            if saved := re.match(r"# (\w+\.py)\n", code):
                (tmp_path / saved[1]).write_text(code, encoding="utf-8")
                continue
            exec(compile(code, page.name, "exec"), names)
            said = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
            if output is not None:
                assert said == output.splitlines()
    finally:
        for name in METHODS.keys() - before.keys():
            sys.modules.pop(METHODS.pop(name), None)
    for name in pictures(page):
        committed = DOCS / "images" / name
        assert committed.stat().st_size < 60_000
        with Image.open(committed) as kept, Image.open(tmp_path / name) as made:
            assert kept.size == made.size


def test_there_are_four_and_each_compares_what_it_prints():
    assert [page.stem for page in TUTORIALS] == ["folder", "method", "stream", "tracks"]
    for page in TUTORIALS:
        assert sum(output is not None for _, output in code_and_output(page.read_text(encoding="utf-8"))) >= 1
