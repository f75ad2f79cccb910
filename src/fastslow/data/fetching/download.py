"""Downloads one file over HTTP: resumed where it was cut off, and checked by checksum."""

from __future__ import annotations

import contextlib
import hashlib
import http
import http.client
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

_TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 1 << 16
_ATTEMPTS = 3
_PATIENCE_SECONDS = 60.0
_LEAST_RATE = 10_000  # bytes a second

Report = Callable[[int, int | None], None]  # bytes here so far, bytes in all (None: not known)


class _Refused(OSError):
    """An answer that trying again does not mend."""


def complete_part(url: str, part: Path, checksums: Mapping[str, str], num_bytes: int) -> str | None:
    """Completes a partial file from one address, trying again while that brings bytes.

    Args:
        url: the address of the whole file, http or https.
        part: what is here of it; it may be absent. Removed when it is complete and wrong.
        checksums: hex digests by algorithm that the whole file must have.
        num_bytes: its size. A server that sends more is refused, as is one that takes longer than a minute and the
            time that `_LEAST_RATE` allows.

    Returns:
        `None` when the file is whole and right, else the reason why not.
    """
    reason: str | None = None
    deadline = time.monotonic() + _PATIENCE_SECONDS + num_bytes / _LEAST_RATE
    for _ in range(_ATTEMPTS):
        before = part.stat().st_size if part.exists() else 0
        try:
            with _progress_bar(part.stem) as report:
                _download(url, part, report, num_bytes, deadline)
        except _Refused as error:
            return str(error)
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


def _download(url: str, part: Path, report: Report, num_bytes: int, deadline: float) -> None:
    """Appends to `part` what it lacks, or writes it anew where the server cannot resume.

    Raises:
        OSError: if the server cannot be reached, refuses, closes the connection early, or does not keep to the limits.
    """
    done = part.stat().st_size if part.exists() else 0
    response = _open(url, done)
    if response is None:
        return
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if resumed and not response.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise OSError(f"asked for bytes from {done}, got {response.headers.get('Content-Range')}")
        done = done if resumed else 0
        length = response.headers.get("Content-Length")
        total = None if length is None else done + int(length)
        if total is not None and total > num_bytes:
            raise _Refused(f"{total} bytes were announced; the file has {num_bytes}")
        with part.open("ab" if resumed else "wb") as file:
            # read1 gives what is there: read would wait for a whole block, however slowly it drips in.
            while block := response.read1(_BLOCK_BYTES):
                done += len(block)
                if done > num_bytes:
                    raise _Refused(f"more than the {num_bytes} bytes of the file were sent")
                file.write(block)
                if time.monotonic() > deadline:
                    raise _Refused(f"too slow: only {done} of {num_bytes} bytes in the time allowed")
                report(done, total)
    if total is not None and done < total:
        raise OSError(f"the connection closed after {done} of {total} bytes")


def _open(url: str, done: int) -> http.client.HTTPResponse | None:
    """The answer to a request for all bytes from `done` on; `None` where the server has none after them."""
    headers = {"User-Agent": "fastslow", "Accept-Encoding": "identity"}
    if done:
        headers["Range"] = f"bytes={done}-"
    try:
        response: http.client.HTTPResponse = _web().open(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_SECONDS
        )
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and done:
            return None  # nothing is left to fetch; the checksum tells whether what is here is right
        raise


def _web() -> urllib.request.OpenerDirector:
    """Opens http and https, here and where a server sends us on to, and nothing else: no files, no ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler({name: url for name, url in urllib.request.getproxies().items() if name != "ftp"}),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


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
