"""The three verbs of a method, and its initial state, as ONNX graphs of opset 18."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from fastslow.errors import InputError, shown_reason
from fastslow.export.state import state_of, state_tensors
from fastslow.methods.base import Method
from fastslow.methods.networks import KeyedNetwork, MemoryMethod
from fastslow.runtime.manifest import AFTER, STATE

OPSET = 18
#: ONNX's number of floats of 64 bits.
_DOUBLE = 11
#: Examples that graphs are traced with. One is taken for a size that never changes.
_EXAMPLES = 3


def examples_at_once(method: Method[Any]) -> int | None:
    """The most examples that the graph of `learn` takes at a time; None for any number."""
    if isinstance(method, KeyedNetwork):
        return method.memory.examples_at_once
    return 1 if isinstance(method, MemoryMethod) else None


def embed_graph(method: Method[Any]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """`images` (images, 1, size, size) to `features`."""
    return _traced(_Embed(method), (_images(method),), ["images"], ["features"], [{0: _count("images")}])


def learn_graph(method: Method[Any]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """`features`, `labels` (1, examples) and the state to the state after, named by `STATE` and by `AFTER`."""
    features = method.embed(_images(method)).unsqueeze(0)
    labels = torch.arange(_EXAMPLES).clamp_max(method.num_classes - 1).unsqueeze(0)
    given = {1: _count("examples")}
    if examples_at_once(method) == 1:
        features, labels, given = features[:, :1], labels[:, :1], {}
    state, growing = _state(method)
    before, after = ([prefix + name for name in state] for prefix in (STATE, AFTER))
    inputs = ["features", "labels", *before]
    return _traced(_Learn(method), (features, labels, *state.values()), inputs, after, [given, given, growing])


def answer_graph(method: Method[Any]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """`features` and the state to `logits` (1, queries, classes)."""
    features = method.embed(_images(method)).unsqueeze(0)
    state, growing = _state(method)
    inputs, sizes = ["features", *(STATE + name for name in state)], [{1: _count("queries")}, growing]
    return _traced(_Answer(method), (features, *state.values()), inputs, ["logits"], sizes)


def begin_graph(method: Method[Any]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Nothing to the initial state."""
    from onnx import helper, numpy_helper

    state = {STATE + name: part.numpy() for name, part in state_tensors(method.initial_state(1)).items()}
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(part.copy()))
        for name, part in state.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(part.dtype), part.shape)
        for name, part in state.items()
    ]
    opset = [helper.make_opsetid("", OPSET)]
    return helper.make_model(helper.make_graph(nodes, "main_graph", [], outputs), opset_imports=opset, ir_version=10)


class _Verb(nn.Module):
    """A verb of a method as a module of tensors alone; one task."""

    def __init__(self, method: Method[Any]) -> None:
        super().__init__()
        self.method, self.like = method, method.initial_state(1)


class _Embed(_Verb):
    def forward(self, images: Tensor) -> Tensor:
        return self.method.embed(images)


