"""A runtime that exists only here: models are JSON texts, time is counted, nothing is executed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from nnmeter.errors import MeasurementError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.lab.measuring.correction import SENSITIVITY

REFERENCE_S = 0.001
REFERENCE_KERNELS = [["MatMul", REFERENCE_S * 1e3]]


def make_signature(op_type: str, size: int = 8) -> KernelSignature:
    tensor = TensorType("float32", (1, size))
    return KernelSignature(op_type, op_type, "", (tensor,), (False,), (tensor,), (("axis", 1),))


class FakeClock:
    """Seconds that pass only when something runs; `slowness` is the machine's noise as the reference feels it."""

    def __init__(self):
        self.now_s = 0.0
        self.slowness = lambda now_s: 1.0

    def __call__(self):
        return self.now_s

    def pass_(self, seconds, sensitivity=SENSITIVITY):
        self.now_s += seconds * self.slowness(self.now_s) ** sensitivity


class FakeModel:
    """A model of kernels that each take their given milliseconds."""

    def __init__(self, clock, kernel_ms, profiled, extra_ms=0.0):
        self.clock, self.kernel_ms, self.profiled, self.extra_ms = clock, kernel_ms, profiled, extra_ms
        self.kernels = [
            Kernel(f"k{i}", make_signature(name, i + 1), (f"n{i}",)) for i, (name, _) in enumerate(kernel_ms)
        ]
        self.batch = 1
        self.closed = False
        self.sensitivity = 1.0 if kernel_ms == REFERENCE_KERNELS else SENSITIVITY

    def run(self):
        self.clock.pass_((sum(ms for _, ms in self.kernel_ms) + self.extra_ms) / 1e3, self.sensitivity)

    def profile(self, runs, after_each=None):
        if not self.profiled:
            raise MeasurementError("cannot be profiled")
        self.profiled = False
        rows = []
        for _ in range(runs):
            slowness = self.clock.slowness(self.clock.now_s) ** self.sensitivity
            self.run()
            rows.append([ms * slowness for _, ms in self.kernel_ms])
            if after_each:
                after_each()
        return np.array(rows)

    def close(self):
        self.closed = True


class FakeRuntime:
    """Compiles `[[type, ms], ...]`, given as bytes, as a file or as the doc_string of a ModelProto."""

    name = "fake"
    has_profiler = True
    clock = FakeClock()

    def version(self):
        return "1.0"

    def device_settings(self, threads):
        return {"intra_op_num_threads": threads}

    def compile(self, model, threads=1, *, dims=None, shapes=None, profiled=False, seed=0):
        if isinstance(model, str | Path):
            model = Path(model).read_bytes()
        text = model.doc_string if hasattr(model, "doc_string") else model
        try:
            kernel_ms = json.loads(text)
        except ValueError:
            kernel_ms = REFERENCE_KERNELS  # the reference is the only real ONNX model here
        if not kernel_ms:
            raise MeasurementError("the runtime refuses it")
        return FakeModel(self.clock, kernel_ms, profiled)
