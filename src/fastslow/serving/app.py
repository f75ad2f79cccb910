"""The application: what is asked over HTTP, and how it is answered or refused, in one line of JSON."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import IO, Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fastslow.errors import InputError, shown_reason
from fastslow.estimators.learned import NotFittedError
from fastslow.files import to_json
from fastslow.serving import bodies
from fastslow.serving.changes import answer, classes_of
from fastslow.serving.connections import IDLE_SECONDS
from fastslow.serving.guard import PAGE_FILES, Guard, Rules, refusal
from fastslow.serving.kept import KeptLearner
from fastslow.serving.repeats import LONGEST_KEY, MOST_KEYS, once
from fastslow.serving.words import in_options
from fastslow.serving.worker import StorageError, Worker

#: Requests that are read or wait at a time, and seconds that a body may take to come.
_MOST_WAITING, _BODY_SECONDS = 64, 60.0
_PART = 2**16
_ABOUT = """A stream learner: teach it classes by examples, ask it about others. Each change is on the disk before it is
answered; requests are answered in the order in which they come. What is refused gets one line: `{"error": "..."}`.
A connection over which no request comes for %g seconds is closed; a body has %g seconds to come."""


class Api:
    """The endpoints, on top of the thread that has the learner.

    Args:
        worker: that thread.
        max_body_bytes: the largest body that is read.
    """

    def __init__(self, worker: Worker, max_body_bytes: int) -> None:
        self._worker, self._max_body_bytes, self._waiting = worker, max_body_bytes, 0

    async def learn(self, request: Request) -> Response:
        """Learn examples, all of them or none."""
        return await self._change(request, bodies.Teaching, "learn")

    async def forget(self, request: Request) -> Response:
        """Forget a class, or one example."""
        return await self._change(request, bodies.Forgetting, "forget")

    async def undo(self, request: Request) -> Response:
        """Take the last change back, whoever made it; once."""
        return await self._change(request, bodies.Nothing, "undo")

    async def predict(self, request: Request) -> Response:
        """Class, novelty and probabilities of examples."""
        content = await self._body(request)
        return await self._json(
            lambda kept: answer(kept.learner, bodies.read_body(content, bodies.Question).model_dump())
        )

    async def classes(self) -> Response:
        """The classes known, how many examples of each are kept, and ids of them."""
        return await self._json(lambda kept: {"classes": classes_of(kept.learner)})

    async def status(self) -> Response:
        """What is kept, in numbers."""
        return await self._json(_status)

    async def snapshot(self) -> Response:
        """The learner as a .safetensors file, for `FastSlowClassifier.load` or another server."""
        async with self._turn():
            file, size = await self._worker.do(_saved)
        headers = {"Content-Length": str(size), "Content-Disposition": 'attachment; filename="learner.safetensors"'}
        return StreamingResponse(_parts(file), media_type="application/octet-stream", headers=headers)

    async def _change(self, request: Request, kind: type[BaseModel], do: str) -> Response:
        content = await self._body(request)
        asked = once(request.headers.getlist("idempotency-key"), request.url.path, content)

        def work(kept: KeptLearner) -> dict[str, Any]:
            return kept.change({"do": do, **bodies.plain(bodies.read_body(content, kind))}, asked)

        return await self._json(work)

    async def _json(self, work: Callable[[KeptLearner], dict[str, Any]]) -> Response:
        async with self._turn():
            return Response(to_json(await self._worker.do(work)), media_type="application/json")

    def _turn(self) -> _Turn:
        return _Turn(self)

    async def _body(self, request: Request) -> bytes:
        """The body, unless it is too large or too slow."""
        async with self._turn():
            try:
                async with asyncio.timeout(_BODY_SECONDS):
                    content = bytearray()
                    async for part in request.stream():
                        content += part
                        if len(content) > self._max_body_bytes:
                            raise HTTPException(413, f"the body is larger than {self._max_body_bytes} bytes")
                    return bytes(content)
            except ClientDisconnect as error:
                raise HTTPException(400, "the body did not come to its end") from error
            except TimeoutError as error:
                raise HTTPException(408, f"the body did not come within {_BODY_SECONDS:g} seconds") from error


class _Turn:
    """One of the requests that are read or wait; refused where there are too many."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def __aenter__(self) -> None:
        if self._api._waiting >= _MOST_WAITING:
            raise HTTPException(503, f"{_MOST_WAITING} requests wait; ask again in a second", {"Retry-After": "1"})
        self._api._waiting += 1

    async def __aexit__(self, *_: object) -> None:
        self._api._waiting -= 1


