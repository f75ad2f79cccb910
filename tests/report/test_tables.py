from __future__ import annotations

import pytest

from fastslow.report.tables import seed_table


def result(accuracy, seed, **options):
    return {
        "data": "omniglot", "part": "test", "n_way": 5, "n_shot": 1, "method": "fastslow", "preset": "default",
        "control": "none",
        "accuracy_mean": accuracy, "accuracy_ci95": 0.001, "training_seed": seed, "training_seconds": 60,
        "beside": {"protonet": {"accuracy_mean": 0.5}},
        "options": {"steps": 10, "minutes": None, "encoder": None, **options},
    }  # fmt: skip


def test_seeds_of_one_configuration_make_one_row():
    # Mean 0.92; standard deviation 0.04 / sqrt(2), over two seeds 0.02.
    lines = seed_table([result(0.94, 1), result(0.90, 0)]).splitlines()
    assert len(lines) == 3
    assert "92.00 ± 2.00 (2)" in lines[2]
    assert "90.00 ± 0.10, 94.00 ± 0.10" in lines[2]


def test_accuracies_on_other_classes_make_another_row():
    table = seed_table([result(0.9, 0), {**result(0.8, 0), "part": "validation"}])
    assert "1-shot, validation classes | fastslow" in table
    assert "90.00 (1)" in table


@pytest.mark.parametrize(
    "other", [{"steps": 20}, {"steps": None, "minutes": 20.0}, {"encoder": "runs/x"}, {"fit_weight": 1.0}]
)
def test_runs_of_other_length_make_another_row(other):
    table = seed_table([result(0.9, 0), result(0.8, 0, **other)])
    assert len(table.splitlines()) == 4
    assert "90.00 (1)" in table
    assert "80.00 (1)" in table
    assert {line.count("|") for line in table.splitlines()} == {10}


def test_what_is_no_training_run_is_left_out():
    only = {key: value for key, value in result(0.9, 0).items() if key != "training_seed"}
    assert len(seed_table([only]).splitlines()) == 2


def test_rows_come_in_the_order_of_their_numbers():
    runs = [
        {**result(0.9, 0), "options": {**result(0.9, 0)["options"], "steps": steps}} for steps in (20000, 600, 6000)
    ]
    lengths = [line.split("|")[5] for line in seed_table(runs).splitlines()[2:]]
    assert [int(length.split()[0]) for length in lengths] == [600, 6000, 20000]
