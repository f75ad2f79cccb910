"""A kept learner that has forgotten everything leaves nothing from which that would come back."""

from __future__ import annotations

import itertools
import os

import pytest

from fastslow.errors import InputError
from fastslow.estimators.stream import knows_something
from fastslow.serving import kept as kept_module
from fastslow.serving import server
from fastslow.serving.kept import KeptLearner
from fastslow.serving.repeats import Once

TEACH = {"do": "learn", "vectors": [[0.0, 1.0], [5.0, 6.0]], "labels": ["a", "b"]}
FORGET = [{"do": "forget", "label": label} for label in "ab"]


class Stopped(BaseException):
    """The power is gone."""


@pytest.fixture
def forgotten(tmp_path):
    """Makes one whose snapshot knows two classes, and whose journal forgets both."""

    def made(name="a", key=None):
        path = tmp_path / f"{name}.safetensors"
        kept = KeptLearner(path, {"model": None})
        kept.change(TEACH)
        kept.close()
        assert path.exists()
        kept = KeptLearner(path, {})
        for change in FORGET:
            kept.change(change, key and Once(key + change["label"], "x"))
        kept.sync()
        return kept

    return made


def test_at_a_close_the_file_goes(forgotten, tmp_path):
    forgotten().close()
    assert list(tmp_path.iterdir()) == []


def test_what_never_was_in_a_file_goes_too(tmp_path):
    kept = KeptLearner(tmp_path / "a.safetensors", {"model": None})
    for change in (TEACH, *FORGET):
        kept.change(change)
    kept.close()
    assert list(tmp_path.iterdir()) == []


def test_keys_are_remembered_without_a_file(forgotten, tmp_path):
    kept = forgotten(key="k")
    kept.close()
    assert [found.name for found in tmp_path.iterdir()] == ["a.serving"]
    kept = KeptLearner(kept.path, {"model": None})
    assert not knows_something(kept.learner)
    assert kept.change(FORGET[0], Once("ka", "x")) == {"change": 1}
    assert kept.change(TEACH) == {"change": 3, "examples": [0, 1]}
    kept.close()
    assert kept.path.exists()


@pytest.mark.parametrize("key", [None, "k"])
def test_stopped_anywhere_nothing_comes_back(forgotten, monkeypatch, key):
    """Before and after each call of the system that a close makes."""
    for stop in itertools.count(1):
        kept, left = forgotten(f"a{stop}", key), [stop]
        with monkeypatch.context() as patch:
            for owner, name in (
                (os, "write"),
                (os, "fsync"),
                (kept_module.Path, "unlink"),
                (kept_module.Path, "replace"),
            ):
                patch.setattr(owner, name, stopping(getattr(owner, name), left))
            try:
                kept.close()
            except Stopped:
                patch.undo()
                kept._claim.release()  # as the end of a process does
            else:
                break
        again = KeptLearner(kept.path, {"model": None})
        assert not knows_something(again.learner)
        again.close()
        again = KeptLearner(kept.path, {"model": None})
        assert not knows_something(again.learner)
        if key:
            assert again.change(FORGET[0], Once("ka", "x")) == {"change": 1}
        again.change(TEACH)
        again.close()
        again = KeptLearner(kept.path, {})
        assert again.learner.classes_.tolist() == ["a", "b"]
        again.close()
    assert stop > 8


def stopping(real, left):
    """A call that ends the process when there is none left, before it or after it."""

    def call(*arguments, **named):
        for step in (lambda: None, lambda: real(*arguments, **named)):
            answer = step()
            left[0] -= 1
            if left[0] == 0:
                raise Stopped
        return answer

    return call


def test_a_file_that_cannot_be_removed_is_said_and_nothing_comes_back(forgotten, monkeypatch):
    kept = forgotten()

    def refused(path, missing_ok=False):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(kept_module.Path, "unlink", refused)
        with pytest.raises(InputError, match=r"cannot be removed \(Permission denied\); nothing is lost"):
            kept.close()
    again = KeptLearner(kept.path, {})
    assert not knows_something(again.learner)
    again.close()
    assert not kept.path.exists()


def test_a_server_says_so(forgotten, monkeypatch):
    class Stops(server._Server):
        def run(self, sockets=None):
            self.should_exit = True
            super().run(sockets)

    monkeypatch.setattr(server, "_Server", Stops)
    kept, said = forgotten(), []
    server.serve(kept, "127.0.0.1", 0, server.rules_for("127.0.0.1", "", 999), said.append)
    assert said[1] == f"stopped; nothing is known any more; {kept.path} was removed"
