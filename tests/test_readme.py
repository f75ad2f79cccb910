"""The README's code runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from statistics import mean

import pytest

from committed import committed
from pages import python_blocks

pytestmark = pytest.mark.xdist_group("results")

README = Path(__file__).parents[1] / "README.md"


def blocks():
    return python_blocks(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("number", range(3), ids=["ten lines", "a stream", "road users"])
def test_the_code_does_what_it_says(number, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = blocks()[number]
    exec(compile(code, "README.md", "exec"), {})
    said = capsys.readouterr().out
    for expected in re.findall(r"^print.*# (\[.*\])$", code, re.MULTILINE):
        assert expected in said.splitlines()


def test_no_code_is_left_out():
    assert len(blocks()) == 3


def test_the_table_of_novelty_is_that_of_the_results():
    rows = re.findall(r"^\| (\d+), (\d) \| (.*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 6
    names = ("auroc", "unseen_rejected", "known_rejected", "accuracy", "nearest_mean")
    found = committed("open-set-*.json")
    numbers = {str(result.cell.options["task"]): result.numbers for result in found}
    for ways, shots, shown in rows:
        measured = numbers[f"{ways}w{shots}s"]
        assert shown.split(" | ") == [f"{100 * measured[name].mean:.1f}" for name in names]


def test_the_table_of_wrong_labels_is_that_of_the_results():
    rows = re.findall(r"^\| (20|5), ([^|\d]*) \| ([\d.| ]*) \|$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) == 6
    names = {"`doubt_labels=True`": "doubting", "without": "believing", "nearest class mean": "nearest_mean"}
    found = committed("wrong-labels-*.json")
    for ways, row, shown in rows:
        of = {r.cell.options["wrong_labels"]: r.numbers for r in found if r.cell.options["task"] == f"{ways}w5s"}
        assert shown.split(" | ") == [f"{100 * of[share][names[row]].mean:.1f}" for share in (0.0, 0.1, 0.2, 0.3, 0.4)]


def _of_pedestrians(protocol):
    found = committed("trajectories-vru-*.json")
    return [result for result in found if result.cell.options["protocol"] == protocol]


def _by_seed(found, method, task):
    return {r.cell.seed: r.numbers for r in found if (r.cell.method, r.cell.options["task"]) == (method, task)}


def test_the_table_of_pedestrians_is_that_of_the_results():
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*) \| ((?:\d\.\d{2,3} \| ){5}\d\.\d\d) \|$", text, re.MULTILINE)
    methods = ("constant-velocity", "damped", "memory", "memory-2048", "memory-without-place")
    methods += ("mlp", "replayed-mlp", "slow-on-mlp", "memory-256-on-mlp", "memory-on-mlp")
    methods += ("memory-256-and-slow-on-mlp",)
    assert len(rows) == len(methods)
    found = _of_pedestrians("stream")
    for method, (_, shown) in zip(methods, rows, strict=True):
        numbers = []
        for task in ("25 Hz", "12.5 Hz"):
            of, plain = _by_seed(found, method, task), _by_seed(found, "constant-velocity", task)
            numbers += [f"{mean(one[name].mean for one in of.values()):.3f}" for name in ("ade", "fde")]
            numbers.append(f"{mean(of[seed]['mse'].mean / plain[seed]['mse'].mean for seed in of):.2f}")
            assert len(of) == 5
        assert shown.split(" | ") == numbers


def test_the_table_of_ten_pedestrians_is_that_of_the_results():
    text = README.read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]*) \| ((?:\d\.\d{3} \| ){5}\d\.\d{3}) \|$", text, re.MULTILINE)
    methods = ("memory-network", "memory-network-fast", "maml", "mamlpp", "metanet", "seq2seq", "mlp-finetuned")
    methods += ("memory", "memory-on-mlp")
    assert len(rows) == len(methods)
    found = _of_pedestrians("ten")
    for method, (_, shown) in zip(methods, rows, strict=True):
        numbers = []
        for task in ("25 Hz", "12.5 Hz"):
            of, plain = _by_seed(found, method, task), _by_seed(found, "constant-velocity", task)
            moments = ("mse, before", "mse, step 1", "mse")
            numbers += [f"{mean(of[s][when].mean / plain[s]['mse'].mean for s in of):.3f}" for when in moments]
            assert len(of) == 5
        assert shown.split(" | ") == numbers


def test_the_table_of_rare_classes_is_that_of_the_results():
    rows = re.findall(
        r"^\| `([\w-]+)`: [^|]* \| ([\d.| ]*) \| (\d) \|$", README.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(rows) == 12
    names = [f"rare, {moment}" for moment in ("after 1", "after 2", "before 3", "after 5")] + ["frequent, after 5"]
    found = committed("rare-classes-mnist-*.json")
    for learner, shown, seeds in rows:
        numbers = [result.numbers for result in found if result.cell.method == learner]
        assert len(numbers) == int(seeds)
        assert shown.split(" | ") == [f"{100 * mean(each[name].mean for each in numbers):.1f}" for name in names]


def _shown(number):
    return f"{100 * number.mean:.2f} ± {100 * number.half_width:.2f}"


def test_the_table_of_the_write_gate_is_that_of_the_results():
    page = (README.parent / "docs" / "deviations.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (5|20)-way \| (\d+) % \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == 10
    for ways, share, shown in rows:
        found = committed(f"table1-omniglot-fastslow-{ways}w1s-default-20min-*-seed0.json")
        (result,) = (one for one in found if one.cell.options["row"] == "fastslow")  # not that with views
        ending = ", 5-shot" + (f", {share}% wrong labels" if share != "0" else "")
        numbers = [result.numbers[name + ending] for name in ("protonet", "accuracy", "write_gate")]
        assert shown.split(" | ") == [_shown(number) for number in numbers]


def test_what_is_said_of_the_gate_of_the_accurate_model_is_of_the_results():
    page = " ".join((README.parent / "docs" / "deviations.md").read_text(encoding="utf-8").split())
    for ways in (20, 5):
        found = committed(f"evaluate-omniglot-fastslow-{ways}w5s-*-seed0.json")
        of = {r.cell.options["wrong_labels"]: r.numbers for r in found if "wrong_labels" in r.cell.options}
        for name in ("accuracy", "protonet"):
            a, b, c, d = (f"{100 * of[share][name].mean:.2f}" for share in (0.1, 0.2, 0.3, 0.4))
            assert f"{a}, {b}, {c} and {d}" in page
