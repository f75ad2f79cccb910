import io
import math

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastslow import tensors
from fastslow.errors import InputError
from fastslow.training.run import RUN_FILES, Run, refuse_unreadable


def test_metrics_come_back_in_the_order_they_were_logged(tmp_path):
    run = Run(tmp_path / "run")
    assert run.read_metrics() == []
    for step in range(3):
        run.log(step=step, loss=step / 7, stage="memory")
    assert run.read_metrics() == [{"step": step, "loss": step / 7, "stage": "memory"} for step in range(3)]
    run.save_checkpoint({"step": 3})
    run.close()
    with Run(tmp_path / "run", resume=True) as again:
        assert again.read_metrics() == run.read_metrics()


@pytest.mark.parametrize(("keep", "left"), [(0, []), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 1, 2])])
def test_truncate_keeps_the_first_lines_and_logging_goes_on_after_them(tmp_path, keep, left):
    run = Run(tmp_path)
    for step in range(3):
        run.log(step=step)
    run.truncate_metrics(keep)
    run.log(step="next")
    assert [line["step"] for line in run.read_metrics()] == [*left, "next"]


def test_truncate_drops_the_line_a_killed_run_left_half_written(tmp_path):
    run = Run(tmp_path)
    run.log(step=0)
    with run.metrics_path.open("a") as file:
        file.write('{"step": 1, "lo')
    run.truncate_metrics(1)
    assert run.read_metrics() == [{"step": 0}]


def test_truncate_without_metrics_leaves_none(tmp_path):
    run = Run(tmp_path)
    run.truncate_metrics(5)
    assert run.read_metrics() == []


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path):
    run = Run(tmp_path)
    state = {"weights": torch.randn(5), "step": 7, "generator": torch.Generator().manual_seed(3).get_state()}
    run.save_checkpoint({"step": 1})
    run.save_checkpoint(state)
    run.close()
    loaded = Run.load_checkpoint(tmp_path)
    assert loaded.keys() == state.keys()
    assert loaded["step"] == 7
    assert torch.equal(loaded["weights"], state["weights"])
    assert torch.equal(loaded["generator"], state["generator"])
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint.pt"]


def test_a_checkpoint_is_read_back_whatever_its_size(tmp_path, monkeypatch):
    monkeypatch.setattr("fastslow.training.run.MAX_BYTES", 1000)
    weights = torch.randn(1000)
    with Run(tmp_path) as run:
        run.save_checkpoint({"weights": weights})
    assert torch.equal(Run.load_checkpoint(tmp_path)["weights"], weights)


@pytest.mark.parametrize("room", [0, -1])
def test_a_model_whose_file_could_not_be_read_back_is_refused(monkeypatch, room):
    model = torch.nn.Linear(9, 1, bias=False)  # of 36 bytes
    monkeypatch.setattr(tensors, "MAX_BYTES", tensors.MAX_HEADER_BYTES + 36 + room)
    if room < 0:
        with pytest.raises(InputError, match=r"got a model of .* MiB; the largest that is read back .*: make it small"):
            refuse_unreadable(model)
    else:
        refuse_unreadable(model)


def test_a_missing_checkpoint_is_refused_by_name_and_nothing_is_made(tmp_path):
    folder = tmp_path / "never"
    with pytest.raises(
        InputError, match=r"nothing to resume: there is no .*never/checkpoint\.pt; run without --resume"
    ):
        Run.load_checkpoint(folder)
    assert not folder.exists()


def refused(folder):
    with pytest.raises(InputError, match=r"checkpoint\.pt is corrupt or truncated, .*; delete it and start without"):
        Run.load_checkpoint(folder)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint_is_refused_by_name(tmp_path, share):
    run = Run(tmp_path)
    run.save_checkpoint({"weights": torch.randn(1000)})
    content = run.checkpoint_path.read_bytes()
    run.checkpoint_path.write_bytes(content[: int(share * len(content))])
    refused(tmp_path)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
@example(b"")
@example(b".")
@example(b"ru")
@example(b"ju\xc0\xc4W")
@example(b"cK\x80\n")
@example(b"an ordinary text file\n")
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_file_that_is_no_checkpoint_is_refused_by_name(tmp_path, content):
    (tmp_path / "checkpoint.pt").write_bytes(content)
    refused(tmp_path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path, capsys):
    class Malicious:
        def __reduce__(self):
            return (print, ("code ran",))

    run = Run(tmp_path)
    run.save_checkpoint({"weights": Malicious()})  # with the checksum that it has to have
    with pytest.raises(InputError, match=r"checkpoint\.pt is corrupt or truncated, .*delete it"):
        Run.load_checkpoint(tmp_path)
    assert "code ran" not in capsys.readouterr().out


