"""Who may ask, before anything is read of what they ask."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fastslow.errors import shown
from fastslow.files import to_json

#: Where the files lie that the page at /docs loads.
PAGE_FILES = "/docs-files"
#: What tells nothing that was learned: it may be seen without a token, for a browser's page cannot send one.
_OPEN = ("/docs", "/openapi.json")


class Rules(NamedTuple):
    """Who may ask.

    Attributes:
        token: that has to be sent; "" for none.
        hosts: names under which the server may be asked for; () for all. A page of the web that has its name resolve to
            this machine is kept out by it.
        max_body_bytes: the largest body that is read.
    """

    token: str
    hosts: tuple[str, ...]
    max_body_bytes: int


class Guard:
    """Refuses, in one line of JSON: a wrong token, another name than the server's, a body that is no JSON or too large.

    Args:
        app: what is asked where nothing is wrong.
        rules: see there.
    """

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self._app, self._rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] == "http" and (refused := self._refusal(scope)) is not None:
            await refused(scope, receive, send)
        elif scope["type"] in ("http", "lifespan"):
            await self._app(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, rules = Headers(scope=scope), self._rules
        if rules.hosts and _name(headers.get("host", "")) not in rules.hosts:
            got = f"got the host {shown(headers.get('host', ''))}"
            return refusal(421, f"{got}; this server is asked for as {' or '.join(rules.hosts)}")
        if rules.token and not _is_open(scope["path"]) and (wrong := _wrong_token(headers, rules.token)):
            return refusal(401, wrong, {"WWW-Authenticate": "Bearer"})
        # A page of the web may have a browser send other kinds here without asking first.
        if scope["method"] == "POST" and not _is_json(headers.get("content-type", "")):
            return refusal(415, "send JSON, with the header Content-Type: application/json")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or len(length) > 18 or int(length) > rules.max_body_bytes:
            return refusal(413, f"the body is larger than {rules.max_body_bytes} bytes; send less at a time")
        return None


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    """A refusal: one line of JSON."""
    content = to_json({"error": " ".join(text.split())})
    return Response(content, status, dict(headers or {}), media_type="application/json")


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith(f"{PAGE_FILES}/")


def _wrong_token(headers: Headers, token: str) -> str:
    """What is wrong with the token that was sent; "" where nothing is."""
    sent = headers.get("authorization", "")
    if hmac.compare_digest(sent.encode("latin-1"), f"Bearer {token}".encode()):
        return ""
    if not sent:
        return "got no token; send the header Authorization: Bearer TOKEN"
    if not sent.startswith("Bearer "):
        return "got a header Authorization of another form; send Authorization: Bearer TOKEN"
    return "got another token than this server's; send the one that it was started with (--token-file, FASTSLOW_TOKEN)"


def _name(host: str) -> str:
    """Of a host without its port."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") and ":" in host else host
    return name.strip("[]").lower()


def _is_json(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() == "application/json"