def create_app(worker: Worker, rules: Rules) -> FastAPI:
    """The application.

    Args:
        worker: the thread that has the learner.
        rules: who may ask, and for how much.
    """
    api = Api(worker, rules.max_body_bytes)
    app = _bare_app()
    refusals: dict[int | str, dict[str, Any]] = {
        status: {"model": bodies.Refusal, "description": text} for status, text in _REFUSALS.items()
    }
    Endpoint = Callable[..., Awaitable[Response]]
    posts: list[tuple[Endpoint, type[BaseModel], type[BaseModel]]] = [
        (api.learn, bodies.Teaching, bodies.Taught), (api.predict, bodies.Question, bodies.Answered),
        (api.forget, bodies.Forgetting, bodies.Changed), (api.undo, bodies.Nothing, bodies.Changed),
    ]  # fmt: skip
    gets: list[tuple[Endpoint, type[BaseModel] | None]] = [
        (api.classes, bodies.Classes), (api.status, bodies.Status), (api.snapshot, None),
    ]  # fmt: skip
    secured: dict[str, Any] = {"security": [{"token": []}]} if rules.token else {}
    for endpoint, asked, answered in posts:
        schema = asked.model_json_schema()
        body = {"required": True, "content": {"application/json": {"schema": schema}}}
        headers = {} if endpoint == api.predict else {"parameters": [_KEY]}
        app.add_api_route(
            f"/{endpoint.__name__}", endpoint, methods=["POST"], responses={200: {"model": answered}, **refusals},
            openapi_extra={"requestBody": body, **headers, **secured},
        )  # fmt: skip
    for endpoint, told in gets:
        binary = {"content": {"application/octet-stream": {}}, "description": "the file"}
        app.add_api_route(
            f"/{endpoint.__name__}", endpoint, methods=["GET"], openapi_extra=secured,
            responses={200: binary if told is None else {"model": told}, **refusals},
        )  # fmt: skip
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Guard, rules=rules)
    if rules.token:
        _describe_token(app)
    return app


def _bare_app() -> FastAPI:
    """Without endpoints; its page at /docs loads nothing but from this server, and has no address checked elsewhere."""
    return FastAPIOffline(
        title="fastslow", description=_ABOUT % (IDLE_SECONDS, _BODY_SECONDS), version="1", redoc_url=None,
        redirect_slashes=False, static_url=PAGE_FILES, swagger_ui_parameters={"validatorUrl": None},
    )  # fmt: skip


_KEY = {
    "name": "Idempotency-Key", "in": "header", "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY},
    "description": "made up anew for each change, as by uuidgen: the same request with the same key, sent again where "
    "there was no answer, is answered as it was and not done again; "
    f"the last {MOST_KEYS} changes with a key are remembered",
}  # fmt: skip
_REFUSALS = {
    401: "no right token", 409: "nothing has been learned yet", 413: "too large a body", 422: "it cannot be used",
    503: "too many wait, or the disk failed",
}  # fmt: skip


def _status(kept: KeptLearner) -> dict[str, Any]:
    learner = kept.learner
    memory = getattr(learner, "memory_", None)
    return {
        "model": None if learner.model is None else str(learner.model),
        "classes": 0 if memory is None else len(memory.labels),
        "examples": 0 if memory is None else len(memory.examples),
        "max_examples": learner.max_examples, "changes": kept.num_changes,
        "memory_bytes": 0 if memory is None else memory.memory_bytes, "journal_bytes": kept.journal_bytes,
    }  # fmt: skip


def _saved(kept: KeptLearner) -> tuple[IO[bytes], int]:
    """The learner in a file without a name, and its size in bytes; what is learned meanwhile does not touch it."""
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when it has been sent
        with tempfile.TemporaryDirectory(prefix="fastslow-") as folder:
            path = Path(folder) / "learner.safetensors"
            kept.learner.save(path)
            with path.open("rb") as saved:
                shutil.copyfileobj(saved, file)
    except NotFittedError:
        raise
    except (InputError, OSError) as error:  # the disk of temporary files; what is kept is not touched by it
        raise StorageError(f"no file can be made to send ({shown_reason(error)}); free space") from error
    size = file.tell()
    file.seek(0)
    return file, size


def _parts(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while part := file.read(_PART):
            yield part


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, NotFittedError):
        return refusal(409, "nothing has been learned yet; send examples to /learn first")
    return refusal(422, str(error) if isinstance(error, bodies.BodyError) else in_options(str(error)))


async def _failed_disk(request: Request, error: Exception) -> Response:
    return refusal(503, str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refusal(error.status_code, str(error.detail), error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    return refusal(500, "a fault of the server, which has its traceback in its log")


_HANDLERS: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
    InputError: _refused, StorageError: _failed_disk, HTTPException: _http, Exception: _fault,
}  # fmt: skip


def _describe_token(app: FastAPI) -> None:
    """Has the page ask for the token."""
    made = app.openapi

    def with_token() -> dict[str, Any]:
        schema = made()
        schema.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        return schema

    app.openapi = with_token  # type: ignore[method-assign]
