"""A runtime with a law of fusion and a clock of its own: what it executes, and how long that takes, is known."""

from __future__ import annotations

import numpy as np
import onnx

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import Kernel, KernelSignature

INFERENCE_MS, LAUNCH_MS = 0.02, 0.002
WORK_MS = {"Conv": 0.004, "MatMul": 0.003, "Gemm": 0.003, "Softmax": 0.002}


class NoisyClock:
    """Seconds that pass only when something runs: slow drift, noise of single runs, and a few interruptions."""

    def __init__(self, seed=0, noise=0.03, drift=0.2, spikes=0.02):
        self.now_s = 0.0
        self.rng = np.random.default_rng(seed)
        self.noise, self.drift, self.spikes = noise, drift, spikes

    def __call__(self):
        return self.now_s

    def pass_ms(self, milliseconds):
        slowness = 1 + self.drift * np.sin(self.now_s * 3) + self.noise * self.rng.standard_normal()
        if self.rng.random() < self.spikes:
            slowness += self.rng.exponential(3.0)
        self.now_s += max(slowness, 0.5) * milliseconds / 1e3


class LawfulModel:
    batch = 1

    def __init__(self, runtime, proto):
        self.runtime = runtime
        groups = runtime.groups(proto.graph)
        self.kernels = [_kernel(group) for group in groups] if runtime.tells else ()
        self.time_ms = INFERENCE_MS + sum(map(runtime.kernel_ms, groups))
        self.closed = False

    def run(self):
        assert not self.closed
        self.runtime.runs += 1
        self.runtime.clock.pass_ms(self.time_ms)

    def close(self):
        self.closed = True
        self.runtime.live.remove(self)


class LawfulRuntime:
    """Fuses an operator into the one that writes its first input, where `law` has the pair and nobody else reads it."""

    name = "lawful"
    has_profiler = False

    def __init__(self, clock, law, tells=True, refuses=(), free=()):
        self.clock, self.law, self.tells, self.refuses = clock, set(law), tells, set(refuses)
        self.free = set(free)
        self.runs = 0
        self.live = []
        self.inputs = []

    def version(self):
        return "1.0"

    def device_settings(self, threads):
        return {}

    def compile(self, model, threads=1, *, dims=None, shapes=None, profiled=False, seed=0):
        proto = onnx.load_model_from_string(model) if isinstance(model, bytes) else model
        self.inputs.append([d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim])
        if {node.op_type for node in proto.graph.node} & self.refuses:
            raise MeasurementError("an operator is not implemented")
        compiled = LawfulModel(self, proto)
        self.live.append(compiled)
        return compiled

    def groups(self, graph):
        writers, readers, group_of = {}, {}, {}
        for node in graph.node:
            writers.update(dict.fromkeys(node.output, node))
            for name in node.input:
                readers[name] = readers.get(name, 0) + 1
        groups = []
        for node in graph.node:
            before = writers.get(node.input[0])
            fused = before is not None and (before.op_type, node.op_type) in self.law and readers[node.input[0]] == 1
            if fused:
                group_of[node.name] = group_of[before.name]
                group_of[node.name].append(node)
            else:
                group_of[node.name] = [node]
                groups.append(group_of[node.name])
        return [group for group in groups if {node.op_type for node in group} - self.free]

    def kernel_ms(self, group):
        return LAUNCH_MS + sum(WORK_MS.get(node.op_type, 0.0002) for node in group)


def _kernel(group):
    kinds = [node.op_type for node in group]
    tensor = TensorType("float32", (1, 8))
    signature = KernelSignature("+".join(kinds), kinds[0], "", (tensor,), (False,), (tensor,))
    return Kernel(group[0].name, signature, tuple(node.name for node in group))
