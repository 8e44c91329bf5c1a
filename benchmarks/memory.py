"""Predicted against real memory: what a runtime takes for real models, each in a fresh process.

    python benchmarks/memory.py [--models data/zoo] [--only PATTERN ...] [--pack ID] [--out FILE] [--measured FILE]

1. A model is given random weights and written to a file. A fresh process imports the runtime of the pack (ONNX Runtime
   or OpenVINO), runs a model of one operator, and then notes its anonymous resident memory; it makes a session of the
   model, runs it three times, and notes it again. The difference is what the model takes. `malloc_trim` is called
   before each note: what the C library keeps of memory that the runtime has freed is no need of the model. One thread,
   all else as the runtime has it.
2. ONNX Runtime's arena says in the log how much it asked the system for.
3. Predictions are by the pack's fusion rules with the parameters of this machine: blocks of channels are of other
   sizes on other processors.
4. Printed are predicted and measured memory, and for how many models they differ by at most 5 % and 10 %.

`--measured FILE` takes what was measured from a table that `--out` wrote; `benchmarks/memory.csv` is one, of a Zen 3
server (AVX2) with ONNX Runtime 1.32: `python benchmarks/memory.py --measured benchmarks/memory.csv --isa avx2`.
`benchmarks/memory-quantized.csv` has some of `data/zoo-quantized`.

The times of the processes do not matter, so other work may go on beside it. The zoo takes about ten minutes.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import json
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from nnmeter.api import load_model
from nnmeter.devices import load_pack
from nnmeter.devices.machine import this_machine
from nnmeter.errors import NnmeterError
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.memory.memory import MemoryPrediction, memory_of_graph
from nnmeter.prediction.peak_memory import MIB

_COMMON = """
import ctypes, json, sys
import numpy as np
libc = ctypes.CDLL(None)
def anonymous():
    libc.malloc_trim(0)
    for line in open("/proc/self/smaps_rollup"):
        if line.startswith("Anonymous:"):
            return int(line.split()[1]) * 1024
path, small, feeds_path = sys.argv[1:]
feeds = dict(np.load(feeds_path))
"""

# What a fresh process runs, by runtime: a small model first, then the one that is asked for.
CHILDREN = {
    "onnxruntime": _COMMON
    + """
import onnxruntime as ort
ort.set_default_logger_severity(1)
options = ort.SessionOptions()
options.intra_op_num_threads = 1
warm = ort.InferenceSession(small, options, providers=["CPUExecutionProvider"])
warm.run(None, {"x": np.ones((1, 4), np.float32)})
print("BEGIN", file=sys.stderr, flush=True)
before = anonymous()
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
loaded = anonymous()
print("LOADED", file=sys.stderr, flush=True)
for _ in range(3):
    session.run(None, feeds)
print(json.dumps({"loaded": loaded - before, "run": anonymous() - before}))
""",
    "openvino": _COMMON
    + """
import openvino
core = openvino.Core()
options = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
warm = core.compile_model(small, "CPU", options)
warm({"x": np.ones((1, 4), np.float32)})
before = anonymous()
compiled = core.compile_model(path, "CPU", options)
loaded = anonymous()
request = compiled.create_infer_request()
for _ in range(3):
    request.infer(feeds, share_inputs=True)
