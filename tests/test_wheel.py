"""What goes into the wheel; that it works in a new environment is tried by `make wheel`."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "fastslow"


def test_every_file_of_the_package_that_is_no_code_is_named_as_its_data():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["fastslow"]
    there = {path for path in PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    taken = {path for pattern in patterns for path in PACKAGE.glob(pattern)}
    assert there - taken == set()
    assert all(any(PACKAGE.glob(pattern)) for pattern in patterns)


def test_every_folder_with_code_is_a_package():
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()
