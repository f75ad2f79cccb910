"""What tells one few-shot run from another, and every committed result by its name."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from committed import read_once, result_files
from fastslow.errors import InputError
from fastslow.protocol.cells import RETIRED, evaluation_cell, fewshot_cell, without_seed
from fastslow.studies.fewshot_config import FewShotConfig
from fastslow.studies.names import refuse_bad_name
from result_sample import MEASURED, OPTIONS

pytestmark = pytest.mark.xdist_group("results")

FILES = result_files()


@pytest.mark.no_cover  # lines that others run
def test_every_committed_result_can_be_read_and_bears_the_name_of_its_cell():
    for path in FILES:  # one test of all: a thousand tests would take as long again to be handed out
        result = read_once(path)
        assert path.name == f"{result.cell.key}.json"
        assert result.provenance.command.startswith("fastslow "), path.name
        if result.cell.study == "fewshot":
            before = {name: value for name, value in result.cell.options.items() if name == "lengths"}
            assert fewshot_cell({**result.provenance.options, **before}) == result.cell, path.name


def test_there_are_committed_results():
    assert len(FILES) > 40


def test_bookkeeping_and_options_that_are_constants_now_leave_a_cell_alone():
    cell = fewshot_cell(OPTIONS)
    for changes in (
        {"name": "x"}, {"data_dir": Path("y")}, {"device": "cuda"}, {"checkpoint_seconds": 1.0}, {"runs": "z"},
        {"finetune_rate": 0.5}, {"clip": 1.0}, {"precision": "float32"},
        {"ink": "auto"}, {"crop": False},
    ):  # fmt: skip
        assert fewshot_cell(OPTIONS | changes) == cell
    nmn = OPTIONS | {"method": "nmn"}
    assert fewshot_cell(OPTIONS | {"finetune_rate": 0.01}) == cell  # fastslow never read it
    assert fewshot_cell(nmn | {"finetune_rate": 0.01}) != fewshot_cell(nmn)


def test_a_run_of_today_is_of_the_cell_of_one_with_all_the_options_of_before():
    today = FewShotConfig(data="omniglot", way=20, steps=7, seed=2)
    assert fewshot_cell({**today.plain(), **RETIRED}) == today.cell()


CHANGES = {
    "data": "omniglot", "split": "lake", "train_on": "train+validation", "way": 6, "shot": 2, "method": "protonet",
    "preset": "paper", "control": "zero_read", "model": {"num_slots": 9}, "minutes": 3.0, "steps": 11,
    "encoder": "pretrained:x", "tasks": 17, "learning_rates": [0.002, 0.002], "augment": False, "test": False,
    "unheard": 1, "ink": "dark", "crop": True,
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_every_other_option_makes_another_cell(name):
    assert fewshot_cell(OPTIONS | {name: CHANGES[name]}).row != fewshot_cell(OPTIONS).row


@given(st.sets(st.sampled_from(sorted(CHANGES))), st.sets(st.sampled_from(sorted(CHANGES))), st.integers(0, 9),
       st.integers(0, 9))  # fmt: skip
def test_runs_are_of_one_row_just_if_equal_but_for_the_seed(some, others, seed, other_seed):
    # Given minutes, steps say nothing: the two are one length.
    some, others = ({*names} - {"steps"} if "minutes" in names else {*names} for names in (some, others))
    one = fewshot_cell({**OPTIONS, **{name: CHANGES[name] for name in some}, "seed": seed})
    other = fewshot_cell({**OPTIONS, **{name: CHANGES[name] for name in others}, "seed": other_seed})
    assert (one.row == other.row) == (some == others)
    assert (one.key == other.key) == (some == others and seed == other_seed)


def test_folders_of_one_name_are_told_apart_and_from_the_data_set_of_that_name(tmp_path):
    places = ["digits", "./digits", "other/digits", str(tmp_path / "digits")]
    cells = [fewshot_cell(OPTIONS | {"data": data}) for data in places]
    assert {cell.data for cell in cells} == {"digits"}
    assert len({cell.row for cell in cells}) == 4
    assert fewshot_cell(OPTIONS | {"data": "./other/../digits/"}) == cells[1]


def test_evaluations_are_told_apart_by_queries_and_by_the_classes_of_a_folder():
    protocol = {name: MEASURED[name] for name in ("part", "split", "episodes", "seed")}
    named = {"model": "runs/x-seed0", "method": "fastslow", "data": "digits", "task": "5w1s", "seed": 0}
    usual = evaluation_cell(**named, protocol=protocol)
    assert evaluation_cell(**named, protocol=protocol | {"queries_per_class": 15, "split_sha256": "ab"}) == usual
    rows = {usual.row, evaluation_cell(**named, protocol=protocol | {"queries_per_class": 5}).row}
    for checksum in ("a" * 64, "b" * 64):
        folder = named | {"data": "./digits"}
        rows.add(evaluation_cell(**folder, protocol=protocol | {"split_sha256": checksum}).row)
    assert len(rows) == 4


def test_names_of_model_fields_are_one_with_dash_or_underscore():
    assert fewshot_cell(OPTIONS | {"model": {"num-slots": 9}}) == fewshot_cell(OPTIONS | {"model": {"num_slots": 9}})


def test_lengths_are_told_apart_and_named():
    lengths = [{"steps": 600}, {"steps": 6000}, {"steps": None, "minutes": 20.0}, {"steps": None, "minutes": 20.5}]
    cells = [fewshot_cell(OPTIONS | length) for length in lengths]
    assert [cell.options["length"] for cell in cells] == ["600steps", "6000steps", "20min", "20.5min"]
    assert len({cell.row for cell in cells}) == 4
    assert "-600steps-" in cells[0].key


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("runs/omniglot-5w1s-protonet-default-seed1", "omniglot-5w1s-protonet-default"),
        ("runs\\x-seed1", "x"),
        ("x-seed1", "x"),
        ("runs/x-seed2", "x-seed2"),
        ("runs/x-seed11", "x-seed11"),
        ("others/x-seed1", "others/x"),
        ("/a/runs/x-seed1", "/a/runs/x"),
        ("runs/x", "x"),
        ("pretrained:x-seed1", "pretrained:x-seed1"),
        (None, None),
    ],
)
def test_a_model_is_named_without_the_seed_of_the_run_that_starts_from_it(path, expected):
    assert without_seed(path, 1) == expected


def test_starting_from_models_of_their_own_seeds_makes_one_row_and_from_another_seeds_another():
    rows = [fewshot_cell(OPTIONS | {"seed": s, "encoder": f"runs/e-seed{e}"}).row for s, e in ((0, 0), (1, 1), (0, 1))]
    assert rows[0] == rows[1] != rows[2]


def test_an_evaluation_is_told_by_model_part_split_episodes_and_their_seed():
    protocol = {name: MEASURED[name] for name in ("part", "split", "episodes", "seed")}
    named = {"model": "runs/x-seed0", "method": "fastslow", "data": "a/glyphs", "task": "5w1s"}
    rows = {evaluation_cell(**named, protocol=protocol, seed=0).row}
    assert rows == {evaluation_cell(**named | {"model": "runs/x-seed1"}, protocol=protocol, seed=1).row}
    for change in ({"part": "validation"}, {"split": "lake"}, {"episodes": 5}, {"seed": 1}):
        rows.add(evaluation_cell(**named, protocol=protocol | change, seed=0).row)
    for change in ({"model": "pretrained:y"}, {"task": "5w5s"}, {"data": "omniglot"}, {"method": "nmn"}):
        rows.add(evaluation_cell(**named | change, protocol=protocol, seed=0).row)
    assert evaluation_cell(**named, protocol=protocol, seed=0, preparation={"ink": "auto", "crop": False}).row in rows
    for change in ({"ink": "dark", "crop": False}, {"ink": "auto", "crop": True}):
        rows.add(evaluation_cell(**named, protocol=protocol, seed=0, preparation=change).row)
    assert len(rows) == 11


def test_evaluations_on_harder_episodes_are_told_apart_and_the_usual_ones_keep_their_cell():
    protocol = {name: MEASURED[name] for name in ("part", "split", "episodes", "seed")}
    named = {"model": "runs/x-seed0", "method": "fastslow", "data": "omniglot", "task": "5w1s", "seed": 0}
    usual = evaluation_cell(**named, protocol=protocol)
    assert (
        evaluation_cell(**named, protocol=protocol | {"same_alphabet": False, "wrong_labels": 0.0, "rotations": "none"})
        == usual
    )
    rows = {usual.row}
    for change in ({"same_alphabet": True}, {"wrong_labels": 0.1}, {"wrong_labels": 0.2}, {"rotations": "episode"}):
        cell = evaluation_cell(**named, protocol=protocol | change | {"wrong_labels_each": 3})
        assert {name: cell.options[name] for name in change} == change
        rows.add(cell.row)
    assert len(rows) == 5


@pytest.mark.parametrize("seed", [0, 10**12 - 1])
def test_the_key_of_any_cell_is_a_name_that_a_run_may_have(seed):
    cell = fewshot_cell(OPTIONS | {"data": "x" * 250, "seed": seed})
    refuse_bad_name(cell.key)
    assert fewshot_cell(OPTIONS | {"data": "x" * 249, "seed": seed}).key != cell.key
    assert fewshot_cell(OPTIONS | {"data": "x" * 250, "seed": 1}).row == cell.row


@pytest.mark.parametrize("missing", ["data", "method", "seed", "way", "shot"])
def test_options_of_another_kind_of_run_are_refused(missing):
    with pytest.raises(InputError, match=missing):
        fewshot_cell({name: value for name, value in OPTIONS.items() if name != missing})
