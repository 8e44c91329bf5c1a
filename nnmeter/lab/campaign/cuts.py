"""Networks cut out of given models, so that a campaign measures the kernels of these: `nnmeter profile --like`.

Rules:

1. A cut is a stretch of a model's operators in their order. What it reads of the others are its inputs, or constants
   where their values are known; what nothing in it reads, or something outside does, are its outputs. Its weights go
   with it; those with more than `KEPT_ELEMENTS` elements are drawn at random.
2. Seeds take the models in turn. Of each model every tenth network is the whole of it; the others are cuts of 1 to
   `LONGEST` operators around a *wanted* operator, the wanted ones in turn: those of kernels outside of a pack's trained
   range if a pack is given and there are such, else all that compute something.
3. Every other cut has its sizes changed: the leading dimension that is the model's batch, the sides of its maps, or the
   rows of its matrices. Where the operators do not fit the new sizes, it is as it was.
4. The family of a network is `like:` and the name of its model: evaluation keeps all cuts of a model together.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError
from nnmeter.formats import read_model
from nnmeter.graph.dtypes import CODE_OF_DTYPE, NUMPY_OF_DTYPE
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.runtimes.weights import fill_weights

if TYPE_CHECKING:
    import onnx

    from nnmeter.graph.ir import Graph, TensorType

FAMILY = "like:"
LONGEST = 12
KEPT_ELEMENTS = 1024
CUTS_LIMIT_BYTES = 6 << 30  # memory, as for `nnmeter measure`: a user's model may be larger than a random network
_WHOLE_EVERY = 10
_ATTEMPTS = 30
_IDLE = frozenset({"Constant", "Identity", "Shape", "Size"})  # operators that are not worth a cut of their own

Shape = tuple[int, ...]
Change = Callable[[Shape], Shape]


class ModelCuts:
    """The cuts of one model, whose weights are described but not held."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        dims: Mapping[str, int] | None = None,
        shapes: Mapping[str, Sequence[int]] | None = None,
        assume: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        """Read a model and bind it.

        Raises:
            ModelError: it is no ONNX model, or dimensions remain free.
        """
        import onnx
        from onnx import inliner

        self.name = Path(path).stem
        self._assumed = dict(assume or {})
        self.graph: Graph = bind_shapes(read_model(path), InputSizes().updated(dims, shapes, assume))
        try:
            model = onnx.load(os.fspath(path), load_external_data=False)
        except Exception as fault:  # protobuf raises its own DecodeError, whose place differs between its versions
            raise ModelError(f"{path}: not an ONNX model, of which alone cuts can be made; export it as one") from fault
        self._model = inliner.inline_local_functions(model) if model.functions else model
        for tensor in self._model.graph.initializer:
            _forget(tensor)
        self._nodes = list(self._model.graph.node)
        self._stored = {tensor.name: tensor for tensor in self._model.graph.initializer}
        self._constants = {node.output[0]: node for node in self._nodes if node.op_type == "Constant"}
        self._needed = [list(_reads(node)) for node in self._nodes]
        self._results = {value.name for value in self._model.graph.output}
        first = next((self.graph.types[name] for name in self.graph.inputs), None)
        self._batch = first.shape[0] if first is not None and first.shape else 1
        self.working = [i for i, node in enumerate(self._nodes) if node.op_type not in _IDLE]
        if not self.working:
            raise MeasurementError(f"{path}: has no operator to measure; give another model")

    def positions_of(self, nodes: Sequence[str]) -> list[int]:
        """Where the nodes of these names are; those that the reader named itself are not found."""
        wanted = set(nodes)
        return [i for i in self.working if self._nodes[i].name in wanted]

    def whole(self) -> onnx.ModelProto:
        """The whole model with the sizes that it was bound to."""
        return self._finish(range(len(self._nodes)), None)

    def around(self, position: int, generator: random.Random) -> onnx.ModelProto:
        """A cut around the operator at `position` (rules 1 and 3).

        Raises:
            ModelError: it cannot be made.
        """
        before = generator.randrange(LONGEST // 2)
        first = max(position - before, 0)
        last = min(position + generator.randrange(LONGEST // 2), len(self._nodes) - 1)
        stretch = range(first, last + 1)
        if generator.random() < 0.5:
            change = _change(generator, self._batch)
            try:
                return self._finish(stretch, change)
            except ModelError:
                pass  # rule 3
        return self._finish(stretch, None)

    def _finish(self, stretch: range, change: Change | None) -> onnx.ModelProto:
        from onnx import ModelProto, helper, numpy_helper

        written = {name for i in stretch for name in self._nodes[i].output if name}
        graph = ModelProto().graph
        graph.name = self.name
        needed = dict.fromkeys(name for i in stretch for name in self._needed[i] if name and name not in written)
        for name in needed:
            if name in self._stored:
                graph.initializer.append(self._stored[name])
            elif name in self._constants:
                graph.node.append(self._constants[name])
            elif name in self.graph.values and self.graph.types[name].dtype in NUMPY_OF_DTYPE:
                graph.initializer.append(numpy_helper.from_array(self.graph.values[name], name))
            else:
                graph.input.append(self._describe(name, change))
        graph.node.extend(self._nodes[i] for i in stretch)
        inside = {name for i in stretch for name in self._needed[i]}
        outside = {name for i, names in enumerate(self._needed) if i not in stretch for name in names} | self._results
        left = [n for i in stretch for n in self._nodes[i].output if n and (n in outside or n not in inside)]
        graph.output.extend(helper.make_empty_tensor_value_info(name) for name in dict.fromkeys(left))
        model = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        assumed = {name: shape for name, shape in self._assumed.items() if name in written}
        bound = bind_shapes(read_model(model), InputSizes(assume=assumed))
        for value in graph.output:
            kind = bound.types[value.name]
            value.CopyFrom(helper.make_tensor_value_info(value.name, CODE_OF_DTYPE[kind.dtype], kind.shape))
        model = helper.make_model(graph, opset_imports=self._model.opset_import, ir_version=self._model.ir_version)
        model.metadata_props.add(key="nnmeter.family", value=f"{FAMILY}{self.name}")
        return model

    def _describe(self, name: str, change: Change | None) -> onnx.ValueInfoProto:
        from onnx import helper

        kind: TensorType | None = self.graph.types.get(name)
        if kind is None or kind.dtype not in CODE_OF_DTYPE:
            raise ModelError(f"{self.name}: the type of '{name}' is not known, so no cut can begin there")
        shape = kind.shape if change is None else change(kind.shape)
        return helper.make_tensor_value_info(name, CODE_OF_DTYPE[kind.dtype], shape)


class CutNetworks:
    """The networks of a campaign, by seed (rule 2)."""

    def __init__(self, models: Sequence[ModelCuts], wanted: Sequence[Sequence[int]] = ()) -> None:
        """Take models and, for each, the positions of its wanted operators; all of them where none is wanted."""
        if not models:
            raise MeasurementError("no model to cut networks out of; give one or more with --like")
        self._models = models
        chosen = list(wanted) or [()] * len(models)
        self._wanted = [list(own) or model.working for model, own in zip(models, chosen, strict=True)]

    def __call__(self, seed: int) -> onnx.ModelProto:
        """The network of a seed.

        Raises:
            ModelError: none can be made.
        """
        model = self.bare(seed)
        fill_weights(model, seed)
        return model

    def bare(self, seed: int) -> onnx.ModelProto:
        """The network of a seed, whose large weights are yet to be drawn (`fill_weights`)."""
        turn, which = divmod(seed, len(self._models))
        model, wanted = self._models[which], self._wanted[which]
        if turn % _WHOLE_EVERY == 0:
            return model.whole()
        generator = random.Random(seed)
        for attempt in range(_ATTEMPTS):
            position = wanted[(turn + attempt) % len(wanted)]
            try:
                return model.around(position, generator)
            except ModelError as fault:
                reason = fault
        raise reason


def cut_networks(
    paths: Sequence[str | os.PathLike[str]],
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    device: str | os.PathLike[str] | None = None,
) -> CutNetworks:
    """The networks of a campaign that is to measure the kernels of models.

    Args:
        paths: ONNX models.
        dims: sizes of their free dimensions.
        shapes: whole shapes of their inputs.
        assume: shapes of inner tensors that depend on data.
        device: pack whose kernels outside of the trained range are wanted.

    Raises:
        ModelError: a model cannot be read.
        DeviceError: the pack cannot.
    """
    models = [ModelCuts(path, dims, shapes, assume) for path in paths]
    if device is None:
        return CutNetworks(models)
    from nnmeter.prediction.predict import load_predictor

    predictor = load_predictor(device)
    outside = [predictor.predict(model.graph).outside for model in models]
    names = [[node for kernel in kernels for node in kernel.nodes] for kernels in outside]
    return CutNetworks(models, [model.positions_of(own) for model, own in zip(models, names, strict=True)])


def _forget(tensor: onnx.TensorProto) -> None:
    """Keep name, type and shape of a large weight, not its values (rule 1)."""
    from onnx import TensorProto

    count = 1
    for size in tensor.dims:
        count *= size
    if count > KEPT_ELEMENTS or tensor.data_location == TensorProto.EXTERNAL:
        bare = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        bare.data_location = TensorProto.EXTERNAL
        tensor.CopyFrom(bare)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, itself or in its nested graphs."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else list(attribute.graphs):
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            own |= {name for inner in graph.node for name in inner.output}
            yield from (name for inner in graph.node for name in _reads(inner) if name not in own)
            yield from (value.name for value in graph.output if value.name not in own)


def _change(generator: random.Random, batch: int) -> Change:
    """Another size for the inputs of a cut (rule 3)."""
    kind = generator.choice(("batch", "batch", "side", "rows"))
    if kind == "batch":
        factor = generator.choice((2, 3, 4, 6, 8))
        return lambda shape: (shape[0] * factor, *shape[1:]) if shape and shape[0] == batch else shape
    factor_of = generator.choice((0.5, 0.75, 1.5, 2.0))
    if kind == "side":
        return lambda shape: (
            (*shape[:2], *(max(int(s * factor_of), 1) for s in shape[2:])) if len(shape) == 4 else shape
        )
    return lambda shape: (*shape[:-2], max(int(shape[-2] * factor_of), 1), shape[-1]) if len(shape) in (2, 3) else shape
