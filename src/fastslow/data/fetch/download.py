"""Downloads one file over HTTP: resumed where it was cut off, and checked by checksum."""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 16
_ATTEMPTS = 3

Report = Callable[[int, int | None], None]  # bytes here so far, bytes in all (None: not known)


def complete_part(url: str, part: Path, checksums: Mapping[str, str]) -> str | None:
    """Completes a partial file from one address, trying again while that brings bytes.

    Args:
        url: the address of the whole file.
        part: what is here of it; it may be absent. Removed when it is complete and wrong.
        checksums: hex digests by algorithm that the whole file must have.

    Returns:
        `None` when the file is whole and right, else the reason why not.
    """
    reason: str | None = None
    for _ in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            with _progress_bar(part.stem) as report:
                _download(url, part, report)
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = str(error) or type(error).__name__
            if not part.exists() or part.stat().st_size <= before:
                return reason
            continue
        reason = checksum_mismatch(part, checksums)
        if reason is None:
            return None
        part.unlink()
        reason = f"{reason}; refused and removed"
        if not before:  # a fresh copy was wrong; a resumed one may be two halves that do not belong together
            return reason
    return reason


def checksum_mismatch(path: Path, checksums: Mapping[str, str]) -> str | None:
    """What is wrong with a file's checksums (hex digests by algorithm), or `None`."""
    for algorithm, expected in checksums.items():
        with path.open("rb") as file:
            found = hashlib.file_digest(file, algorithm).hexdigest()
        if found != expected:
            return f"{path.name.removesuffix('.part')} has the {algorithm} checksum {found}, not {expected}"
    return None


def _download(url: str, part: Path, report: Report) -> None:
    """Appends to `part` what it lacks, or writes it anew where the server cannot resume.

    Raises:
        OSError: if the server cannot be reached, refuses, or closes the connection early.
    """
    done = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "fastslow", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return  # nothing is left to fetch; the checksum tells whether what is here is right
        raise
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise OSError(f"asked for bytes from {done}, got {response.headers.get('Content-Range')}")
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_BLOCK_BYTES):
                file.write(block)
                done += len(block)
                report(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection closed after {done} of {total} bytes")


@contextlib.contextmanager
def _progress_bar(description: str) -> Iterator[Report]:
    """A bar with rate and time left, where stderr is a terminal; gives the function to report bytes to."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(description, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
