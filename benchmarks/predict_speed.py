"""How fast `nnmeter predict` is: cold, warm, and with many weights.

    python benchmarks/predict_speed.py [--device ID_OR_PATH] [--runs 9]

1. Cold: wall time and peak memory of a fresh process that predicts resnet50, and of `python -c "import numpy, onnx"`;
   the two take turns, medians are compared. Limits: 2.0 times the wall, 200 MB.
2. Warm: reading, shapes, detection and pricing of a model in a process that has predicted it before. Every measured run
   is of a new predictor, so no price is remembered. Limits: resnet50 8 ms, swin_tiny 40 ms. The same where nothing else
   is remembered either, of this model or others like it.
3. Weights: one graph with 1 MB and with 1.5 GB of embedded weights. Limits: 1.3 times the time, 60 MB of memory.

Exit code 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nnmeter.devices import DevicePack

ZOO = Path(__file__).parent.parent / "data" / "zoo"
RESNET = ZOO / "resnet50-224.onnx"
SWIN = ZOO / "swin_tiny_patch4_window7_224-224.onnx"
MB = 2**20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="device pack; default: the nearest")
    parser.add_argument("--runs", type=int, default=9, help="repetitions of each measurement")
    options = parser.parse_args()
    print(f"{'what':<58} {'value':>10} {'limit':>8}")
    held = [*cold(options.device, options.runs), *warm(options.device, options.runs), *weights(options.device)]
    return 0 if all(held) else 1


def cold(device: str | None, runs: int) -> list[bool]:
    """Rule 1."""
    predict = [sys.executable, "-m", "nnmeter", "predict", str(RESNET), *(["--device", device] if device else [])]
    imports = [sys.executable, "-c", "import numpy, onnx"]
    samples: dict[str, list[tuple[float, float]]] = {"predict": [], "imports": []}
    for number in range(runs + 1):
        for name, command in (("predict", predict), ("imports", imports)):
            sample = run_process(command)
            if number:  # the first round fills the file cache
                samples[name].append(sample)
    wall = {name: statistics.median(s[0] for s in values) for name, values in samples.items()}
    memory = max(s[1] for s in samples["predict"])
    show("cold: python -c 'import numpy, onnx'", wall["imports"] * 1e3, "ms")
    show("cold: nnmeter predict resnet50-224.onnx", wall["predict"] * 1e3, "ms")
    return [
        show("cold: predict / imports, wall", wall["predict"] / wall["imports"], "x", 2.0),
        show("cold: peak memory of predict", memory, "MB", 200),
    ]


def warm(device: str | None, runs: int) -> list[bool]:
    """Rule 2."""
    from nnmeter import LatencyPredictor
    from nnmeter.devices import load_pack, nearest_device

    pack = load_pack(device or nearest_device()[0].path)
    held = []
    for model, limit_ms in ((RESNET, 8.0), (SWIN, 40.0)):
        times = []
        for _ in range(runs + 2):
            forget_prices(pack.predictor)
            gc.collect()
            start = time.perf_counter()
            LatencyPredictor(pack).predict(model)
            times.append((time.perf_counter() - start) * 1e3)
        held.append(show(f"warm: {model.name}", statistics.median(times[2:]), "ms", limit_ms))
        times = []
        for _ in range(runs + 2):
            forget_all(pack)
            gc.collect()
            start = time.perf_counter()
            LatencyPredictor(pack).predict(model)
            times.append((time.perf_counter() - start) * 1e3)
        show(f"warm, nothing remembered: {model.name}", statistics.median(times[2:]), "ms")
    return held


def forget_prices(predictor: object) -> None:
    """Empty the caches that would make a second prediction of one model cheaper than the first of another."""
    from nnmeter.kernels.features import kernel_features

    getattr(predictor, "_cache", {}).clear()
    kernel_features.cache_clear()


def forget_all(pack: DevicePack) -> None:
    """Empty everything that is remembered from model to model."""
    from nnmeter.binding import inference
    from nnmeter.formats import scan
    from nnmeter.kernels import naming

    forget_prices(pack.predictor)
    pack.rules.remembered.clear()
    for known in (scan._nodes, scan._tensors, scan._attributes, scan._attribute_sets, inference._given, naming._made):
        known.clear()


def weights(device: str | None) -> list[bool]:
    """Rule 3."""
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as directory:
        small, large = Path(directory) / "small.onnx", Path(directory) / "large.onnx"
        write_with_weights(small, 1 * MB)
        write_with_weights(large, 1536 * MB)
        samples: dict[Path, list[tuple[float, float]]] = {small: [], large: []}
        for number in range(6):
            for path in (small, large):
                option = ["--device", device] if device else []
                sample = run_process([sys.executable, "-m", "nnmeter", "predict", str(path), *option])
                if number:
                    samples[path].append(sample)
    wall = {path: statistics.median(s[0] for s in values) for path, values in samples.items()}
    memory = {path: statistics.median(s[1] for s in values) for path, values in samples.items()}
    return [
        show("weights: 1.5 GB / 1 MB, wall", wall[large] / wall[small], "x", 1.3),
        show("weights: 1.5 GB - 1 MB, peak memory", memory[large] - memory[small], "MB", 60),
    ]


def write_with_weights(path: Path, size: int) -> None:
    """Write resnet50 with one more initializer of `size` bytes, embedded as `raw_data` of zeros on sparse blocks."""
    import onnx

    model = onnx.load(RESNET, load_external_data=False)
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    elements = size // 4
    name = b"nnmeter.padding"
    # TensorProto: dims = 1, data_type = 2, name = 8, raw_data = 9; the payload comes last, as a hole in the file.
    head = key(1, 0) + varint(elements) + key(2, 0) + varint(1) + key(8, 2) + varint(len(name)) + name
    head += key(9, 2) + varint(4 * elements)
    graph += key(5, 2) + varint(len(head) + 4 * elements) + head  # GraphProto.initializer
    with open(path, "wb") as stream:
        stream.write(model.SerializeToString() + key(7, 2) + varint(len(graph) + 4 * elements) + graph)
        stream.truncate(stream.tell() + 4 * elements)


def key(field: int, wire_type: int) -> bytes:
    """The key of a protobuf field."""
    return varint(field << 3 | wire_type)


def varint(value: int) -> bytes:
    """A protobuf varint."""
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes([*data, value])


def run_process(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak memory in MB of a process that must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output = process.stdout.read() if process.stdout else b""
    error = process.stderr.read() if process.stderr else b""
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {(output + error).decode(errors='replace')}")
    return wall, usage.ru_maxrss / 1024


def show(what: str, value: float, unit: str, limit: float | None = None) -> bool:
    """Print a line; whether the value is within its limit."""
    within = limit is None or value <= limit
    bound = "" if limit is None else str(limit)
    print(f"{what:<58} {value:>7.2f} {unit:<2} {bound:>8} {'' if within else 'EXCEEDED'}".rstrip())
    return within


if __name__ == "__main__":
    sys.exit(main())
