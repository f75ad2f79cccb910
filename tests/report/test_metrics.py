"""Lines of `metrics.jsonl` are read as training writes them, and refused by file and line as it does not."""

import json
import math

import pytest

from fastslow.errors import InputError
from fastslow.report.metrics import LARGEST_METRICS, has_gradients, read_metrics, stages, training_time
from result_sample import GRADIENTS, METRICS


def line(**changes):
    return METRICS[0] | changes


def write(tmp_path, *lines, end="\n"):
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines) + end)
    return path


def test_lines_are_read_in_order_and_a_half_written_one_is_left_out(tmp_path):
    path = write(tmp_path, line(), line(stage="memory", gradients=GRADIENTS))
    points = read_metrics(path)
    assert [point.stage for point in points] == ["encoder", "memory"]
    assert points[1].gradients["input"].cosine == 0.1
    assert has_gradients(points)
    assert not has_gradients(points[:1])
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert read_metrics(path) == points[:1]
    path.write_bytes(whole + '{"stage": "é'.encode()[:-1])
    assert read_metrics(path) == points


def test_no_file_and_an_empty_one_hold_no_lines(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []
    assert read_metrics(write(tmp_path, end="")) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_quality_that_cannot_be_said_is_not_a_number_and_no_damage(tmp_path, value):
    quality = GRADIENTS["input"] | {"relative_error": value}
    (point,) = read_metrics(write(tmp_path, line(gradients={"input": quality})))
    assert math.isnan(point.gradients["input"].relative_error)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "no JSON"), ("", "no JSON"), ("[]", "holds list"), ("null", "holds NoneType"), ("\\", "no JSON"),
        ('{"a": ' * 10_000, "no JSON"), ({}, "stage=None"), (line(stage=3), "stage=3"),
        (line(stage="x" * 999), "stage"), (line(more="x" * 2**16), "a training writes at most 65536"),
        (line(loss="2.0"), "loss='2.0'"), (line(loss=math.nan), "loss=nan"), (line(loss=1e300), "loss=1e"),
        (line(seconds=-1), "seconds=-1"), (line(seconds=True), "seconds=True"), (line(done=37.0), r"done=37\.0"),
        (line(done=10**400), "done=1000"), (line(validation=98.7), r"validation=98\.7"), (line(step=None), "step=None"),
        (line(gradients=[]), r"gradients=\[\]"), (line(gradients={"other": {}}), "'other'"),
        (line(gradients={"input": 3}), r"gradients\.input=3"), (line(gradients={"input": {}}), "cosine=None"),
        (line(gradients={"input": GRADIENTS["input"] | {"cosine": 3.0}}), r"cosine=3\.0"),
    ],
)  # fmt: skip
def test_lines_that_no_training_wrote_are_refused_by_file_and_number(tmp_path, bad, message):
    with pytest.raises(InputError, match=message) as error:
        read_metrics(write(tmp_path, line(), bad, line()))
    assert "metrics.jsonl has a line 2 that" in str(error.value)
    assert len(str(error.value)) < 600


def test_other_bytes_too_many_stages_and_too_large_files_are_refused(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="line 1"):
        read_metrics(path)
    with pytest.raises(InputError, match="100 stages"):
        read_metrics(write(tmp_path, *(line(stage=str(i)) for i in range(100))))
    with path.open("wb") as file:
        file.truncate(LARGEST_METRICS + 1)
    with pytest.raises(InputError, match="bytes"):
        read_metrics(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="regular file"):
        read_metrics(path)


def test_training_time_adds_up_over_stages_and_turns_into_minutes(tmp_path):
    def points(*pairs):
        return read_metrics(write(tmp_path, *(line(stage=stage, seconds=s) for stage, s in pairs)))

    short = points(("encoder", 5.0), ("encoder", 10.0), ("memory", 2.0), ("finetune", 4.0))
    assert training_time(short) == ([5.0, 10.0, 12.0, 16.0], "s")
    assert [stage for stage, _ in stages(short)] == ["encoder", "memory", "finetune"]
    assert training_time(points(("encoder", 120.0), ("memory", 60.0))) == ([2.0, 3.0], "min")
