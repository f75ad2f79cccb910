"""Why a port cannot be had is said in a sentence, with a cure."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from fastslow.errors import InputError
from fastslow.ports import refusal, refuse_no_port


@pytest.mark.parametrize("port", [0, 1, 65535])
def test_ports_that_there_are(port):
    refuse_no_port(port)


@pytest.mark.parametrize("port", [-1, 65536, 10**40, 80.0, "80", True, None])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(InputError, match="0 to 65535 was expected"):
        refuse_no_port(port)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)), "port 80 is taken by another program (Addr"),
        (
            PermissionError(errno.EACCES, "Permission denied"),
            "you may not listen at port 80 (Permission denied); give one",
        ),
        (
            OSError(errno.EADDRNOTAVAIL, "Cannot assign"),
            "'10.0.0.1' is no address of this machine (Cannot assign); give",
        ),
        (socket.gaierror(-2, "Name or service not known"), "there is no host '10.0.0.1' (Name or service not known)"),
        (UnicodeError("label too long"), "there is no host '10.0.0.1' (label too long)"),
        (OSError(errno.ENOBUFS, "No buffer space"), "nothing can listen at host '10.0.0.1', port 80 (No buffer space)"),
    ],
)
def test_why_a_port_cannot_be_had_is_said(error, words):
    assert words in str(refusal("10.0.0.1", 80, error))


def test_a_port_that_is_taken_is_known_by_the_error_of_this_system():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OSError) as caught:
            socket.create_server(("127.0.0.1", port))
    assert f"port {port} is taken by another program" in str(refusal("127.0.0.1", port, caught.value))
