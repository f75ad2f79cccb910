import pytest
import torch
from torch.testing import assert_close

from fastslow.core.controllers import ControllerState
from fastslow.core.literal_memory import LiteralMemory
from fastslow.core.memory import MemoryState, detach_state
from fastslow.core.sequence.function import has_quick_form, memory_sequence
from fastslow.core.sequence.window import Probes, memory_window
from fastslow.errors import InputError

QUICK = {
    "literal": {},
    "query": {"compose": "query"},
    "one slot": {"num_slots": 1},
}


class Subclass(LiteralMemory):
    """May do anything otherwise, so there is no quick form of it."""


PLAIN = {"subclass": {"kind": Subclass}}
EVERY_FORM = pytest.mark.parametrize("options", [*QUICK.values(), *PLAIN.values()], ids=[*QUICK, *PLAIN])
#: What comes back, as `everything` lists it.
RESULTS = ["outputs", "slots", "h_r", "c_r", "h_o", "c_o", "h_w", "c_w"]
QUICK_FORM = pytest.mark.parametrize("options", QUICK.values(), ids=QUICK)


SIZES = pytest.mark.parametrize(("batch_size", "num_steps"), [(2, 5), (1, 1), (3, 1), (1, 6)])


def build(kind=LiteralMemory, **options):
    return kind(**options)


def make(options, batch_size=2, num_steps=5, seed=0):
    """A memory in float64 with no weight at zero, features, and a state with no entry at zero; leaves all of them."""
    generator = torch.Generator().manual_seed(seed)
    memory = build(**{"input_size": 4, "dim": 3, "num_slots": 4, "generator": generator, **options}).double()
    with torch.no_grad():
        for parameter in (p for p in memory.parameters() if p.requires_grad):
            parameter.normal_(generator=generator).mul_(0.7)

    def leaf(like):
        return torch.randn(like.shape, dtype=torch.double, generator=generator).requires_grad_()

    size = memory.input_controller.input_size
    features = leaf(torch.empty(batch_size, num_steps, size))
    blank = memory.initial_state(batch_size)
    state = rebuild([leaf(tensor) for tensor in flat(blank)])
    return memory, features, state


def flat(state):
    return [state.slots, *(tensor for part in state[1:] for tensor in part)]


def rebuild(tensors):
    slots, *rest = tensors
    return MemoryState(slots, *(ControllerState(*rest[k : k + 2]) for k in (0, 2, 4)))


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
@pytest.mark.parametrize("which", range(8), ids=RESULTS)
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


def test_single_precision_at_the_benchmark_size():
    torch.manual_seed(0)
    memory = LiteralMemory(input_size=64, dim=64, num_slots=10)
    features = torch.randn(16, 30, 64, requires_grad=True)
    leaves = [features, *(p for p in memory.parameters() if p.requires_grad)]
    quick, plain = (everything(*form(memory, features, memory.initial_state(16))) for form in (memory_sequence, loop))
    assert_close(quick, plain, rtol=1e-4, atol=1e-5)
    assert_close(gradients(quick, leaves), gradients(plain, leaves), rtol=1e-3, atol=1e-3)


@QUICK_FORM
def test_gradcheck(options):
    memory, features, state = make({**options, "dim": 2, "num_slots": 3}, 2, 3)
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
        return tuple(everything(*memory_sequence(self.memory, features, state)))


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
    monkeypatch.setattr("fastslow.core.sequence.rest.BLOCK_BYTES", block_bytes)
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
    memory = build(**{"input_size": 4, "dim": 3, "num_slots": 4, **options})
    features = torch.randn(2, 5, memory.input_controller.input_size)
    expected, _ = memory_sequence(memory, features, memory.initial_state(2))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs, after = memory_sequence(memory, features, memory.initial_state(2))
        step_by_step, _ = loop(memory, features, memory.initial_state(2))
    assert torch.equal(outputs, step_by_step)
    assert after.slots.dtype == torch.float32  # what is remembered stays whole
    assert_close(outputs.float(), expected, rtol=0.1, atol=0.05)


