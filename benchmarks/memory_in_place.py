"""Which of ONNX Runtime's CPU kernels write where they read, found in what its arena is asked for.

    python benchmarks/memory_in_place.py

An operator reads a tensor of 20 MB that nobody else reads and writes one of the same size. The arena extends itself by
32 MB for the first; if it must extend itself by another piece of that size before the model is done, the operator did
not work in place. `nnmeter/memory/reuse.py` is a table of what this prints.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROWS, COLUMNS = 1000, 5000
BYTES = ROWS * COLUMNS * 4

UNARY = (
    "Abs Neg Floor Ceil Reciprocal Sqrt Exp Log Erf Sin Cos Round Sign Relu Sigmoid Tanh Elu Selu Celu LeakyRelu "
    "ThresholdedRelu HardSigmoid Softplus Softsign Clip Softmax LogSoftmax Hardmax"
).split()
BINARY = "Add Sub Mul Div Pow Min Max Sum Mean PRelu".split()

CHILD = """
import sys
import numpy as np
import onnxruntime as ort
ort.set_default_logger_severity(0)
options = ort.SessionOptions()
options.log_severity_level, options.intra_op_num_threads = 0, 1
options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
session = ort.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
print("RUN", file=sys.stderr, flush=True)
session.run(None, {"x": np.random.rand(*session.get_inputs()[0].shape).astype(np.float32)})
"""


def main() -> int:
    """Probe every operator, print a line each."""
    cases = {kind: [helper.make_node(kind, ["a", "low", "high"] if kind == "Clip" else ["a"], ["b"])] for kind in UNARY}
    cases |= {kind: [helper.make_node(kind, ["a", "low"], ["b"])] for kind in BINARY}
    cases["Cast"] = [
        helper.make_node("Cast", ["a"], ["c"], to=TensorProto.INT32),
        helper.make_node("Cast", ["c"], ["b"], to=TensorProto.FLOAT),
    ]
    for kind in ("Gelu", "QuickGelu", "FastGelu"):
        cases[f"com.microsoft.{kind}"] = [helper.make_node(kind, ["a"], ["b"], domain="com.microsoft")]
    for kind, nodes in cases.items():
        print(f"{kind:24}{'in place' if large_requests(nodes) == 1 else 'memory of its own'}", flush=True)
    return 0


def large_requests(nodes: list[onnx.NodeProto]) -> int:
    """How often the arena extended itself for a tensor of the size that the nodes read."""
    read = {name for node in nodes for name in node.input}
    limits = {"low": 0.1, "high": 0.6}
    small = [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in limits.items()]
    graph = helper.make_graph(
        [helper.make_node("Sin", ["x"], ["a"]), *nodes, helper.make_node("ArgMax", ["b"], ["y"], axis=0)],
        "probe",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [ROWS, COLUMNS])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, None)],
        [tensor for tensor in small if tensor.name in read],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
        done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=True)
    asked = re.findall(r"rounded_bytes:(\d+)", done.stderr.rpartition("RUN")[2])
    return sum(int(size) >= BYTES for size in asked)


if __name__ == "__main__":
    sys.exit(main())
