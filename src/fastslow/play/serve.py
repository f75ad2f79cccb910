"""The page, served to this machine alone: by the standard library, on loopback."""

from __future__ import annotations

import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fastslow.ports import refusal, refuse_no_port

HOST = "127.0.0.1"


def page_server(page: str, port: int = 0) -> ThreadingHTTPServer:
    """A server of one page; `serve_forever` starts it, and `server_port` is where it is.

    Args:
        page: HTML.
        port: to listen at; 0 for any that is free.

    Raises:
        ValueError: if nothing can listen there.
    """
    refuse_no_port(port)
    content = page.encode("utf-8")

    class Handler(BaseHTTPRequestHandler):
        """Answers with the page, and nothing else."""

        def do_GET(self) -> None:
            """The page at its one address."""
            self._answer(content)

        def do_HEAD(self) -> None:
            """How large the page is."""
            self._answer(b"")

        def _answer(self, body: bytes) -> None:
            found = self.path.partition("?")[0] in ("/", "/index.html")
            self.send_response(200 if found else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(content) if found else 0))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            if found:
                with contextlib.suppress(ConnectionError):  # who asked has gone
                    self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: ANN401 - the base class's
            """Says nothing."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise refusal(HOST, port, error) from error
