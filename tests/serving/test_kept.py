"""A kept learner goes on from wherever it was stopped."""

from __future__ import annotations

import base64
import json
import os
import random

import numpy as np
import pytest

from fastslow import FastSlowClassifier
from fastslow.claims import InUseError
from fastslow.errors import InputError
from fastslow.serving import kept as kept_module
from fastslow.serving.changes import apply_change, prepared
from fastslow.serving.journal import Journal
from fastslow.serving.kept import KeptLearner
from fastslow.serving.repeats import MOST_KEYS, Once

OPTIONS = {"model": None}


class Stopped(BaseException):
    """The power is gone."""


def teaching(number):
    vectors = (np.random.default_rng(number).normal(size=(2, 3)) + 5 * (number % 3)).tolist()
    return {"do": "learn", "vectors": vectors, "labels": [f"c{number % 3}"] * 2}


def leave(kept):
    """As a process that ends: its files are closed, and nothing else is done."""
    kept._journal.close()
    kept._claim.release()


def known(learner):
    if not hasattr(learner, "memory_"):
        return []
    rows = zip(learner.examples_, learner.memory_.examples.features.tolist(), strict=True)
    return [(tuple(example[:3]), vector) for example, vector in rows]


def after(changes):
    learner = FastSlowClassifier(None)
    for change in changes:
        apply_change(learner, prepared(learner, change))
    return known(learner)


@pytest.fixture
def often(monkeypatch):
    """A snapshot is made each three changes."""
    monkeypatch.setattr(kept_module, "_MOST_CHANGES", 3)


def test_what_was_synced_is_there_without_a_close(tmp_path, often):
    path, changes = tmp_path / "a.safetensors", []
    for number in range(11):
        kept = KeptLearner(path, OPTIONS)
        assert known(kept.learner) == after(changes)
        assert kept.num_changes == number
        changes.append(teaching(number))
        assert kept.change(changes[-1]) == {"change": number + 1, "examples": [2 * number, 2 * number + 1]}
        kept.sync()
        leave(kept)
    assert path.exists()


def test_a_closed_one_is_one_file(tmp_path):
    path = tmp_path / "a.safetensors"
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0))
    kept.close()
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]
    assert known(FastSlowClassifier.load(path)) == after([teaching(0)])
    again = KeptLearner(path, {})
    assert known(again.learner) == after([teaching(0)])
    again.close()
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]


def test_nothing_learned_leaves_nothing(tmp_path):
    KeptLearner(tmp_path / "a.safetensors", OPTIONS).close()
    assert list(tmp_path.iterdir()) == []


def test_all_forgotten_is_still_so_after_a_close(tmp_path):
    path = tmp_path / "a.safetensors"
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0))
    kept.close()
    kept = KeptLearner(path, {})
    kept.change({"do": "forget", "label": "c0"})
    kept.close()
    kept = KeptLearner(path, OPTIONS)
    assert known(kept.learner) == []
    kept.change(teaching(1))
    kept.close()
    assert [label for (_, label, _), _ in known(FastSlowClassifier.load(path))] == ["c1"] * 2


def test_the_last_change_can_be_undone_after_a_stop(tmp_path, often):
    path = tmp_path / "a.safetensors"
    for number in range(5):
        kept = KeptLearner(path, OPTIONS)
        kept.change(teaching(number))
        kept.sync()
        leave(kept)
    kept = KeptLearner(path, OPTIONS)
    kept.change({"do": "undo"})
    kept.sync()
    leave(kept)
    kept = KeptLearner(path, OPTIONS)
    assert known(kept.learner) == after([teaching(number) for number in range(4)])
    with pytest.raises(InputError, match="nothing to undo"):
        kept.change({"do": "undo"})
    leave(kept)


def test_what_lies_behind_a_snapshot_cannot_be_undone_by_a_running_one_either(tmp_path, often):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    for number in range(3):
        kept.change(teaching(number))
    with pytest.raises(InputError):  # a snapshot is made first
        kept.change({"do": "forget", "label": "none"})
    with pytest.raises(InputError, match="nothing to undo"):
        kept.change({"do": "undo"})
    kept.close()


