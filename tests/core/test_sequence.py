import pytest
import torch
from torch.testing import assert_close

from fastslow.core.controllers import ControllerState
from fastslow.core.memory import MemoryState, detach_state
from fastslow.core.network import NeuralMemory
from fastslow.core.sequence.function import has_quick_form, memory_sequence, prefers_table
from fastslow.core.sequence.slots import TABLE_STEPS
from fastslow.errors import InputError

QUICK = {
    "literal": {},
    "query": {"compose": "query"},
    "residual": {"compose": "query", "residual_query": True, "input_size": 3},
    "one slot": {"num_slots": 1},
}
PLAIN = {
    "keyed": {"slots": "keyed"},
    "euclidean": {"similarity": "euclidean"},
    "least used": {"write_policy": "least_used"},
    "no recurrence": {"recurrent": False},
    "all ours": {
        "compose": "query",
        "slots": "keyed",
        "similarity": "euclidean",
        "write_policy": "least_used",
        "recurrent": False,
        "residual_query": True,
        "input_size": 3,
    },
}
EVERY_FORM = pytest.mark.parametrize("options", [*QUICK.values(), *PLAIN.values()], ids=[*QUICK, *PLAIN])
#: What comes back, as `everything` lists it.
RESULTS = ["outputs", "memory", "usage", "h_r", "c_r", "h_o", "c_o", "h_w", "c_w"]
QUICK_FORM = pytest.mark.parametrize("options", QUICK.values(), ids=QUICK)


@pytest.fixture(params=["slots", "table"], autouse=True)
def _form(request, monkeypatch):
    """Every test in the quick form for few slots and in the one for many, its sequences cut into several tables."""
    monkeypatch.setattr("fastslow.core.sequence.function.prefers_table", lambda _: request.param == "table")
    monkeypatch.setattr("fastslow.core.sequence.function.TABLE_STEPS", 3)


SIZES = pytest.mark.parametrize(("batch_size", "num_steps"), [(2, 5), (1, 1), (3, 1), (1, 6)])


def make(options, batch_size=2, num_steps=5, seed=0):
    """A memory in float64 with no weight at zero, features, and a state with no entry at zero; leaves all of them."""
    generator = torch.Generator().manual_seed(seed)
    memory = NeuralMemory(
        **{"input_size": 4, "dim": 3, "num_slots": 4, "generator": generator, **options},
    ).double()
    with torch.no_grad():
        for parameter in memory.parameters():
            parameter.normal_(generator=generator).mul_(0.7)

    def leaf(like):
        return torch.randn(like.shape, dtype=torch.double, generator=generator).requires_grad_()

    size = memory.input_controller.input_size
    features = leaf(torch.empty(batch_size, num_steps, size))
    blank = memory.initial_state(batch_size)
    state = rebuild(
        [
            leaf(tensor).detach().abs().requires_grad_() if k == 1 else leaf(tensor)
            for k, tensor in enumerate(flat(blank))
        ]
    )
    return memory, features, state


def flat(state):
    return [state.memory, state.usage, *(tensor for part in state[2:] for tensor in part)]


def rebuild(tensors):
    memory, usage, *rest = tensors
    return MemoryState(memory, usage, *(ControllerState(*rest[k : k + 2]) for k in (0, 2, 4)))


def loop(memory, features, state):
    outputs = []
    for t in range(features.shape[1]):
        output, state = memory(features[:, t], state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


def everything(outputs, state):
    return [outputs, *flat(state)]


def gradients(tensors, leaves, seed=1):
    """Of a sum that weighs every entry differently."""
    generator = torch.Generator().manual_seed(seed)
    loss = sum((t * torch.randn(t.shape, dtype=t.dtype, generator=generator)).sum() for t in tensors)
    return torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)


def leaves_of(memory, features, state):
    return [features, *(p for p in memory.parameters() if p.requires_grad), *flat(state)]