print(json.dumps({"loaded": loaded - before, "run": anonymous() - before}))
""",
}


@dataclass(frozen=True)
class Taken:
    """What a model took.

    Attributes:
        run: bytes after three runs.
        loaded: bytes before the first.
        arena: bytes that the arena asked for while the model ran; None where nobody noted it.
    """

    run: int
    loaded: int
    arena: int | None


def main() -> int:
    """Predict, measure, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("data/zoo"), help="folder of models")
    parser.add_argument("--only", nargs="*", default=["*"], metavar="PATTERN", help="names that fit one of these")
    parser.add_argument("--pack", default="epyc-genoa-onnxruntime1.32-1t", metavar="ID", help="device pack")
    parser.add_argument("--out", type=Path, help="table to write (CSV)")
    parser.add_argument("--measured", type=Path, help="table to read in place of measuring")
    parser.add_argument("--isa", default=this_machine().isa, help="instructions of the machine that was measured")
    options = parser.parse_args()
    pack = load_pack(options.pack)
    rules = rules_for_machine(pack.rules, options.isa)
    known = read_table(options.measured) if options.measured else None
    rows: list[tuple[str, MemoryPrediction, Taken]] = []
    print(
        f"{'model':44}{'predicted':>10}{'measured':>10}{'ratio':>7}   MiB: weights, activations, arena; loaded, arena"
    )
    for path in sorted(options.models.glob("*.onnx")):
        if not any(fnmatch.fnmatch(path.stem, pattern) for pattern in options.only):
            continue
        try:
            predicted = memory_of_graph(pack, load_model(path), str(path), rules=rules)
            if known is not None and path.stem not in known:
                continue
            taken = measure(path, pack.card.runtime) if known is None else known[path.stem]
        except (NnmeterError, subprocess.CalledProcessError) as fault:
            print(f"{path.stem}: passed over: {fault}", file=sys.stderr)
            continue
        rows.append((path.stem, predicted, taken))
        print(
            f"{path.stem:44}{predicted.peak_mib:10.1f}{taken.run / MIB:10.1f}{predicted.peak_bytes / taken.run:7.3f}   "
            f"{predicted.weights_bytes / MIB:.1f} {predicted.activations_bytes / MIB:.1f} "
            f"{predicted.reserved_bytes / MIB:.1f}; {taken.loaded / MIB:.1f} "
            f"{'' if taken.arena is None else format(taken.arena / MIB, '.1f')}",
            flush=True,
        )
    if options.out:
        write_table(options.out, rows)
    if rows:
        print(summary(rows))
    return 0 if rows else 1


def measure(path: Path, runtime: str) -> Taken:
    """What a runtime takes for a model, with random weights, in a fresh process (rules 1 and 2)."""
    from nnmeter.lab.runtimes.preparation import prepare_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepared = prepare_model(path)
        onnx.save(prepared.proto, folder / "model.onnx")
        np.savez(folder / "feeds.npz", **prepared.feeds)  # type: ignore[arg-type]
        del prepared
        onnx.save(_small_model(), folder / "small.onnx")
        arguments = [str(folder / file) for file in ("model.onnx", "small.onnx", "feeds.npz")]
        done = subprocess.run(
            [sys.executable, "-c", CHILDREN[runtime], *arguments],
            capture_output=True,
            text=True,
            check=True,
            errors="replace",
        )
    said = json.loads(done.stdout)
    running = done.stderr.rpartition("LOADED")[2]
    arena = sum(int(size) for size in re.findall(r"Extended allocation by (\d+) bytes", running))
    return Taken(said["run"], said["loaded"], arena if runtime == "onnxruntime" else None)


def _small_model() -> onnx.ModelProto:
    kind = onnx.helper.make_tensor_value_info
    nodes = [onnx.helper.make_node("Relu", ["x"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "small", [kind("x", 1, [1, 4])], [kind("y", 1, [1, 4])])
    return onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 17)])


def read_table(path: Path) -> dict[str, Taken]:
    """What `write_table` wrote of what was measured, by model."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {
            row["model"]: Taken(
                int(row["measured"]), int(row["loaded"]), int(row["arena"]) if row.get("arena") else None
            )
            for row in csv.DictReader(stream)
        }


def write_table(path: Path, rows: list[tuple[str, MemoryPrediction, Taken]]) -> None:
    """A row a model, in bytes."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["model", "predicted", "measured", "weights", "activations", "session", "kernels", "loaded", "arena"]
        )
        for name, predicted, taken in rows:
            parts = (
                predicted.weights_bytes,
                predicted.activations_bytes,
                predicted.session_bytes,
                len(predicted.steps),
            )
            writer.writerow([name, predicted.peak_bytes, taken.run, *parts, taken.loaded, taken.arena])


def summary(rows: list[tuple[str, MemoryPrediction, Taken]]) -> str:
    """How many models are within 5 % and 10 %, and the mean error."""
    errors = [abs(predicted.peak_bytes / taken.run - 1) for _, predicted, taken in rows]
    within = [100 * sum(error <= limit for error in errors) / len(errors) for limit in (0.05, 0.1)]
    return (
        f"{len(rows)} models: {within[0]:.1f} % within 5 %, {within[1]:.1f} % within 10 %; "
        f"error {100 * statistics.mean(errors):.1f} % "
        f"in the mean, {100 * statistics.median(errors):.1f} % in the median, {100 * max(errors):.0f} % at most"
    )


if __name__ == "__main__":
    sys.exit(main())