def changes_of(seed, count):
    """Changes of all kinds; some of them cannot be made."""
    choose = random.Random(seed)
    ways = [lambda n: teaching(n)] * 5 + [
        lambda n: {"do": "undo"}, lambda n: {"do": "forget", "label": f"c{n % 3}"},
        lambda n: {"do": "forget", "example": choose.randrange(2 * n + 1)},
    ]  # fmt: skip
    return [choose.choice(ways)(number) for number in range(count)]


@pytest.mark.no_cover  # lines that others run
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "ftruncate"])
def test_stopped_at_any_call_of_the_system_nothing_acknowledged_is_lost(tmp_path, often, monkeypatch, call):
    real, left, choose = getattr(os, call), [0], random.Random(call)

    def stopping(*arguments):
        left[0] -= 1
        if left[0] == 0:
            if call == "write" and choose.random() < 0.5:
                real(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            raise Stopped
        return real(*arguments)

    monkeypatch.setattr(os, call, stopping)
    monkeypatch.setattr(kept_module.Path, "replace", lambda self, to: os.replace(self, to))
    path, made, maybe, stops = tmp_path / "a.safetensors", [], None, 0
    for change in changes_of(0, 70):
        left[0] = choose.randint(1, 3 if call == "replace" else 10)
        kept = None
        try:
            kept = KeptLearner(path, OPTIONS)
            if maybe is not None and known(kept.learner) != after(made):
                made.append(maybe)
            maybe = None
            assert known(kept.learner) == after(made)
            try:
                kept.change(change)
            except InputError:
                leave(kept)
                continue
            maybe = change
            kept.sync()
            made.append(change)
            maybe = None
        except Stopped:
            stops += 1
        if kept is not None:
            left[0] = 0
            leave(kept)
    assert stops > 5
    assert len(made) > 25
    assert path.exists()


def test_a_disk_that_fails_takes_back_what_was_not_acknowledged(tmp_path, monkeypatch):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    kept.change(teaching(0))
    kept.sync()
    kept.change(teaching(1))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        with pytest.raises(OSError, match="Input/output"):
            kept.sync()
    kept.recover()
    assert known(kept.learner) == after([teaching(0)])
    assert kept.change(teaching(2))["change"] == 2
    kept.close()
    assert known(FastSlowClassifier.load(kept.path)) == after([teaching(0), teaching(2)])


def test_no_room_for_a_snapshot_leaves_the_journal(tmp_path, often, monkeypatch):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    full = lambda *_: (_ for _ in ()).throw(InputError("the disk is full"))  # noqa: E731
    monkeypatch.setattr(FastSlowClassifier, "save", full)
    for number in range(8):
        kept.change(teaching(number))
        kept.sync()
    with pytest.raises(InputError, match="the disk is full; nothing is lost"):
        kept.close()
    monkeypatch.undo()
    again = KeptLearner(kept.path, {})
    assert known(again.learner) == after([teaching(number) for number in range(8)])
    again.close()


def test_one_process_has_a_state(tmp_path):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    with pytest.raises(InUseError, match="in use by process"):
        KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    KeptLearner(tmp_path / "b.safetensors", OPTIONS).close()
    kept.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_examples": 5}, "begun with max_examples=10000"),
        ({"model": "omniglot-5w1s"}, "got model='omniglot-5w1s' for a state that was begun with model=None"),
    ],
)
def test_other_options_than_the_state_has_are_refused(tmp_path, options, words):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    kept.change(teaching(0))
    kept.sync()
    leave(kept)
    with pytest.raises(InputError, match=words):
        KeptLearner(kept.path, options)
    KeptLearner(kept.path, OPTIONS).close()
    with pytest.raises(InputError, match=words):
        KeptLearner(kept.path, options)


@pytest.mark.parametrize("options", [{"model": "none such"}, {"max_examples": 0}, {"novelty_threshold": -1.0}])
def test_options_that_cannot_be_are_refused_at_the_beginning(tmp_path, options):
    with pytest.raises(InputError):
        KeptLearner(tmp_path / "a.safetensors", {**OPTIONS, **options})
    assert list(tmp_path.iterdir()) == []


