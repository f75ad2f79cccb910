"""What pages and docstrings name exists: files, functions, tests, links; and each equation is found from both sides."""

from __future__ import annotations

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SHOWN = [*PAGES, ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
FILES = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if ".venv" not in path.parts]
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
ROOMS = tuple(path.parent.name for path in (ROOT / "src" / "fastslow").glob("*/__init__.py"))


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


def links(page: Path) -> list[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not re.match(r"\w+:", link)]


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as they are made of their words."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    dead = []
    for link in links(page):
        path, _, anchor = link.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(link)
    assert dead == []


def test_every_name_in_the_library_that_a_docstring_gives_exists():
    missing = []
    for path in SOURCES:
        nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "body")]
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        text = "\n".join(ast.get_docstring(node) or "" for node in nodes if isinstance(node, kinds))
        names = set(re.findall(rf"`((?:{'|'.join(ROOMS)})(?:\.\w+)+|docs/\w+\.md)`", text))
        for name in names:
            if not ((ROOT / name).exists() if name.startswith("docs/") else resolves(name)):
                missing.append((path.name, name))
    assert missing == []


def rows_of_equations() -> list[list[str]]:
    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in re.findall(r"^\| \d.*\|$", text, re.MULTILINE)]


def numbers(text: str) -> set[int]:
    """Those of equations that a text names: "Eq. 3", "Eqs. 2-5", "Eqs. 3, 4 and 7"."""
    found = set()
    for part in re.findall(r"Eqs?\. ([\d, and-]+)", text):
        for first, last in re.findall(r"(\d+)(?:-(\d+))?", part):
            found |= set(range(int(first), int(last or first) + 1))
    return found


def test_every_equation_has_its_function_whose_docstring_says_its_number():
    for number in range(1, 12):
        rows = [row for row in rows_of_equations() if row[0] == str(number)]
        assert len(rows) == 1, number
        functions = re.findall(r"`((?:\w+\.){2,}\w+)`", rows[0][2])
        assert functions, number
        assert number in set().union(*(numbers(documented(name)) for name in functions)), (number, functions)


def documented(name: str) -> str:
    """The docstring of a name in the library, and that of its class."""
    parts, found, texts = name.split("."), None, []
    for cut in range(len(parts), 0, -1):
        try:
            found = import_module(".".join(["fastslow", *parts[:cut]]))
            break
        except ModuleNotFoundError:
            continue
    for attribute in parts[cut:]:
        found = getattr(found, attribute)
        texts.append(found.__doc__ or "")
    return "\n".join(texts)


def test_tests_stand_in_the_files_that_the_page_of_equations_says():
    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    file, count = "", 0
    for name in re.findall(r"`(tests/[\w/]+\.py|test_\w+)`", text):
        if name.startswith("tests/"):
            file = (ROOT / name).read_text(encoding="utf-8")
        else:
            assert f"def {name}(" in file, name
            count += 1
    assert count > 50
    assert all("`tests/" in row[3] and "`test_" in row[3] for row in rows_of_equations())
