"""An application in this process."""

from __future__ import annotations

import contextlib

import pytest
from starlette.testclient import TestClient

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