def test_a_journal_beside_another_snapshot_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0))
    kept.sync()
    leave(kept)
    FastSlowClassifier(None).learn_one([1.0, 2.0], "a").save(path)
    with pytest.raises(InputError, match="builds on another snapshot"):
        KeptLearner(path, OPTIONS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"changes": True}, "is no journal of format 1"),
        ({"snapshot": 5}, "is no journal of format 1"),
        ({"parameters": []}, "is no journal of format 1"),
        ({"parameters": {"model": None}}, "is no journal of format 1"),
        ({"more": 1}, "is no journal of format 1"),
        ({"answered": {}}, "is no journal of format 1"),
        ({"answered": ["a"]}, "cannot be read"),
        ({"answered": [{"key": "a", "request": "b"}]}, "cannot be read"),
        ({"answered": [{"key": "a", "request": "b", "change": True}]}, "cannot be read"),
        ({"answered": [{"key": "a", "request": "b", "change": 1, "examples": [0, 10**12]}]}, "cannot be read"),
        ({"answered": [{"key": "a", "request": "b", "change": 1, "more": 2}]}, "cannot be read"),
    ],
)
def test_a_journal_whose_first_record_says_something_else_is_refused(tmp_path, change, words):
    path = written(tmp_path, lambda header: {**header, **change}, [])
    with pytest.raises(InputError, match=f"journal {words}"):
        KeptLearner(path, OPTIONS)


@pytest.mark.parametrize(
    "change",
    [
        {"features": base64.b64encode(np.ones((2, 5), "<f4").tobytes()).decode()},
        {"features": base64.b64encode(np.full((2, 3), np.inf, "<f4").tobytes()).decode()},
        {"features": base64.b64encode(bytes(7)).decode()},
        {"features": "%"},
        {"labels": [[1], [2]]},
        {"do": "dance"},
    ],
)
def test_a_change_that_cannot_be_made_again_is_refused_by_its_place(tmp_path, change):
    features = base64.b64encode(np.ones((2, 3), "<f4").tobytes()).decode()
    good = {"do": "learn", "features": features, "labels": ["a", "b"]}
    path = written(tmp_path, dict, [good, {**good, **change}])
    with pytest.raises(InputError, match="journal, record 2, cannot be replayed"):
        KeptLearner(path, OPTIONS)


@pytest.mark.parametrize("once", [None, {"key": 5, "request": "b", "change": 1}, []])
def test_a_change_with_a_key_that_is_none_is_refused(tmp_path, once):
    features = base64.b64encode(np.ones((1, 3), "<f4").tobytes()).decode()
    path = written(tmp_path, dict, [{"do": "learn", "features": features, "labels": ["a"]}, {"once": once}])
    with pytest.raises(InputError, match="journal cannot be read"):
        KeptLearner(path, OPTIONS)


def written(folder, header, changes):
    """A state whose journal has another first record, and these changes, all with the right checksums."""
    path = folder / "a.safetensors"
    leave(KeptLearner(path, OPTIONS))
    journal = Journal(path.with_suffix(".serving") / "journal")
    first = header(journal.header)
    journal.close()
    journal = Journal.create(journal.path, first)
    for change in changes:
        journal.append(change)
    journal.sync()
    journal.close()
    return path


def test_a_name_that_no_learner_is_saved_to_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"ends in \.safetensors"):
        KeptLearner(tmp_path / "a.json", OPTIONS)


def test_changes_are_plain_json(tmp_path):
    assert json.loads(json.dumps(teaching(0))) == teaching(0)


def test_no_room_for_a_new_journal_goes_on_with_the_old_one(tmp_path, often, monkeypatch):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    with monkeypatch.context() as patch:
        full = lambda *_: (_ for _ in ()).throw(InputError("the disk is full"))  # noqa: E731
        patch.setattr(kept_module.Journal, "create", full)
        for number in range(8):
            kept.change(teaching(number))
            kept.sync()
    leave(kept)
    again = KeptLearner(kept.path, {})
    assert again.num_changes == 8
    assert known(again.learner) == after([teaching(number) for number in range(8)])
    again.close()