STATE = {"step": 7, "stage": 1, "seconds": 2.5, "learner": {"weight": torch.arange(6.0)}, "options": {"seed": 1}}
SCHEMA = {"step": range(100), "stage": range(4), "seconds": float, "learner": dict, "options": dict}


@pytest.fixture
def checkpoint(tmp_path):
    with Run(tmp_path) as run:
        run.save_checkpoint(STATE)
    return run.checkpoint_path


def test_a_flipped_bit_anywhere_in_a_checkpoint_is_refused(checkpoint):
    content = checkpoint.read_bytes()
    for i in range(0, len(content), max(1, len(content) // 200)):
        damaged = bytearray(content)
        damaged[i] ^= 1 << i % 8
        checkpoint.write_bytes(damaged)
        refused(checkpoint.parent)


def test_torch_reads_a_checkpoint_by_itself(checkpoint):
    assert torch.load(checkpoint, weights_only=True)["step"] == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stage": 99}, "has stage=99; one of 0 to 3 was expected"),
        ({"stage": True}, "has stage=True; one of 0 to 3"),
        ({"step": 2.0}, "has step=2.0; one of 0 to 99"),
        ({"seconds": math.nan}, "has seconds=nan; float was expected"),
        ({"seconds": "2"}, "has seconds='2'; float was expected"),
        ({"seconds": False}, "has seconds=False; float was expected"),
        ({"learner": [1]}, r"has learner=\[1\]; dict was expected"),
        ({"colour": 1}, "has a superfluous 'colour'; it is of another version"),
    ],
    ids=str,
)
def test_a_checkpoint_of_other_keys_types_or_ranges_is_refused(checkpoint, change, message):
    assert Run.load_checkpoint(checkpoint.parent, SCHEMA)["stage"] == 1
    with Run(checkpoint.parent, resume=True) as run:
        run.save_checkpoint(STATE | change)
    with pytest.raises(InputError, match=rf"checkpoint\.pt {message}"):
        Run.load_checkpoint(checkpoint.parent, SCHEMA)


def test_a_checkpoint_without_a_key_is_refused(checkpoint):
    with pytest.raises(InputError, match="has no 'split_sha256'; it is of another version"):
        Run.load_checkpoint(checkpoint.parent, {**SCHEMA, "split_sha256": str})


def test_a_checkpoint_that_may_not_be_read_is_not_called_corrupt(checkpoint, monkeypatch):
    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\); see that you may") as refusal:
        Run.load_checkpoint(checkpoint.parent)
    assert "delete" not in str(refusal.value)


@pytest.mark.parametrize("name", RUN_FILES)
def test_a_folder_with_any_file_of_a_run_is_taken(tmp_path, name):
    (tmp_path / name).write_text("kept")
    with pytest.raises(InputError, match="holds a run already"):
        Run(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "kept"


def test_a_folder_with_other_files_is_free(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with Run(tmp_path) as run:
        assert run.read_metrics() == []


def test_a_refused_run_leaves_no_folder(tmp_path):
    with pytest.raises(InputError, match=r"nothing to resume: there is no .*checkpoint\.pt; run without --resume"):
        Run(tmp_path / "runs" / "mine", resume=True)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_never_share_a_folder(tmp_path):
    with Run(tmp_path / "run") as first:
        first.save_checkpoint({"step": 1})
        for resume in (False, True):
            with pytest.raises(InputError, match=r"run is in use by process [0-9]+ on"):
                Run(tmp_path / "run", resume=resume)
    with Run(tmp_path / "run", resume=True):
        assert Run.load_checkpoint(tmp_path / "run") == {"step": 1}


def test_numbers_that_are_not_finite_are_logged_as_none(tmp_path):
    with Run(tmp_path) as run:
        run.log(loss=math.nan, qualities={"cosine": [math.inf, 0.5]}, tensor=torch.tensor(1.5))
        assert run.read_metrics() == [{"loss": None, "qualities": {"cosine": [None, 0.5]}, "tensor": 1.5}]


def test_a_line_that_the_disk_has_no_room_for_is_not_half_logged(tmp_path, monkeypatch):
    class Full(io.FileIO):
        def write(self, data):
            super().write(data[:5])
            raise OSError(28, "No space left on device")

    with Run(tmp_path) as run:
        run.log(step=0)
        monkeypatch.setattr(type(tmp_path), "open", lambda path, mode: Full(path, mode))
        with pytest.raises(InputError, match=r"metrics\.jsonl cannot be written \(No space left on device\)"):
            run.log(step=1)
        monkeypatch.undo()
        assert run.read_metrics() == [{"step": 0}]


def test_damaged_metrics_are_refused_by_line(tmp_path):
    with Run(tmp_path) as run:
        run.log(step=0)
        with run.metrics_path.open("a") as file:
            file.write('{"step": NaN}\n')
        with pytest.raises(InputError, match=r"metrics\.jsonl, line 2, is no JSON \(NaN is no number\)"):
            run.read_metrics()
