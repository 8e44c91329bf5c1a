"""nn-Meter 2.0's own reading and kernel detection of the ONNX files of a directory; the last line is files a second.

    python benchmarks/nn_meter_detection.py DIRECTORY [COUNT]

Runs in an environment of its own that has nn-meter 2.0 and onnx; nothing of nnmeter is used, and no latency is
predicted.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path


def main() -> int:
    import nn_meter
    from nn_meter.ir_converter import model_file_to_graph
    from nn_meter.kernel_detector import KernelDetector

    directory = Path(sys.argv[1])
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    rules = Path(nn_meter.__file__).parent / "kernel_detector" / "fusionlib" / "rule_tflitecpu.json"
    detector = KernelDetector(str(next(iter([rules] if rules.exists() else sorted(rules.parent.glob("*.json"))))))
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