def test_a_change_with_a_key_is_made_once_wherever_it_was_stopped(tmp_path, often):
    """Asked for at once again, after a stop, behind snapshots, and after a close."""
    path, said = tmp_path / "a.safetensors", []
    for number in range(11):
        kept = KeptLearner(path, OPTIONS)
        for _ in range(2):
            said.append(kept.change(teaching(number), Once(f"key {number}", "x")))
        assert said[-1] == said[-2] == {"change": number + 1, "examples": [2 * number, 2 * number + 1]}
        kept.sync()
        leave(kept)
    kept = KeptLearner(path, OPTIONS)
    assert [kept.change(teaching(number), Once(f"key {number}", "x")) for number in range(11)] == said[::2]
    kept.close()
    kept = KeptLearner(path, {})
    assert [kept.change(teaching(number), Once(f"key {number}", "x")) for number in range(11)] == said[::2]
    assert known(kept.learner) == after([teaching(number) for number in range(11)])
    assert kept.change(teaching(11))["change"] == 12
    kept.close()


def test_forgetting_and_undo_with_a_key_are_made_once(tmp_path):
    path = tmp_path / "a.safetensors"
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0))
    kept.change(teaching(1))
    for change in ({"do": "forget", "example": 0}, {"do": "undo"}):
        assert kept.change(change, Once(change["do"], "x")) == kept.change(change, Once(change["do"], "x"))
    kept.sync()
    assert known(kept.learner) == after([teaching(0), teaching(1)])
    leave(kept)
    kept = KeptLearner(path, OPTIONS)
    assert kept.change({"do": "undo"}, Once("undo", "x")) == {"change": 4}
    assert kept.num_changes == 4
    kept.close()


def test_what_was_not_synced_is_not_remembered_either(tmp_path, monkeypatch):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        kept.change(teaching(0), Once("a", "x"))
        with pytest.raises(OSError, match="Input/output"):
            kept.sync()
    kept.recover()
    assert known(kept.learner) == []
    assert kept.change(teaching(0), Once("a", "x"))["change"] == 1
    assert len(known(kept.learner)) == 2
    kept.close()


def test_a_change_that_cannot_be_made_leaves_its_key(tmp_path):
    kept = KeptLearner(tmp_path / "a.safetensors", OPTIONS)
    kept.change(teaching(0))
    for _ in range(2):
        with pytest.raises(InputError, match="not kept"):
            kept.change({"do": "forget", "example": 3}, Once("a", "x"))
    kept.change(teaching(1))
    assert kept.change({"do": "forget", "example": 3}, Once("a", "x")) == {"change": 3}
    with pytest.raises(InputError, match="'a' was sent with another request; make up a new one"):
        kept.change({"do": "forget", "example": 2}, Once("a", "y"))
    kept.close()


def test_keys_that_are_remembered_are_bounded(tmp_path, often):
    path, most = tmp_path / "a.safetensors", MOST_KEYS
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0), Once("first", "x"))
    for number in range(most):
        kept._remembered.keep({"key": str(number), "request": "x", "change": number})
    assert len(kept._remembered.records) == most
    assert kept.change(teaching(0), Once("first", "x"))["change"] == 2
    kept.close()
    kept = KeptLearner(path, OPTIONS)
    assert len(kept._remembered.records) == most
    kept.close()


def test_keys_do_not_tie_a_closed_one_to_its_file(tmp_path):
    """What lies beside a closed one is keys alone: another file in its place, or none, is gone on from."""
    path = tmp_path / "a.safetensors"
    kept = KeptLearner(path, OPTIONS)
    kept.change(teaching(0), Once("a", "x"))
    kept.close()
    FastSlowClassifier(None).learn_one([1.0, 2.0], "other").save(path)
    kept = KeptLearner(path, OPTIONS)
    assert [label for (_, label, _), _ in known(kept.learner)] == ["other"]
    assert kept._remembered.records == []
    kept.close()
    assert [found.name for found in tmp_path.iterdir()] == ["a.safetensors"]
