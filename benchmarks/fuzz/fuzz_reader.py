"""Fuzz target: any bytes as a model, through reading, binding, detection of kernels and pricing.

Run by `fuzz_run.py`. Whatever is raised that is no `NnmeterError` is a find; so is more than the time and memory that
libFuzzer is told to allow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["nnmeter"]):
    from fuzz_mutations import mutate_model
    from fuzz_seeds import write_pack

    import nnmeter.binding.onnx_inference
    import nnmeter.formats.nnmeter_ir
    import nnmeter.predictor.kernel_predictor  # noqa: F401 - imported when used, which would be too late to look into
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.devices import load_pack
    from nnmeter.errors import NnmeterError
    from nnmeter.formats import read_model
    from nnmeter.fusion.detect import detect_kernels
    from nnmeter.fusion.loading import load_rules
    from nnmeter.graph.input_sizes import InputSizes
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.report import render
    from nnmeter.report.registry import Layout

_RULES = [load_rules(name) for name in ("onnxruntime_cpu", "openvino_cpu", "tflite21_cpu")]
_SIZE = 2  # of every free dimension
_LAYOUT = Layout(False, 100)


def main() -> None:
    """Hand over to libFuzzer."""
    with TemporaryDirectory() as directory:
        predictor = LatencyPredictor(load_pack(write_pack(Path(directory))))
        predictor.pack.predictor.price([])  # reads it while it is there

    def run(data: bytes) -> None:
        try:
            model = read_model(data)
            shapes = {
                declared.name: [size if isinstance(size, int) else _SIZE for size in declared.dims]
                for declared in model.inputs
                if declared.dims is not None
            }
            graph = bind_shapes(model, InputSizes(shapes=shapes))
            kernels = detect_kernels(graph, _RULES[len(data) % len(_RULES)])
            prediction = predictor.price("model", kernels, graph.warnings)
        except NnmeterError:
            return
        if not 0 <= prediction.interval_ms[0] <= prediction.latency_ms <= prediction.interval_ms[1] < float("inf"):
            raise RuntimeError(f"a price that is none: {prediction.interval_ms}")
        render([prediction], "json", _LAYOUT)
        render([prediction], "table", _LAYOUT)

    atheris.Setup(sys.argv, run, custom_mutator=lambda data, most, seed: mutate_model(data, most, seed, atheris.Mutate))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
