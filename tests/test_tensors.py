from __future__ import annotations

import errno
import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from fastslow.errors import InputError
from fastslow.tensors import fill, load_tensors, refuse_others, save_tensors
from mutations import FUZZ, attempt, damaged

HEADER = {"method": "fastslow", "model": {"dim": 8, "rates": [0.1, 1e-7], "name": "é"}, "format": 3}


def tensors():
    generator = torch.Generator().manual_seed(0)
    return {
        "weight": torch.randn(4, 3, generator=generator), "scalar": torch.tensor(2.5), "none": torch.zeros(0, 3),
        "double": torch.randn(2, generator=generator, dtype=torch.float64), "half": torch.ones(3, dtype=torch.float16),
        "brain": torch.ones(3, dtype=torch.bfloat16), "count": torch.arange(5), "flag": torch.tensor([True, False]),
        "small": torch.arange(5, dtype=torch.int8), "byte": torch.arange(5, dtype=torch.uint8),
    }  # fmt: skip


def same(got, wanted):
    return got.keys() == wanted.keys() and all(
        got[name].dtype == tensor.dtype and torch.equal(got[name], tensor) for name, tensor in wanted.items()
    )


@pytest.fixture
def path(tmp_path):
    save_tensors(tmp_path / "model.safetensors", tensors(), HEADER)
    return tmp_path / "model.safetensors"


def test_tensors_and_header_come_back_bit_for_bit(path):
    for source in (path, str(path)):
        got, header = load_tensors(source)
        assert same(got, tensors())
        assert header == HEADER
    assert list(path.parent.iterdir()) == [path]


def test_the_same_content_makes_the_same_file(path, tmp_path):
    backwards = dict(reversed(tensors().items()))
    save_tensors(str(tmp_path / "again"), backwards, HEADER)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()


def test_other_programs_can_read_the_file(path):
    assert same(load_file(path), tensors())


def test_global_dtype_device_and_random_stream_do_not_matter(path):
    stream = torch.get_rng_state()
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            got, _ = load_tensors(path)
    finally:
        torch.set_default_dtype(torch.float32)
    assert same(got, tensors())
    assert torch.equal(stream, torch.get_rng_state())


def test_shared_strided_and_trained_tensors_can_be_written(tmp_path):
    weight = nn.Parameter(torch.arange(6.0).reshape(2, 3))
    save_tensors(tmp_path / "x", {"a": weight, "b": weight, "c": weight.T, "d": weight[:, 1]}, {})
    got, _ = load_tensors(tmp_path / "x")
    assert same(got, {"a": weight.data, "b": weight.data, "c": weight.data.T, "d": weight.data[:, 1]})


def test_halved_floats_come_back_in_their_dtype_and_the_file_says_so(path, tmp_path):
    save_tensors(tmp_path / "half", tensors(), HEADER, half=True)
    got, header = load_tensors(tmp_path / "half")
    wide = {name for name, tensor in tensors().items() if tensor.dtype in (torch.float32, torch.float64)}
    assert same(got, {k: t.half().to(t.dtype) if k in wide else t for k, t in tensors().items()})
    assert header == HEADER
    stored = load_file(tmp_path / "half")
    assert {name for name in wide if stored[name].dtype == torch.float16} == wide


def test_numbers_too_large_for_16_bits_are_refused_when_written(tmp_path):
    save_tensors(tmp_path / "full", {"a": torch.tensor([1e6])}, {})
    with pytest.raises(InputError, match=r"got 'a' with numbers that are not finite in torch\.float16; .* 32 bits"):
        save_tensors(tmp_path / "half", {"a": torch.tensor([1e6])}, {}, half=True)
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_numbers_that_are_not_finite_are_refused_written_and_read(tmp_path, value, dtype, monkeypatch):
    bad = {"good": torch.ones(2), "bad": torch.tensor([1, value], dtype=dtype)}
    with pytest.raises(InputError, match="got 'bad' with numbers that are not finite"):
        save_tensors(tmp_path / "x", bad, {})
    monkeypatch.setattr("fastslow.tensors._refuse_unstorable", lambda *_: None)
    save_tensors(tmp_path / "x", bad, {})
    monkeypatch.undo()
    with pytest.raises(InputError, match="x: got 'bad' with numbers that are not finite"):
        load_tensors(tmp_path / "x")


def test_dtypes_that_no_file_holds_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"got 'a' of torch\.complex64; a file holds F64, F32"):
        save_tensors(tmp_path / "x", {"a": torch.ones(1, dtype=torch.complex64)}, {})


@pytest.mark.parametrize("header", [{"x": "y" * 2**20}, {"a": {}}], ids=["large", "deep"])
def test_a_header_that_could_not_be_read_is_not_written(tmp_path, header):
    for _ in range(100 if "a" in header else 0):
        header = {"a": header}
    with pytest.raises(InputError, match="what is to be written to"):
        save_tensors(tmp_path / "x", {"a": torch.ones(1)}, header)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"model\.safetensors cannot be written \(No space left on device\)"):
        save_tensors(path, {"a": torch.zeros(1)}, {})
    monkeypatch.undo()
    assert same(load_tensors(path)[0], tensors())


def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(path):
    content = path.read_bytes()
    refused = 0
    places = range(0, len(content), 5)
    for i in places:
        damaged = bytearray(content)
        damaged[i] ^= 1 << i % 8
        path.write_bytes(damaged)
        got, message = attempt(load_tensors, path)
        assert "model.safetensors" in message if got is None else same(got[0], tensors()) and got[1] == HEADER
        refused += got is None
    assert refused > 0.95 * len(places)  # the rest is the padding behind the names


