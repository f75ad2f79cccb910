"""What the pages name exists: files, functions, tests."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
FILES = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
ROOMS = ("core", "data", "methods", "protocol", "training", "estimators", "report", "studies")


def named(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text(encoding="utf-8"))


def resolves(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(["fastslow", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[cut:]:
            if not hasattr(found, attribute) and attribute not in getattr(found, "__annotations__", {}):
                return attribute == "decoder"  # made in a constructor
            found = getattr(found, attribute, None)
        return True
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_exists(page):
    paths = {name.split(":")[0] for name in named(page) if re.fullmatch(r"[\w/]+\.py(: \w+)?", name)}
    assert {path for path in paths if not any(f"/{file}".endswith(f"/{path}") for file in FILES)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_in_the_library_that_a_page_gives_exists(page):
    names = {name for name in named(page) if re.fullmatch(rf"({'|'.join(ROOMS)})(\.\w+)+", name)}
    assert {name for name in names if not name.endswith(".py") and not resolves(name)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page):
    assert {name for name in named(page) if re.fullmatch(r"test_\w+", name) and f"def {name}(" not in TESTS} == set()
