"""nn-Meter 2.0's own reading and kernel detection of the ONNX files of a directory; the last line is files a second.

    python benchmarks/nn_meter_detection.py DIRECTORY [COUNT]

Runs in an environment of its own that has nn-meter 2.0, onnx and onnx-simplifier; nothing of nnmeter is used, and no
latency is predicted. The rules of a device come with nn-Meter's predictors, which are not in its package; `_FUSED` are
pairs as the rules of its CPU have them.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

_FUSED = ("conv_bn", "conv_relu", "conv_hswish", "dwconv_bn", "dwconv_relu", "dwconv_hswish", "add_relu", "fc_relu")


def main() -> int:
    from nn_meter.ir_converter import model_file_to_graph
    from nn_meter.kernel_detector import KernelDetector

    directory = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as folder:
        rules = Path(folder) / "rules.json"
        rules.write_text(json.dumps({f"BF_{pair}": {"obey": True} for pair in _FUSED}), encoding="utf-8")
        detector = KernelDetector(str(rules))
    times = []
    for path in sorted(directory.glob("*.onnx"))[:count]:
        start = time.process_time()
        graph = model_file_to_graph(str(path), "onnx")
        detector.load_graph(graph)
        detector.get_kernels()
        times.append(time.process_time() - start)
    print(1.0 / statistics.median(times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