@FUZZ
@given(st.data())
def test_damaged_files_are_refused_or_read_as_they_were(path, data):
    save_tensors(path, tensors(), HEADER)
    path.write_bytes(data.draw(damaged(path.read_bytes())))
    got, message = attempt(load_tensors, path)
    if got is None:
        assert "model.safetensors" in message
        assert len(message) < 500
    else:
        assert same(got[0], tensors())
        assert got[1] == HEADER


BIG = {"dtype": "U8", "shape": [2**30], "data_offsets": [0, 2**30]}


def edit(path, change):
    """The file with what it announces changed, in its own length and form."""
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    announced = json.loads(content[8 : 8 + length])
    about = json.loads(announced["__metadata__"]["fastslow"])
    change(announced, about)
    if "__metadata__" in announced:
        announced["__metadata__"]["fastslow"] = json.dumps(about)
    text = json.dumps(announced).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _, about: about["header"]["model"].update(dim=9), "its checksum is another"),
        (lambda _, about: about["header"].update(zero_read=True), "its checksum is another"),
        (lambda _, about: about["halved"].update(half="F32"), "its checksum is another"),
        (lambda _, about: about.update(sha256="0" * 64), "its checksum is another"),
        (lambda _, about: about.pop("sha256"), "it describes its tensors by"),
        (lambda _, about: about.update(header=[]), "it describes its tensors by"),
        (lambda all_, _: all_.pop("__metadata__"), "does not say what its tensors are"),
        (lambda all_, _: all_["weight"].update(dtype="I32"), "its checksum is another"),
        (lambda all_, _: all_["weight"].update(shape=[3, 4]), "its checksum is another"),
        (lambda all_, _: all_["weight"].update(dtype="F8_E5M2"), "it announces 'weight' as"),
        (lambda all_, _: all_["weight"].update(shape=[2**40, 2**40]), "it announces 'weight' as"),
        (lambda all_, _: all_["none"].update(shape=[0, 2**62]), "it announces 'none' as"),
        (lambda all_, _: all_["weight"].update(shape=[-4, -3]), "it announces 'weight' as"),
        (lambda all_, _: all_["weight"].update(shape=[True, 12]), "it announces 'weight' as"),
        (lambda all_, _: all_.update(weight=5), "it announces 'weight' as 5"),
        (lambda all_, _: all_.update(b=BIG), "does not begin"),
        (lambda all_, _: all_.pop("weight"), "does not begin where the tensor before it ends"),
        (lambda all_, _: all_.update(other=all_.pop("weight")), "its checksum is another"),
        (lambda all_, _: all_.update(weight=all_["byte"], byte=all_["weight"]), "its checksum is another"),
    ],
)  # fmt: skip
def test_edited_files_are_refused_by_name(path, change, message):
    edit(path, lambda *_: None)
    assert same(load_tensors(path)[0], tensors())
    edit(path, change)
    with pytest.raises(InputError, match=rf"model\.safetensors .*{message}"):
        load_tensors(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"x" * 7, b"x" * 100, (2**60).to_bytes(8, "little") + b"{}", bytes(8) + b"{}", b"\2" + bytes(7) + b"[]",
     b"\2" + bytes(7) + b"\xff\xff", b"\2" + bytes(7) + b"{}", (50).to_bytes(8, "little") + b'{"a":' * 10],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_such_file_is_refused_by_name(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="/x "):
        load_tensors(tmp_path / "x")


def test_missing_foreign_and_oversized_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no file"):
        load_tensors(tmp_path / "nowhere")
    save_file({"a": torch.ones(2)}, tmp_path / "foreign")
    with pytest.raises(InputError, match="foreign does not say what its tensors are; give a file that this version"):
        load_tensors(tmp_path / "foreign")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(2**40)  # no bytes of it on the disk
    with pytest.raises(InputError, match="large is larger than 128 MiB, the most that is read"):
        load_tensors(tmp_path / "large")
    save_tensors(tmp_path / "x", {"a": torch.ones(100)}, {})
    with pytest.raises(InputError, match="is larger than"):
        load_tensors(tmp_path / "x", max_bytes=300)


def module():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


def test_a_module_is_filled_with_what_it_was(tmp_path):
    made = module()
    save_tensors(tmp_path / "x", made.state_dict(), {})
    other = module()
    fill(other, load_tensors(tmp_path / "x")[0], tmp_path / "x")
    assert same(other.state_dict(), made.state_dict())
    save_tensors(tmp_path / "half", made.state_dict(), {}, half=True)
    fill(other, load_tensors(tmp_path / "half")[0], tmp_path / "half")
    assert torch.equal(other[0].weight, made[0].weight.half().float())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("0.bias"), r"x has no 0\.bias: its header and its tensors do not belong together"),
        (lambda state: state.update(extra=torch.ones(1)), "x has a superfluous extra"),
        (lambda state: state.update({"0.bias": torch.ones(3)}), r"x has 0\.bias of shape \(3,\), .* asks for \(2,\)"),
        (lambda state: state.update({"0.bias": torch.ones(2, dtype=torch.int64)}), r"0\.bias of dtype torch\.int64"),
        (lambda state: state.update({"0.bias": torch.ones(2).half()}), r"0\.bias of dtype torch\.float16"),
    ],
)
def test_other_tensors_are_refused_before_any_is_loaded(change, message):
    made, other = module(), module()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    state = other.state_dict()
    change(state)
    with pytest.raises(InputError, match=message):
        fill(made, state, "x")
    assert same(made.state_dict(), before)


def test_shapes_can_be_compared_before_memory_is_taken():
    with torch.device("meta"):
        huge = nn.Linear(10**6, 10**6)
    with pytest.raises(InputError, match=r"has weight of shape \(2, 2\), but its header asks for \(1000000, 1000000\)"):
        refuse_others(huge.state_dict(), nn.Linear(2, 2).state_dict(), "x")
