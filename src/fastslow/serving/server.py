"""A server from its beginning to its end: what it may be bound to, and how it stops."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvicorn

from fastslow.errors import InputError, shown, shown_path
from fastslow.files import read_text
from fastslow.ports import refusal
from fastslow.serving.app import create_app
from fastslow.serving.connections import IDLE_SECONDS, BoundedConnection
from fastslow.serving.guard import Rules
from fastslow.serving.kept import KeptLearner
from fastslow.serving.worker import Worker

#: The environment variable of the token.
TOKEN_VARIABLE = "FASTSLOW_TOKEN"
_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_LEAST_TOKEN, _MOST_TOKEN = 16, 1024
_MOST_CONNECTIONS = 512
#: Seconds that requests have to end when the server stops.
_GRACE = 30


def read_token(file: Path | None) -> str:
    """The token of a file or else of the environment; "" for none.

    Raises:
        ValueError: if it cannot be read, or is too easy to guess.
    """
    token = (os.environ.get(TOKEN_VARIABLE, "") if file is None else read_text(file, 2 * _MOST_TOKEN)).strip()
    where = TOKEN_VARIABLE if file is None else shown_path(file)
    fits = _LEAST_TOKEN <= len(token) <= _MOST_TOKEN and token.isascii() and token.isprintable() and " " not in token
    if (token or file is not None) and not fits:
        raise InputError(
            f"{where} holds no token: {_LEAST_TOKEN} to {_MOST_TOKEN} ASCII characters without blanks were expected, "
            "as from openssl rand -hex 32"
        )
    return token


def rules_for(host: str, token: str, max_body_bytes: int) -> Rules:
    """Who may ask a server that is bound to a host.

    Raises:
        ValueError: if others than this machine can reach it, and there is no token.
    """
    local = _is_local(host)
    if not local and not token:
        raise InputError(
            f"got host={shown(host)}, which others can reach, and no token: give --token-file, or {TOKEN_VARIABLE} in "
            "the environment, or host 127.0.0.1"
        )
    names = tuple(dict.fromkeys((*_LOCAL_NAMES, host)))
    return Rules(token, names if local and not token else (), max_body_bytes)


def serve(kept: KeptLearner, host: str, port: int, rules: Rules, say: Callable[[str], object]) -> None:
    """Serves a learner until SIGTERM or SIGINT comes; what is being asked then is answered, and the learner saved.

    Args:
        kept: the learner; it is closed.
        host: to be bound to: an address or a name.
        port: likewise; 0 for any that is free.
        rules: see `rules_for`.
        say: is told where the server is, and how it ended.

    Raises:
        ValueError: if it cannot be bound there, or the learner cannot be saved at the end.
    """
    try:
        with _bound(host, port) as listening:
            worker = Worker(kept)
            try:
                at = listening.getsockname()
                where = f"http://{f'[{at[0]}]' if ':' in at[0] else at[0]}:{at[1]}"
                say(f"serving on {where}  (its page: {where}/docs; Ctrl-C saves what was learned, and stops)")
                config = uvicorn.Config(
                    create_app(worker, rules), log_level="warning", access_log=False, server_header=False,
                    limit_concurrency=_MOST_CONNECTIONS, timeout_graceful_shutdown=_GRACE, ws="none", lifespan="off",
                    http=BoundedConnection, timeout_keep_alive=int(IDLE_SECONDS),
                )  # fmt: skip
                _Server(config).run([listening])
            finally:
                worker.close()
    finally:
        was_there = kept.path.exists()
        kept.close()
    say(f"stopped; {_outcome(kept.path, was_there)}")


def _outcome(path: Path, was_there: bool) -> str:
    """What became of what was learned, given whether a file of it was there before the end."""
    if path.exists():
        return f"what was learned is in {shown_path(path)}"
    return f"nothing is known any more; {shown_path(path)} was removed" if was_there else "nothing has been learned"


class _Server(uvicorn.Server):
    """Stops at a signal and returns, where uvicorn would go on to end the process by it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """While the server runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        made = socket.create_server(address[:2], family=family, backlog=_MOST_CONNECTIONS)
        # Taken over by each connection: without it an answer's second part waits 40 ms for the first to be confirmed.
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made
    except (OSError, UnicodeError) as error:
        raise refusal(host, port, error) from error


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
