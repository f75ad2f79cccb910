"""Ports of this machine: which there are, and why one cannot be had."""

from __future__ import annotations

import errno
import socket
from typing import Any

from fastslow.errors import InputError, shown, shown_reason

_MOST = 2**16 - 1


def refuse_no_port(port: Any) -> None:  # noqa: ANN401 - whatever was given
    """Refuses what is no port.

    Raises:
        ValueError: if it is not a whole number from 0 to 65535.
    """
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= _MOST:
        raise InputError(f"got port={shown(port)}; 0 to {_MOST} was expected, 0 for any that is free")


def refusal(host: str, port: int, error: Exception) -> InputError:
    """Why nothing can listen at a port, in a sentence, and what to do about it.

    Args:
        host: address or name that was to be bound to.
        port: likewise.
        error: the reason.
    """
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, (socket.gaierror, UnicodeError)):
        why, cure = f"there is no host {shown(host)}", "give an address of this machine, such as 127.0.0.1"
    elif number == errno.EADDRINUSE:
        why, cure = (
            f"port {port} is taken by another program",
            "end that, or give another port, or 0 for any that is free",
        )
    elif number in (errno.EACCES, errno.EPERM):
        why, cure = f"you may not listen at port {port}", "give one from 1024 on, or 0 for any that is free"
    elif number == errno.EADDRNOTAVAIL:
        why, cure = f"{shown(host)} is no address of this machine", "give one that is, such as 127.0.0.1"
    else:
        why, cure = f"nothing can listen at host {shown(host)}, port {port}", "give others"
    return InputError(f"{why} ({shown_reason(error)}); {cure}")
