import json
import stat

import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fastslow.errors import InputError
from fastslow.files import write_atomically, write_json
from fastslow.training.run import Run


def fail_half_way(path):
    path.write_text("half")
    raise RuntimeError("disk full")


def test_a_failing_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(path, fail_half_way)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failing_first_writer_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="disk full"):
        write_atomically(tmp_path / "file.txt", fail_half_way)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_the_old_one_until_it_is_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    path.parent.mkdir()
    path.write_text("old")

    def write(temporary):
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # the same file system, or the rename would be a copy

    write_atomically(path, write)
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert list(path.parent.iterdir()) == [path]


def test_folders_on_the_way_are_made(tmp_path):
    write_json(tmp_path / "a" / "b" / "file.json", {"way": 5, "path": tmp_path})
    text = (tmp_path / "a" / "b" / "file.json").read_text()
    assert json.loads(text) == {"way": 5, "path": str(tmp_path)}
    assert text.endswith("}\n")


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.json"
    write_json(path, {"way": 5})
    with pytest.raises(TypeError):
        write_json(path, {("a", "tuple"): 1})
    assert json.loads(path.read_text()) == {"way": 5}


def test_metrics_come_back_in_the_order_they_were_logged(tmp_path):
    run = Run(tmp_path / "run")
    assert run.read_metrics() == []
    for step in range(3):
        run.log(step=step, loss=step / 7, stage="memory")
    assert run.read_metrics() == [{"step": step, "loss": step / 7, "stage": "memory"} for step in range(3)]
    assert Run(tmp_path / "run").read_metrics() == run.read_metrics()


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
    loaded = Run.load_checkpoint(tmp_path)
    assert loaded.keys() == state.keys()
    assert loaded["step"] == 7
    assert torch.equal(loaded["weights"], state["weights"])
    assert torch.equal(loaded["generator"], state["generator"])
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint.pt"]


def test_a_missing_checkpoint_is_refused_by_name_and_nothing_is_made(tmp_path):
    folder = tmp_path / "never"
    with pytest.raises(
        InputError, match=r"nothing to resume: there is no .*never/checkpoint\.pt; run without --resume"
    ):
        Run.load_checkpoint(folder)
    assert not folder.exists()


def refused(folder):
    with pytest.raises(InputError, match=r"checkpoint\.pt is corrupt or truncated .*; delete it and start without"):
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


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Malicious:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"weights": Malicious()}, tmp_path / "checkpoint.pt")
    refused(tmp_path)


def test_places_where_no_file_can_be_written(tmp_path):
    (tmp_path / "file").write_text("kept")
    for path in (tmp_path, tmp_path / "file" / "below.json"):
        with pytest.raises(InputError, match="cannot be written: give a file in a folder that you may write to"):
            write_json(path, {})
    write_json(tmp_path / "new" / "folder" / "x.json", {})
    assert (tmp_path / "file").read_text() == "kept"
