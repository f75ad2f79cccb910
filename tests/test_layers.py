"""Imports go downward only: each folder may use those on lower lines, and neither its neighbours nor those above."""

from __future__ import annotations

import ast
from pathlib import Path

import fastslow

SOURCE = Path(fastslow.__file__).parent
FLOORS = (
    ("errors", "checks", "processes", "files", "claims", "config", "tensors", "ports", "alone"),
    ("core", "data"),
    ("methods",),
    ("protocol", "runtime"),
    ("export",),
    ("training", "estimators"),
    ("serving",),
    ("report", "play"),
    ("studies",),
    ("cli", "app"),
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
#: Breaches still to be mended; this list only gets shorter.
TO_MEND: set[tuple[str, str]] = set()


def imports(path: Path) -> set[str]:
    """First folder, or file, below `fastslow` of every import in a file, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("fastslow.")}
    return found & set(FLOOR)


def breaches() -> set[tuple[str, str]]:
    found = set()
    for path in SOURCE.rglob("*.py"):
        room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        if room in FLOOR:
            ground = FLOOR[room] == 0
            found |= {
                (room, other)
                for other in imports(path) - {room}
                if FLOOR[other] > FLOOR[room] or (FLOOR[other] == FLOOR[room] and not ground)
            }
    return found


def test_every_room_has_a_floor():
    rooms = {path.name.removesuffix(".py") for path in SOURCE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert rooms - set(FLOOR) <= {"__init__", "__main__", "__pycache__", "pretrained", "py.typed"}


def test_imports_go_downward_only():
    assert breaches() == TO_MEND
