"""What the zeros of a model bring on a device: what can be removed, and what the runtime makes of what stays.

1. Where whole slices need not be there, the model without them is predicted like any other: the gain is that of smaller
   shapes.
2. Zeros that stay bring what the runtime's implementation of a kernel brings (`nnmeter.sparsity.kernels`).
3. With a pack of sparse kernels (`nnmeter.sparsity.measured`), each kernel that is a product is held against what that
   pack's runtime takes for it, dense and sparse. It is another runtime, so no total says it.
4. Weights are read only where that is asked for; else zeros are those that the caller assumes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from nnmeter.comparison.comparison import Comparison, compare_predictions
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Node
from nnmeter.graph.unbound import UnboundModel
from nnmeter.prediction.predict import LatencyPredictor, predict_on
from nnmeter.prediction.prediction import Prediction
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.prediction.sweep import one_each
from nnmeter.sparsity.analysis import analyse
from nnmeter.sparsity.assumed import assume_zeros
from nnmeter.sparsity.classes import MATRIX
from nnmeter.sparsity.kernels import EXECUTES_ZEROS, implementation_of
from nnmeter.sparsity.measured import Choice, SparseKernels, product_of
from nnmeter.sparsity.patterns import DENSE, Pattern
from nnmeter.sparsity.precision import find_precisions
from nnmeter.sparsity.removal import Removed, remove_slices
from nnmeter.sparsity.weights import WeightZeros, read_weights
from nnmeter.transforms.draft import Draft, fitting_sizes

SCHEMA_VERSION = 1
CHANNELS_REMOVED = "channels removed"


@dataclass(frozen=True, slots=True)
class KernelZeros:
    """A kernel with a weight.

    Attributes:
        name: of the kernel.
        type: its fused type.
        latency_ms: its price as it is, in milliseconds.
        pattern: how the zeros of its weight lie.
        precision: element type that the weight really has.
        implementation: how the runtime executes it, in words.
        sparse: what the runtime of a pack of sparse kernels takes for it; None where none was given, where it is no
            product, and beyond what that pack measured.
    """

    name: str
    type: str
    latency_ms: float
    pattern: Pattern
    precision: str
    implementation: str
    sparse: Choice | None = None


@dataclass(frozen=True)
class SparsityPrediction:
    """What the zeros of a model bring on a device.

    Attributes:
        model: its path or name.
        device: id of the device pack.
        read: whether its weights were read.
        weights: how many elements its weights have; 0 where they were not read.
        zeros: how many of them are zero.
        kernels: the kernels that have a weight, in the order of execution.
        removed: layers that lose channels, and how many.
        before: the model as it is.
        after: the model without what can be removed; None where nothing can.
        comparison: of the two.
        sparse_runtime: of the pack of sparse kernels; "" where none was given.
    """

    model: str
    device: str
    read: bool
    weights: int
    zeros: int
    kernels: tuple[KernelZeros, ...]
    removed: tuple[Removed, ...]
    before: Prediction
    after: Prediction | None
    comparison: Comparison | None
    sparse_runtime: str = ""

    @property
    def gain(self) -> float:
        """Share of the time that goes, 0 to 1: by removal alone, for no runtime's sparse kernels were measured."""
        return 0.0 if self.after is None else 1 - self.after.latency_ms / self.before.latency_ms

    def to_dict(self) -> dict[str, Any]:
        """What is known as JSON has it, schema version 1."""
        difference = None if self.comparison is None else list(self.comparison.difference_interval_ms)
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "device": self.device,
            "weights_read": self.read,
            "weights": self.weights,
            "zeros": self.zeros,
            "latency_ms": self.before.latency_ms,
            "interval_ms": list(self.before.interval_ms),
            "after_ms": None if self.after is None else self.after.latency_ms,
            "difference_interval_ms": difference,
            "gain": self.gain,
            "sparse_runtime": self.sparse_runtime or None,
            "removed": [{"layer": r.layer, "channels": r.channels, "of": r.of} for r in self.removed],
            "kernels": [
                {
                    "name": k.name,
                    "type": k.type,
                    "latency_ms": k.latency_ms,
                    "pattern": k.pattern.kind,
                    "zeros": k.pattern.zeros,
                    "n": k.pattern.n,
                    "m": k.pattern.m,
                    "block": list(k.pattern.block),
                    "precision": k.precision,
                    "implementation": k.implementation,
                    "sparse": None if k.sparse is None else k.sparse._asdict(),
                }
                for k in self.kernels
            ],
            "warnings": list(self.before.warnings),
        }


