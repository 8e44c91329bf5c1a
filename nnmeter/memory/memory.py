"""The memory that a model takes on a device while it runs, and what holds it at its peak.

Rules:

1. The peak is what the runtime holds while the model runs: weights, resident activations and working memory, and what a
   session takes for itself. Inputs are the caller's; loading a model takes more, for a moment.
2. A kernel's *live* memory is what is needed while it runs: its inputs, outputs and working memory, and what others
   still need. Runtimes plan for more, since memory has holes.
3. What a session takes for itself, and for each of its kernels, was fitted to what the models of `data/zoo` took beyond
   weights and activations (`benchmarks/memory.py`): of ONNX Runtime to all of them, of OpenVINO to every second one. Of
   other runtimes nothing is known, and a warning says so.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from nnmeter.collector import paused_collector
from nnmeter.fusion.detect import rewrite_graph
from nnmeter.fusion.engine.rewriting import split_kind
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.graph.ir import Graph
from nnmeter.graph.notes import Note
from nnmeter.memory.planning import MemoryPlan, plan_memory
from nnmeter.prediction.peak_memory import MIB, PeakMemory
from nnmeter.prediction.session import with_session
from nnmeter.prediction.sweep import bind_each

if TYPE_CHECKING:
    from nnmeter.devices.pack import DevicePack
    from nnmeter.errors import ModelError
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1

# Runtime -> bytes of a session, and of each of its kernels (rule 3).
_SESSION_BYTES = {"onnxruntime": (930_000, 9_900), "openvino": (1_450_000, 83_000)}


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor that is in memory at the peak.

    Attributes:
        tensor: its name.
        kernel: the kernel that wrote it, or the first of those that share the memory.
        bytes: its size.
    """

    tensor: str
    kernel: str
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryStep:
    """One kernel, in the order of the run.

    Attributes:
        kernel: its name.
        operator: what it computes.
        live_bytes: activations that are needed while it runs, and its working memory.
        workspace_bytes: the working memory alone.
    """

    kernel: str
    operator: str
    live_bytes: int
    workspace_bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class MemoryPrediction:
    """How much memory a model takes on a device.

    Attributes:
        model: name of the model, the path where it came from one.
        device: id of the device pack.
        peak_bytes: what the runtime holds while the model runs (rule 1).
        weights_bytes: weights, as the runtime holds them.
        activations_bytes: resident memory of activations and of kernels' working memory.
        session_bytes: what the runtime takes for itself.
        reserved_bytes: address space that the runtime asks for to hold the activations; not all of it is resident.
        planned_bytes: the block that activations are planned into.
        live_bytes: the most that is live at once: no plan needs less.
        inputs_bytes: the inputs, which are the caller's and not counted.
        steps: every kernel in the order of the run.
        at_peak: what is live where most is, largest first.
        warnings: what the reader should know, a sentence each.
        dims: sizes that were given to dimensions which the model leaves free.
    """

    model: str
    device: str
    peak_bytes: int
    weights_bytes: int
    activations_bytes: int
    session_bytes: int
    reserved_bytes: int
    planned_bytes: int
    live_bytes: int
    inputs_bytes: int
    steps: tuple[MemoryStep, ...]
    at_peak: tuple[Held, ...]
    warnings: tuple[str, ...] = ()
    dims: Mapping[str, int] = field(default_factory=dict)

    @property
    def peak_mib(self) -> float:
        """The peak in MiB."""
        return self.peak_bytes / MIB

    @property
    def peak_step(self) -> MemoryStep | None:
        """The kernel while which most is live; None where nothing runs."""
        return max(self.steps, key=lambda step: step.live_bytes, default=None)

    def beside(self, prediction: Prediction) -> Prediction:
        """The prediction of time of the same model, with this beside it."""
        said = [Note(warning, "memory") for warning in self.warnings if warning not in prediction.warnings]
        parts = PeakMemory(self.peak_bytes, self.weights_bytes, self.activations_bytes, self.session_bytes)
        return replace(prediction, memory=parts, warnings=(*prediction.warnings, *said))

    def __repr__(self) -> str:
        return f"<MemoryPrediction {self.model} on {self.device}: {self.peak_mib:.1f} MiB>"

    def to_dict(self) -> dict[str, Any]:
        """The prediction in the stable JSON schema, version 1."""
        from nnmeter._version import __version__

        peak = self.peak_step
        return {
            "schema_version": SCHEMA_VERSION,
            "nnmeter_version": __version__,
            "device": self.device,
            "model": self.model,
            "dims": dict(self.dims),
            "peak_bytes": self.peak_bytes,
            "weights_bytes": self.weights_bytes,
            "activations_bytes": self.activations_bytes,
            "session_bytes": self.session_bytes,
            "reserved_bytes": self.reserved_bytes,
            "planned_bytes": self.planned_bytes,
            "live_bytes": self.live_bytes,
            "inputs_bytes": self.inputs_bytes,
            "peak_kernel": None if peak is None else peak.kernel,
            "at_peak": [{"tensor": h.tensor, "kernel": h.kernel, "bytes": h.bytes} for h in self.at_peak],
            "steps": [
                {
                    "kernel": step.kernel,
                    "operator": step.operator,
                    "live_bytes": step.live_bytes,
                    "workspace_bytes": step.workspace_bytes,
                }
                for step in self.steps
            ],
            "warnings": list(self.warnings),
        }