@EVERY_FORM
@SIZES
def test_equals_the_loop(options, batch_size, num_steps):
    memory, features, state = make(options, batch_size, num_steps)
    leaves = leaves_of(memory, features, state)
    quick, plain = (everything(*form(memory, features, state)) for form in (memory_sequence, loop))
    assert_close(quick, plain)
    assert_close(gradients(quick, leaves), gradients(plain, leaves))


@QUICK_FORM
@pytest.mark.parametrize("which", range(9), ids=RESULTS)
def test_gradients_of_each_result_alone(options, which):
    memory, features, state = make(options)
    leaves = leaves_of(memory, features, state)
    quick, plain = (everything(*form(memory, features, state))[which] for form in (memory_sequence, loop))
    assert_close(gradients([quick], leaves), gradients([plain], leaves))


def test_from_the_learned_slots():
    memory, features, _ = make({})
    leaves = [p for p in memory.parameters() if p.requires_grad]
    quick, plain = (
        memory_sequence(memory, features, memory.initial_state(2)),
        loop(memory, features, memory.initial_state(2)),
    )
    assert_close(gradients(everything(*quick), leaves), gradients(everything(*plain), leaves))


@QUICK_FORM
def test_a_learned_sharpness_counts(options):
    memory, features, state = make(options)
    memory.log_sharpness.requires_grad_()
    leaves = leaves_of(memory, features, state)
    quick, plain = (everything(*form(memory, features, state)) for form in (memory_sequence, loop))
    assert_close(gradients(quick, leaves), gradients(plain, leaves))


def test_single_precision_at_the_benchmark_size(monkeypatch):
    monkeypatch.setattr("fastslow.core.sequence.function.TABLE_STEPS", TABLE_STEPS)
    torch.manual_seed(0)
    memory = NeuralMemory(input_size=64, dim=64, num_slots=10)
    features = torch.randn(16, 30, 64, requires_grad=True)
    leaves = [features, *(p for p in memory.parameters() if p.requires_grad)]
    quick, plain = (everything(*form(memory, features, memory.initial_state(16))) for form in (memory_sequence, loop))
    assert_close(quick, plain, rtol=1e-4, atol=1e-5)
    assert_close(gradients(quick, leaves), gradients(plain, leaves), rtol=1e-3, atol=1e-3)


@QUICK_FORM
def test_gradcheck(options):
    memory, features, state = make(
        {**options, "dim": 2, "num_slots": 3, **({"input_size": 2} if "input_size" in options else {})}, 2, 3
    )
    leaves = leaves_of(memory, features, state)
    names = [name for name, p in memory.named_parameters() if p.requires_grad]

    def run(features, *tensors):
        parameters = dict(zip(names, tensors, strict=False))
        arguments = (memory, features, rebuild(tensors[len(names) :]))
        return torch.func.functional_call(
            Call(memory), {f"memory.{k}": v for k, v in parameters.items()}, arguments[1:]
        )

    assert torch.autograd.gradcheck(run, leaves, fast_mode=True)


class Call(torch.nn.Module):
    def __init__(self, memory):
        super().__init__()
        self.memory = memory

    def forward(self, features, state):
        outputs, memory, _, *controllers = everything(*memory_sequence(self.memory, features, state))
        return outputs, memory, *controllers  # The usage counts address weights without their gradient.


@EVERY_FORM
def test_chained_pieces_equal_the_whole(options):
    memory, features, state = make(options, num_steps=7)
    leaves = leaves_of(memory, features, state)
    whole = everything(*memory_sequence(memory, features, state))
    pieces, carried = [], state
    for piece in features.split([3, 1, 3], 1):
        outputs, carried = memory_sequence(memory, piece, carried)
        pieces.append(outputs)
    chained = everything(torch.cat(pieces, 1), carried)
    assert_close(chained, whole)
    assert_close(gradients(chained, leaves), gradients(whole, leaves))


