from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch

from fastslow.errors import InputError, refuse_unknown, shown, shown_path, shown_reason

#: Options that there are not, and labels that are none. Run apart, as users have it: in this process types are checked
#: before anything is called.
UNCHECKED = """
import json
import torch
from fastslow import load_pretrained
from fastslow.core.literal_memory import LiteralMemory
from fastslow.methods.config import preset

def paper(**options):
    wrapped = {name: (value,) if name == "fast_controllers" else value for name, value in options.items()}
    return preset("paper", **wrapped)

makers = {"compose": lambda **options: LiteralMemory(input_size=3, dim=2, **options)}
makers |= dict.fromkeys(("method", "preset", "control", "fast_controllers"), paper)
classifier = load_pretrained("omniglot-5w1s-fast")

def attempt(call, *arguments, **options):
    try:
        return repr(call(*arguments, **options))
    except ValueError as error:
        return str(error)

messages = {
    "options": {name: attempt(make, **{name: "nonsense"}) for name, make in makers.items()},
    "names": [attempt(classifier.learn, torch.zeros(2, 28, 28), labels) for labels in (None, 3, [["a"], ["b"]])],
    "numbers": [attempt(classifier.method.learn, torch.zeros(2, 2, 128), labels)
                for labels in (torch.tensor([1, 1]), torch.tensor([[1, 1]]), torch.ones(2, 2))],
}
print(json.dumps(messages))
"""


def test_what_types_do_not_stop_is_refused_in_words():
    done = subprocess.run([sys.executable, "-c", UNCHECKED], capture_output=True, text=True, check=True)
    messages = json.loads(done.stdout)
    assert len(messages["options"]) == 5
    for name, message in messages["options"].items():
        assert message.startswith(f"got {name}='nonsense'; choose from [")
    assert all("the labels cannot be used" in message for message in messages["names"])
    assert all("give one int64 label per example, shape (2, 2)" in message for message in messages["numbers"])


def test_the_first_unknown_value_is_named():
    refuse_unknown({"colour": ("red", ("red", "blue"))})
    with pytest.raises(InputError, match=r"got shape='oval'; choose from \['round', 'square'\]"):
        refuse_unknown({"colour": ("red", ("red", "blue")), "shape": ("oval", ("round", "square"))})


@pytest.mark.parametrize("value", [5, 2.5, "text", [1, (2, 3)], {"a": None}, {1, 2}, True, None, b"x", InputError("x")])
def test_short_values_are_shown_as_they_are(value):
    assert shown(value) == repr(value)


def test_no_value_makes_a_long_message():
    bomb = "x"
    for _ in range(30):
        bomb = [bomb] * 30  # 30 ** 30 texts, if it were written out
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (bomb, deep, "x" * 10**7, 10**10_000, {"k" * 10**6: 1}, "a\nb" * 100, torch.zeros(100, 100)):
        assert len(shown(value)) <= 80
        assert "\n" not in shown(value)
    assert shown(10**10_000) == "a very large int"
    assert shown("x" * 100).endswith("xxx...")


def test_paths_and_reasons_are_shown_on_one_short_line():
    assert shown_path("runs/mine") == "runs/mine"
    assert shown_path("a\nb\x1b[31m\udc80") == "a?b?[31m?"
    assert len(shown_path("n" * 10**6 + "/end")) == 200
    assert shown_path("n" * 10**6 + "/end").endswith("n/end")
    assert shown_reason(OSError(28, "No space left on device", "name")) == "No space left on device"
    assert shown_reason(ValueError("first\nsecond")) == "first"
    assert shown_reason(ValueError()) == "ValueError"
    assert shown_reason(OSError("cannot identify image file <_io.BytesIO object at 0x7fa7>")) == (
        "cannot identify image file"
    )
    assert len(shown_reason(ValueError("x" * 10**6))) == 80