class _Learn(_Verb):
    def forward(self, features: Tensor, labels: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        before = state_of(iter(state), self.like)
        if not isinstance(self.method, MemoryMethod):
            return tuple(state_tensors(self.method.learn(features, labels, before)).values())
        if not isinstance(self.method, KeyedNetwork):  # which learns examples side by side, were it one
            features, labels = features[:, 0], labels[:, 0]
        return tuple(state_tensors(self.method.learn_step(features, labels, before)[1]).values())


class _Answer(_Verb):
    def forward(self, features: Tensor, *state: Tensor) -> Tensor:
        return self.method.answer(features, state_of(iter(state), self.like))


def _images(method: Method[Any]) -> Tensor:
    """Of as many values as there are pixels, so that nothing is special about them."""
    size = method.encoder.image_size
    return torch.linspace(0, 1, _EXAMPLES * size * size).reshape(_EXAMPLES, 1, size, size)


def _count(name: str) -> Any:  # noqa: ANN401 - torch.export.Dim
    return torch.export.Dim(name, min=1)


def _state(method: Method[Any]) -> tuple[dict[str, Tensor], tuple[dict[int, Any], ...]]:
    """A state to trace with, after some examples, and which of its sizes grow with every example."""
    features = method.embed(_images(method)).unsqueeze(0)
    labels = torch.zeros(1, _EXAMPLES, dtype=torch.int64)
    learn = _Learn(method)
    after = [tuple(state_tensors(method.initial_state(1)).values())]
    for k in range(_EXAMPLES):
        after.append(learn(features[:, k : k + 1], labels[:, k : k + 1], *after[-1]))
    steps = _count("steps")
    growing = tuple(
        {axis: steps for axis in range(last.ndim) if last.shape[axis] != before.shape[axis]}
        for before, last in zip(after[-2], after[-1], strict=True)
    )
    return dict(zip(state_tensors(method.initial_state(1)), after[-1], strict=True)), growing


def _traced(
    verb: _Verb, arguments: tuple[Tensor, ...], inputs: Sequence[str], outputs: Sequence[str], sizes: Sequence[Any]
) -> Any:  # noqa: ANN401 - onnx.ModelProto
    method = type(verb.method).__name__
    try:
        with quietly(), torch.no_grad():
            program = torch.onnx.export(
                verb.eval(), arguments, input_names=inputs, output_names=outputs, dynamic_shapes=tuple(sizes),
                dynamo=True, opset_version=OPSET, verbose=False, custom_translation_table=_translations(),
            )  # fmt: skip
    except torch.onnx.OnnxExporterError as error:
        raise InputError(f"{method} cannot be traced into a graph ({shown_reason(error)}); export another") from error
    assert program is not None
    graph = _lean(program.model_proto)
    for given, varying in zip(graph.graph.input, _flat(sizes), strict=True):
        if any(not given.type.tensor_type.shape.dim[axis].dim_param for axis in varying):
            raise InputError(
                f"{method} cannot be exported: traced into a graph, it takes {given.name} of one size only, whatever "
                "their number; export another, such as fastslow or protonet"
            )
    return graph


def _flat(sizes: Sequence[Any]) -> list[dict[int, Any]]:
    return [one for size in sizes for one in (size if isinstance(size, tuple) else (size,))]


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that torch's exporter has no translation of."""
    from onnxscript import opset18

    op: Any = opset18  # whose types are those of eager use

    def sort_stable(self: Any, stable: bool = True, dim: int = -1, descending: bool = False) -> Any:  # noqa: ANN401
        """TopK of all: of equal values, ONNX puts the lower index first."""
        size = op.Gather(op.Shape(self), op.Constant(value_ints=[dim]))
        return op.TopK(self, size, axis=dim, largest=int(descending), sorted=1)

    def scatter_value(self: Any, dim: int, index: Any, value: float, reduce: str) -> Any:  # noqa: ANN401
        """The same value in every place."""
        values = op.Expand(op.CastLike(op.Constant(value_float=float(value)), self), op.Shape(index))
        return op.ScatterElements(self, index, values, axis=dim, reduction={"add": "add", "multiply": "mul"}[reduce])

    def product_added(self: Any, batch1: Any, batch2: Any, beta: float = 1.0, alpha: float = 1.0) -> Any:  # noqa: ANN401
        """In 64 bits: scores of slots are small differences of large numbers, and logits follow them closely."""
        one, other, added = (op.Cast(part, to=_DOUBLE) for part in (batch1, batch2, self))
        shares = [op.Cast(op.Constant(value_float=float(share)), to=_DOUBLE) for share in (alpha, beta)]
        return op.CastLike(op.Add(op.Mul(shares[0], op.MatMul(one, other)), op.Mul(shares[1], added)), self)

    aten = torch.ops.aten
    return {
        aten.sort.stable: sort_stable,
        aten.scatter.value_reduce: scatter_value,
        aten.baddbmm.default: product_added,
    }


def _lean(proto: Any) -> Any:  # noqa: ANN401 - onnx.ModelProto
    """Without where in which file each node is from, rectifiers before pooling, and nothing computed in vain.

    Both orders are the same function; a rectifier right behind its convolution is fused with it, and quantised with it.
    """
    import onnx

    graph = proto.graph
    edges = {one.name: [size.dim_value for size in one.type.tensor_type.shape.dim][2:] for one in graph.value_info}
    del proto.metadata_props[:], graph.metadata_props[:], graph.value_info[:]
    maker = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        del node.metadata_props[:]
        node.ClearField("doc_string")
        pool = maker.get(node.input[0]) if node.op_type == "Relu" else None
        if pool is not None and pool.op_type == "MaxPool":
            _leave_unpooled(maker.get(pool.input[0]), pool, edges.get(pool.input[0], []))
            pool.op_type, node.op_type = "Relu", "MaxPool"
            node.attribute.extend(pool.attribute)
            del pool.attribute[:]
    onnx.checker.check_model(proto)
    return proto


def _leave_unpooled(convolution: Any, pool: Any, edges: list[int]) -> None:  # noqa: ANN401 - onnx.NodeProto
    """Has a convolution leave out the last row and column where an odd edge is halved downward: a quarter of 7 x 7."""
    options = {one.name: one for one in pool.attribute}
    halves = list(options["strides"].ints) == list(options["kernel_shape"].ints) == [2, 2]
    padded = any(options["pads"].ints) or options["ceil_mode"].i
    if convolution is None or convolution.op_type != "Conv" or padded or not halves:
        return
    pads = next(one for one in convolution.attribute if one.name == "pads")
    for axis, edge in enumerate(edges):
        if edge % 2:
            pads.ints[2 + axis] -= 1


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters say of packages that are not needed here, and of their own doings."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