def predict_sparsity_on(
    predictors: Sequence[LatencyPredictor],
    model: Any,
    read: bool = False,
    zeros: Mapping[str, str] | None = None,
    sizes: InputSizes = AS_DECLARED,
    name: str | None = None,
    sparse: SparseKernels | None = None,
) -> list[SparsityPrediction]:
    """What the zeros of a model bring on some devices.

    Args:
        model: path, bytes or `onnx.ModelProto`; an `UnboundModel` where weights are not read.
        predictors: of the devices.
        read: whether to read its weights and count their zeros.
        zeros: zeros to assume, by name of the layer (`*` for several): `0.8`, `2:4`, `4x4:0.8`, `channels:0.5`.
        sizes: what the model leaves open, one size for each dimension.
        name: what to call the model.
        sparse: a pack of sparse kernels to hold products against.

    Raises:
        ModelError: the model or its weights cannot be read, or dimensions remain free.
        NnmeterError: nothing says which weights are zero, or what says it is wrong.
    """
    if not read and not zeros:
        raise NnmeterError("nothing says which weights are zero; count them with --read-weights, or assume --zeros")
    unbound = read_model(model, name)
    called = name or (os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name)
    weights = read_weights(model, unbound.nodes, called) if read else WeightZeros()
    draft = Draft(unbound, sizes)
    for layer, asked in (zeros or {}).items():
        assume_zeros(weights, draft, layer, asked, called)
    smaller, removed = remove_slices(unbound, analyse(unbound, weights, sizes), sizes)
    single = sizes.updated(dims=one_each(sizes.dims))
    before = list(predict_on(predictors, unbound, single, name=called))
    after: list[Prediction | None] = [None] * len(before)
    if smaller is not None:
        after = list(predict_on(predictors, smaller, fitting_sizes(smaller, single), name=called))
    found = []
    for predictor, first, second in zip(predictors, before, after, strict=True):
        kernels = _kernels(predictor, first, unbound, draft, weights, {r.layer for r in removed}, sparse)
        comparison = None if second is None else compare_predictions(first, second, 0.9)
        found.append(
            SparsityPrediction(
                called,
                predictor.device,
                read,
                *weights.count,
                kernels,
                removed,
                first,
                second,
                comparison,
                "" if sparse is None else sparse.runtime,
            )
        )
    return found


def _kernels(
    predictor: LatencyPredictor,
    prediction: Prediction,
    model: UnboundModel,
    draft: Draft,
    weights: WeightZeros,
    removed: Set[str],
    sparse: SparseKernels | None,
) -> tuple[KernelZeros, ...]:
    nodes = {node.name: node for node in draft.nodes}
    precisions = find_precisions(draft.nodes, draft.types, [declared.name for declared in draft.outputs])
    found = []
    for kernel in prediction.kernels:
        node = _with_weight(kernel, nodes)
        if node is None or (node.inputs[1] not in model.constants and node.inputs[1] not in weights.patterns):
            continue
        weight = node.inputs[1]
        kind = draft.types[weight]
        precision = precisions[weight].dtype if weight in precisions else kind.dtype
        pattern = weights.patterns.get(weight, DENSE)
        window = kind.shape[2:] if node.op_type == "Conv" else ()
        card = predictor.pack.card
        flags = card.fingerprint.get("flags", ()) if card.fingerprint else ()
        words = implementation_of(card.runtime, flags, node.op_type, pattern, precision, window)
        if pattern.kind == "channel" and node.name in removed:
            words = CHANNELS_REMOVED
        product = None if sparse is None or pattern is DENSE else product_of(node, draft.types, pattern)
        choice = None if sparse is None or product is None else sparse.choose(product)
        found.append(KernelZeros(kernel.name, kernel.type, kernel.latency_ms, pattern, precision, words, choice))
    return tuple(found)


def _with_weight(kernel: PricedKernel, nodes: Mapping[str, Node]) -> Node | None:
    """The operator of a kernel that has a weight."""
    for name in kernel.nodes:
        node = nodes.get(name)
        if node is not None and node.op_type in MATRIX and not node.domain and len(node.inputs) > 1:
            return node
    return None


def summary_of(found: SparsityPrediction) -> str:
    """In a sentence: what the zeros bring."""
    executed = [kernel for kernel in found.kernels if kernel.implementation == EXECUTES_ZEROS]
    said = []
    if found.removed:
        said.append(f"{sum(r.channels for r in found.removed)} channels of {len(found.removed)} layers can be removed")
    if executed:
        said.append(f"zeros of {len(executed)} kernels are executed like other numbers")
    return "; ".join(said) or "there are no zeros that anything could be made of"