@QUICK_FORM
@pytest.mark.parametrize("block_bytes", [1, 2000])
def test_cut_into_blocks_the_same(options, block_bytes, monkeypatch):
    memory, features, state = make(options, num_steps=7)
    leaves = leaves_of(memory, features, state)
    whole = everything(*memory_sequence(memory, features, state))
    monkeypatch.setattr("fastslow.core.sequence.function.BLOCK_BYTES", block_bytes)
    cut = everything(*memory_sequence(memory, features, state))
    assert_close(cut, whole)
    assert_close(gradients(cut, leaves), gradients(whole, leaves))


@EVERY_FORM
def test_without_gradients_the_same_and_nothing_is_modified(options):
    memory, features, state = make(options)
    before = [tensor.clone() for tensor in (features, *flat(state))]
    with_gradients = everything(*memory_sequence(memory, features, state))
    with torch.no_grad():
        without = everything(*memory_sequence(memory, features, state))
    assert_close(without, [tensor.detach() for tensor in with_gradients])
    assert not any(tensor.requires_grad for tensor in without)
    assert_close([features, *flat(state)], before, rtol=0, atol=0)


def test_backward_can_run_twice_over_a_kept_graph():
    memory, features, state = make({})
    outputs, _ = memory_sequence(memory, features, state)
    leaves = leaves_of(memory, features, state)[:-4]
    first, second = (
        torch.autograd.grad(outputs.square().sum(), leaves, retain_graph=True, allow_unused=True) for _ in range(2)
    )
    assert_close([g for g in first if g is not None], [g for g in second if g is not None], rtol=0, atol=0)


@QUICK_FORM
def test_second_derivatives_are_refused(options):
    memory, features, state = make(options)
    outputs, _ = memory_sequence(memory, features, state)
    (grad,) = torch.autograd.grad(outputs.square().sum(), features, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


def test_which_memories_have_a_quick_form():
    assert all(has_quick_form(make(options)[0]) for options in QUICK.values())
    assert not any(has_quick_form(make(options)[0]) for options in PLAIN.values())


@pytest.mark.parametrize(
    ("num_slots", "dim", "table"), [(10, 64, False), (128, 64, True), (64, 128, True), (4000, 3, False)]
)
def test_many_slots_prefer_a_table_where_it_is_smaller(num_slots, dim, table):
    assert prefers_table(NeuralMemory(input_size=4, dim=dim, num_slots=num_slots)) == table


def test_only_what_needs_gradients_gets_them():
    memory, features, state = make({})
    for parameter in memory.parameters():
        parameter.requires_grad_(False)
    memory.write_controller.weight_hh.requires_grad_()
    outputs, _ = memory_sequence(memory, features.detach(), detach_state(state))
    outputs.sum().backward()
    assert [name for name, p in memory.named_parameters() if p.grad is not None] == ["write_controller.weight_hh"]


def test_no_steps_leave_the_state():
    memory, features, state = make({})
    outputs, after = memory_sequence(memory, features[:, :0], state)
    assert outputs.shape == (2, 0, 3)
    assert after is state


@EVERY_FORM
def test_autocast_takes_the_loop(options):
    torch.manual_seed(0)
    memory = NeuralMemory(**{"input_size": 4, "dim": 3, "num_slots": 4, **options})
    features = torch.randn(2, 5, memory.input_controller.input_size)
    expected, _ = memory_sequence(memory, features, memory.initial_state(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, after = memory_sequence(memory, features, memory.initial_state(2))
        step_by_step, _ = loop(memory, features, memory.initial_state(2))
    assert torch.equal(outputs, step_by_step)
    assert after.memory.dtype == torch.float32  # what is remembered stays whole
    assert_close(outputs.float(), expected, rtol=0.1, atol=0.05)


def test_wrong_sizes_are_refused():
    memory, features, state = make({})
    with pytest.raises(InputError, match="takes 4 features; 2 came"):
        memory_sequence(memory, features[..., :2], state)
    with pytest.raises(InputError, match="1 sequences came with a state for 2"):
        memory_sequence(memory, features[:1], state)
