"""An application in this process."""

from __future__ import annotations

import contextlib
import signal
import threading

import pytest
from starlette.testclient import TestClient

from fastslow.serving import server
from fastslow.serving.app import create_app
from fastslow.serving.guard import Rules
from fastslow.serving.kept import KeptLearner
from fastslow.serving.worker import Worker


@pytest.fixture
def ask(tmp_path):
    """Makes clients of a learner that is kept in a folder."""
    with contextlib.ExitStack() as stack:

        def made(options, *, token="", hosts=("testserver",), max_body_bytes=2**16, name="a"):
            kept = KeptLearner(tmp_path / f"{name}.safetensors", options)
            stack.callback(kept.close)
            worker = Worker(kept)
            stack.callback(worker.close)
            app = create_app(worker, Rules(token, hosts, max_body_bytes))
            client = stack.enter_context(TestClient(app, raise_server_exceptions=False))
            client.kept = kept
            return client

        yield made


@pytest.fixture
def taught(ask):
    client = ask({"model": None})
    vectors = [[0.0, 0.0], [0.2, 0.0], [0.0, 0.2], [9.0, 9.0], [9.2, 9.0], [9.0, 9.2]]
    answer = client.post("/learn", json={"vectors": vectors, "labels": ["near"] * 3 + [7] * 3})
    assert answer.json() == {"change": 1, "examples": [0, 1, 2, 3, 4, 5]}
    return client


@pytest.fixture
def running(tmp_path, monkeypatch):
    """A server in a thread: where it is, what it says, how it is stopped."""
    started, made, said = threading.Event(), [], []

    class Told(server._Server):
        def __init__(self, config):
            super().__init__(config)
            made.append(self)
            started.set()

    monkeypatch.setattr(server, "_Server", Told)
    kept = KeptLearner(tmp_path / "a.safetensors", {"model": None})

    thread = threading.Thread(
        target=server.serve, args=(kept, "127.0.0.1", 0, server.rules_for("127.0.0.1", "", 999), said.append)
    )
    thread.start()
    assert started.wait(30)

    def stop():
        made[0].handle_exit(signal.SIGTERM, None)
        thread.join(30)

    yield said, stop
    stop()
