"""Whatever a file holds, reading it ends in a page, or one line that names it: never a traceback.

What damage by chance does to page and table is in `tests/robustness`.
"""

import copy
import json
import math
import random

import pytest

from fastslow.errors import InputError
from fastslow.report import page
from fastslow.report.sources import read_source
from mutations import places
from result_sample import GRADIENTS, METRICS
from robustness.text_readers import RUN, write_run


def report_or_refusal(folder, out):
    """Text of the page, or of the refusal, which names a file of the run."""
    _, refusal = outcome(lambda: page.write_report([folder], out))
    if refusal is None:
        return out.read_text(encoding="utf-8")
    assert any(name in refusal for name in RUN)
    assert len(refusal) < 1000
    return refusal


def outcome(work):
    """What some work gives, and the text of its refusal; one of the two is None. Nothing else may be raised."""
    try:
        return work(), None
    except InputError as error:
        return None, str(error)


EXTREMES = [
    {"loss": 1e12}, {"loss": -1e12}, {"seconds": 1e12}, {"seconds": 0}, {"done": 0}, {"validation": 1, "loss": 0},
    {"stage": "$x"}, {"stage": "x" * 100}, {"loss": 1e-300},
    {"gradients": {"write": dict.fromkeys(GRADIENTS["input"], math.nan)}},
    {"gradients": {"write": dict.fromkeys(GRADIENTS["input"], 0)}},
    {"gradients": {"write": GRADIENTS["input"] | {"true_norm": 1e12, "predicted_norm": 1e-300}}},
]  # fmt: skip


@pytest.mark.parametrize("change", EXTREMES, ids=range(len(EXTREMES)))
def test_the_most_extreme_values_that_pass_are_drawn(tmp_path, change):
    line = json.dumps(METRICS[0] | change) + "\n"
    write_run(tmp_path / "run", ("metrics.jsonl", line.encode()))
    (tmp_path / "run" / "result.json").unlink()
    assert "data:image/png" in report_or_refusal(tmp_path / "run", tmp_path / "page.html")


def test_every_value_of_a_run_may_be_any_other_and_pictures_are_drawn(tmp_path):
    generator = random.Random(0)
    odd = [None, True, 0, -1, 1e308, 10**400, math.nan, math.inf, "", "$x$", "0.5", [], {}]
    all_places = [(name, at) for name, lines in RUN.items() for at in places(lines) if len(at) > 1]
    for name, (*path, last) in generator.sample(all_places, 8):
        lines = copy.deepcopy(RUN[name])
        at = lines
        for part in path:
            at = at[part]
        at[last] = generator.choice(odd)
        write_run(tmp_path / "run", (name, "".join(json.dumps(line) + "\n" for line in lines).encode()))
        report_or_refusal(tmp_path / "run", tmp_path / "page.html")


@pytest.mark.parametrize("way", [0, 1, -5, True, "5", 5.0, None, 10**9, [5]])
def test_a_number_of_classes_that_is_none_marks_no_guessing(tmp_path, way):
    write_run(tmp_path / "run", ("config.json", json.dumps({"way": way}).encode()))
    (tmp_path / "run" / "result.json").unlink()
    assert read_source(tmp_path / "run").n_way is None


def test_a_page_that_cannot_be_made_leaves_the_old_one(tmp_path):
    write_run(tmp_path / "run")
    report_or_refusal(tmp_path / "run", tmp_path / "page.html")
    before = (tmp_path / "page.html").read_bytes()
    write_run(tmp_path / "run", ("result.json", b"{"))
    assert "result.json is no JSON" in report_or_refusal(tmp_path / "run", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["page.html", "run"]


def test_a_folder_of_runs_given_as_a_run_is_told_what_to_give(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match=r"has none of .*; give run folders, such as those in it, or result files"):
        read_source(tmp_path)