def test_wrong_sizes_are_refused():
    memory, features, state = make({})
    with pytest.raises(InputError, match="got 2 features; this memory takes 4"):
        memory_sequence(memory, features[..., :2], state)
    with pytest.raises(InputError, match="got 1 sequences with a state for 2"):
        memory_sequence(memory, features[:1], state)


# A window: what each step read, and the gradients at q_t, m_t and m'_t


def loop_with_steps(memory, features, state):
    """The plain loop, time first: outputs, the state after, and every step of each controller."""
    steps = []
    for step_features in features:
        look = memory.look(step_features, state)
        write = memory.compose_write(look, state)
        before, state = state, memory.store(look, write, state)
        steps.append([(step, part) for step, part in zip((look.input, look.output, write), before[1:], strict=True)])
    return torch.stack([step[1][0].output for step in steps]), state, list(zip(*steps, strict=True))


@QUICK_FORM
@SIZES
@pytest.mark.parametrize("block_bytes", [1, 2000, 20 * 2**20])
def test_a_window_equals_the_loop(options, batch_size, num_steps, block_bytes, monkeypatch):
    monkeypatch.setattr("fastslow.core.sequence.rest.BLOCK_BYTES", block_bytes)
    memory, features, state = make(options, batch_size, num_steps)
    leaves, time_first = leaves_of(memory, features, state), features.transpose(0, 1)
    probes = Probes.zeros(memory, num_steps, batch_size)
    window = memory_window(memory, time_first, state, probes)
    outputs, after, steps = loop_with_steps(memory, time_first, state)
    quick, plain = everything(window.outputs, window.state), everything(outputs, after)
    assert_close(quick, plain)
    outputs_of_steps = [step.output for controller in steps for step, _ in controller]
    by_quick, by_plain = gradients(quick, [*leaves, *probes]), gradients(plain, [*leaves, *outputs_of_steps])
    assert_close(by_quick[: len(leaves)], by_plain[: len(leaves)])
    for k, (trace, controller) in enumerate(zip(window[2:], steps, strict=True)):
        start = len(leaves) + k * num_steps
        assert_close(by_quick[len(leaves) + k], torch.stack(by_plain[start : start + num_steps]))
        assert_close(trace.activations, torch.stack([step.output for step, _ in controller]).detach())
        assert_close(trace.inputs, torch.stack([step.inputs for step, _ in controller]).detach())
        assert_close(trace.prev_cells, torch.stack([before.cell for _, before in controller]).detach())


@QUICK_FORM
def test_a_window_in_single_precision_at_the_benchmark_size(options):
    torch.manual_seed(0)
    memory = build(**{"input_size": 64, "dim": 64, "num_slots": 10, **options})
    features, probes = torch.randn(30, 16, 64), Probes.zeros(memory, 30, 16)
    window = memory_window(memory, features, memory.initial_state(16), probes)
    outputs, _, steps = loop_with_steps(memory, features, memory.initial_state(16))
    assert_close(window.outputs, outputs, rtol=1e-4, atol=1e-5)
    by_step = gradients([outputs], [step.output for controller in steps for step, _ in controller])
    by_probe = gradients([window.outputs], probes)
    assert_close(torch.cat(by_probe), torch.stack(by_step), rtol=1e-3, atol=1e-3)


def test_a_window_differentiates_in_every_leaf():
    memory, features, state = make({"dim": 2, "num_slots": 3}, 2, 3)

    def run(*tensors):
        probes = Probes.zeros(memory, 3, 2)
        window = memory_window(memory, tensors[0].transpose(0, 1), rebuild(tensors[1:]), probes)
        return window.outputs, window.state.slots, *window.state.input, *window.state.write

    assert torch.autograd.gradcheck(run, [features, *flat(state)], fast_mode=True)


def test_a_memory_without_a_quick_form_has_no_window():
    memory, features, state = make(PLAIN["subclass"])
    with pytest.raises(InputError, match="use the memory step by step"):
        memory_window(memory, features.transpose(0, 1), state, Probes.zeros(memory, 5, 2))