def predict_memory_on(
    pack: DevicePack,
    model: Any,
    sizes: InputSizes = AS_DECLARED,
    name: str | None = None,
    failed: list[ModelError] | None = None,
) -> Iterator[MemoryPrediction]:
    """The memory of one model on the device of a pack, for each combination of its sizes.

    Args:
        pack: the device pack.
        model: path, bytes, binary file object, `onnx.ModelProto`, `UnboundModel` or `Graph`.
        sizes: what the model leaves open.
        name: what to call the model, in place of its path or of the name in its file.
        failed: a list that combinations of sizes are added to which the model cannot have; without it they are raised.

    Raises:
        ModelError: the model cannot be read, or dimensions remain free.
        DeviceError: the pack is damaged.
    """
    path = os.fspath(model) if isinstance(model, str | os.PathLike) else None
    for graph, dims in _graphs(model, with_session(sizes, (pack.card.runtime,)), name, failed):
        yield memory_of_graph(pack, graph, name or str(graph.name if path is None else path), dims)


def memory_of_graph(
    pack: DevicePack,
    graph: Graph,
    model: str,
    dims: Mapping[str, int] | None = None,
    rules: FusionRules | None = None,
) -> MemoryPrediction:
    """The memory of a graph with static shapes on the device of a pack, or by other fusion rules than the pack's."""
    card = pack.card
    with paused_collector():
        rules = pack.rules if rules is None else rules
        plan = plan_memory(rewrite_graph(graph, rules), rules, card.runtime, card.threads)
    live = _live_by_step(plan)
    steps = tuple(
        MemoryStep(node.name, split_kind(node.kind)[1], live[number], plan.workspace[number])
        for number, node in enumerate(plan.order)
    )
    itself, each = _SESSION_BYTES.get(card.runtime, (0, 0))
    session = itself + each * len(steps)
    inputs = sum(graph.types[name].bytes for name in graph.inputs if name in graph.types)
    warnings = [str(note) for note in graph.warnings]
    if not session:
        warnings.append(f"of {card.runtime} only weights and planned activations are known; it takes more for itself")
    return MemoryPrediction(
        model,
        pack.id,
        plan.weights + plan.resident + session,
        plan.weights,
        plan.resident,
        session,
        plan.reserved,
        plan.block,
        max(live, default=0),
        inputs,
        steps,
        _held_at_peak(plan, live),
        tuple(dict.fromkeys(warnings)),
        dict(dims or {}),
    )


def _live_by_step(plan: MemoryPlan) -> list[int]:
    """Rule 2."""
    change = [0] * (len(plan.order) + 1)
    for buffer in plan.buffers:
        change[buffer.first] += buffer.bytes
        change[buffer.last + 1] -= buffer.bytes
    live, total = [], 0
    for step, workspace in enumerate(plan.workspace):
        total += change[step]
        live.append(total + workspace)
    return live


def _held_at_peak(plan: MemoryPlan, live: list[int]) -> tuple[Held, ...]:
    if not live:
        return ()
    peak = live.index(max(live))
    held = [
        Held(buffer.tensor, plan.order[buffer.first].name, buffer.bytes)
        for buffer in plan.buffers
        if buffer.first <= peak <= buffer.last and buffer.bytes
    ]
    if plan.workspace[peak]:
        held.append(Held("working memory", plan.order[peak].name, plan.workspace[peak]))
    return tuple(sorted(held, key=lambda h: (-h.bytes, h.tensor)))


def _graphs(
    model: Any, sizes: InputSizes, name: str | None, failed: list[ModelError] | None
) -> Iterator[tuple[Graph, dict[str, int]]]:
    from nnmeter.formats import read_model

    if isinstance(model, Graph):
        yield model, {}
        return
    with paused_collector():
        unbound = read_model(model, name)
    yield from bind_each(unbound, sizes, failed)
