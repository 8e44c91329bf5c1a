"""What is done with one input of each kind; whatever comes out of it that is no `NnmeterError` is a find.

A target says whether it took the input: one that refuses all of them tries nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz_imports import import_target
from fuzz_seeds import PARTS, models, write_pack

import nnmeter.binding.onnx_inference
import nnmeter.formats.nnmeter_ir
import nnmeter.fusion.detect
import nnmeter.predictor.kernel_predictor
import nnmeter.report.pack_json
import nnmeter.report.pack_table  # noqa: F401 - these are imported when used, which would be too late to look into
from nnmeter.api import load_model
from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.manifest import MANIFEST, write_manifest
from nnmeter.devices.pack import read_pack
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.report import render
from nnmeter.report.registry import CORE, Layout

Target = Callable[[bytes], bool]

_RULES = ("onnxruntime_cpu", "openvino_cpu", "tflite21_cpu")
_SIZE = 2  # of every free dimension
_LAYOUT = Layout(False, 100)
_TRAINED = 37  # of so many files of measurements one is trained on, which takes longest


def model_target(directory: Path) -> Target:
    """A model, or a graph of nn-Meter: read, bound, its kernels detected, priced and shown."""
    rules = [load_rules(name) for name in _RULES]
    predictor = LatencyPredictor(read_pack(write_pack(directory)))
    predictor.pack.predictor.price([])  # reads it while it is there

    def run(data: bytes) -> bool:
        try:
            model = read_model(data)
            shapes = {
                declared.name: [size if isinstance(size, int) else _SIZE for size in declared.dims]
                for declared in model.inputs
                if declared.dims is not None
            }
            graph = bind_shapes(model, InputSizes(shapes=shapes))
            kernels = detect_kernels(graph, rules[len(data) % len(rules)])
            prediction = predictor.price("model", kernels, graph.warnings)
        except NnmeterError:
            return False
        _check_price(prediction)
        render([prediction], "json", _LAYOUT)
        render([prediction], "table", _LAYOUT)
        return True

    return run


def pack_target(directory: Path) -> Target:
    """One file of a device pack, behind a byte that says which; the manifest has its hash."""
    graphs = [load_model(data, {"n": 1}) for data in list(models())[:2]]
    pack = write_pack(directory)
    whole = {name: (pack / name).read_bytes() for name in PARTS}

    def run(data: bytes) -> bool:
        part = PARTS[data[0] % len(PARTS)] if data else MANIFEST
        for name, content in whole.items():
            (pack / name).write_bytes(content)
        (pack / part).write_bytes(data[1:])
        try:
            if part != MANIFEST:
                (pack / MANIFEST).unlink()
                write_manifest(pack)
            loaded = read_pack(pack)
            predictor = LatencyPredictor(loaded)
            for graph in graphs:
                _check_price(predictor.predict(graph))
            CORE.render("pack", loaded, "table", _LAYOUT)
            CORE.render("pack", loaded, "json", _LAYOUT)
        except NnmeterError:
            return False
        return True

    return run


def measurement_target(directory: Path) -> Target:
    """A file of measurements: read, verified as a campaign, appended to, and now and then trained on."""
    from nnmeter.lab.campaign.verification import verify_measurements
    from nnmeter.lab.frames import read_measurements as read_frame
    from nnmeter.lab.measuring.append import append_measurements
    from nnmeter.lab.measuring.store import read_measurements
    from nnmeter.lab.measuring.validation import split_outliers
    from nnmeter.lab.training.build import build_pack

    path = directory / "measurements.parquet"

    def run(data: bytes) -> bool:
        path.write_bytes(data)
        try:
            rows, fingerprint = read_measurements(path)
            split_outliers(rows)
            read_frame(path)
            verify_measurements(path)
            append_measurements(path, rows[:1], fingerprint)
            if rows and sum(data) % _TRAINED == 0:
                build_pack([path], directory / "trained", device_id="fuzzed")
        except NnmeterError:
            return False
        return True

    return run


def _check_price(prediction: Any) -> None:
    low, high = prediction.interval_ms
    if not 0 <= low <= prediction.latency_ms <= high < float("inf"):
        raise RuntimeError(f"a price that is none: {prediction.latency_ms} {prediction.interval_ms}")


TARGETS: dict[str, Callable[[Path], Target]] = {
    "models": model_target, "graphs": model_target, "packs": pack_target, "measurements": measurement_target,
    "imports": import_target,
}  # fmt: skip
