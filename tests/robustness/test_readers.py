"""Every reader under 300 mutations: refused in words, or read as something that such a file can hold."""

from __future__ import annotations

import pytest

from robustness.harness import MOST_MIB, MOST_SECONDS, Reader, Tally, put, survey
from robustness.registry import READERS

# Measured without coverage, which takes half as long again: what it runs is covered by the tests of its parts.
pytestmark = pytest.mark.no_cover

QUICK = 300


@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_refused_in_words_or_read_as_what_they_can_be(tmp_path, name):
    tally = survey(READERS[name](tmp_path), QUICK, hostile=False)
    assert tally.holds, tally.faults
    assert tally.mutations == QUICK == tally.refused + tally.accepted_identical + tally.accepted_different
    assert tally.refused > QUICK / 3 or name == "image cache"  # whose damage is as good as absence


@pytest.mark.parametrize("what", ["deep lists", "one key again and again"])
def test_json_made_to_be_slow_is_refused_in_time(tmp_path, what):
    reader = READERS["config"](tmp_path)
    put(reader, reader.hostile[what]())
    tally = Tally()
    tally.add(reader, what)
    assert tally.holds, tally.faults


def reader(read, judge=lambda _: "different"):
    return Reader("toy", lambda random: None, read, judge, names=("toy",))


def refuse(text):
    from fastslow.errors import InputError

    raise InputError(text)


@pytest.mark.parametrize(
    ("toy", "fault"),
    [
        (reader(lambda: 1 / 0), "ZeroDivisionError"),
        (reader(lambda: refuse("it is damaged")), "refused by 13 characters"),
        (reader(lambda: refuse("toy" * 1000)), "refused by 3000 characters"),
        (reader(lambda: 5, lambda value: f"it is {value}"), "accepted, though it is 5"),
    ],
    ids=["traceback", "nameless", "long", "wrong"],
)
def test_the_harness_finds_each_kind_of_fault(toy, fault):
    tally = survey(toy, 3)
    assert not tally.holds
    assert fault in tally.faults[0]


def test_the_harness_finds_what_is_slow_or_large():
    assert Tally(mutations=1, slowest_seconds=MOST_SECONDS - 1, peak_memory_mib=MOST_MIB - 1).holds
    assert not Tally(mutations=1, slowest_seconds=MOST_SECONDS + 1).holds
    assert not Tally(mutations=1, peak_memory_mib=MOST_MIB + 1).holds


def test_a_seed_repeats_its_mutations(tmp_path):
    tallies = [survey(READERS["result"](tmp_path), 50, seed=seed, hostile=False) for seed in (1, 1, 2)]
    counts = [(tally.refused, tally.accepted_identical, tally.accepted_different) for tally in tallies]
    assert counts[0] == counts[1] != counts[2]
