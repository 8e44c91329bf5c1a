"""How many candidates of a search are predicted in a second, beside what reading them takes.

    python benchmarks/search_speed.py [--device ID_OR_PATH] [--seen 3000] [--candidates 600] [--nodes 80]
        [--space NAME] [--nn-meter PYTHON]

Candidates are networks of the spaces of `benchmarks/search_spaces.py`. From each space random ones with about as many
operators as `--nodes` says are drawn (or the nearest that it has); none is seen twice. All ways take turns over batches
of the same candidates, in one process and thread:

1. `onnx.load` of bytes and `onnx.shape_inference.infer_shapes`.
2. `LatencyPredictor.predict` of bytes, of a `ModelProto`, and of a file; the predictor has seen `--seen` other
   candidates of the space before.
3. The same of bytes whose tensors and operators are all named otherwise, as an exporter that numbers them does.
4. The same of bytes with nothing remembered: a new process's first candidate, without the time to load the pack.
5. With `--nn-meter`, the interpreter of an environment with nn-meter 2.0 and onnx-simplifier: its own reading, shape
   inference and kernel detection, without prediction.

The rate is that of the median batch, by seconds of the processor, so that it is that of one core.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from search_spaces import SPACES

from nnmeter import LatencyPredictor
from nnmeter.devices import load_pack, nearest_device
from nnmeter.prediction.parts import KnownParts
from nnmeter.search import Space

_BATCH = 25
_FORGOTTEN = 25  # candidates of way 4, which is slow
_OF_NN_METER = 10  # candidates of way 5, which is slower


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="device pack; default: the nearest")
    parser.add_argument("--seen", type=int, default=3000, help="candidates of each space that were predicted before")
    parser.add_argument("--candidates", type=int, default=600, help="of each space that are measured")
    parser.add_argument("--space", choices=list(SPACES), action="append", help="default: all")
    parser.add_argument("--nodes", type=int, default=80, help="operators of a candidate, about")
    parser.add_argument("--nn-meter", help="interpreter of an environment with nn-meter 2.0")
    options = parser.parse_args()
    pack = load_pack(options.device or nearest_device()[0].path)
    for name in options.space or SPACES:
        predictor = LatencyPredictor(pack)
        models = draw(name, options.seen + options.candidates, options.nodes)
        seen, fresh = models[: options.seen], models[options.seen :]
        count = statistics.mean(len(model.graph.node) for model in fresh)
        print(f"{name}: {len(fresh)} candidates of {count:.0f} operators")
        for model in seen:
            predictor.predict(model.SerializeToString())
        with tempfile.TemporaryDirectory(prefix="nnmeter-") as directory:
            for way, rate in rates(predictor, fresh, Path(directory)).items():
                print(f"  {way:<58} {rate:>8.0f} a second", flush=True)
        if options.nn_meter:
            with tempfile.TemporaryDirectory(prefix="nnmeter-") as directory:
                rate = nn_meter_rate(options.nn_meter, fresh[:_OF_NN_METER], Path(directory))
                print(f"  {'nn-Meter 2.0: reading and detection':<58} {rate:>8.1f} a second")
    return 0


def draw(name: str, count: int, nodes: int) -> list[onnx.ModelProto]:
    """Different random candidates of a space, as many operators each as is asked for, or as near as there are."""
    options, build = SPACES[name]
    space = Space(options)
    random = np.random.default_rng(0)
    rows = space.sample(2 * count, random)
    depths = [at for at, choice in enumerate(space.names) if choice.startswith("depth")]
    rows[: count + count // 2, depths] = 0  # most of them as shallow as the space has them
    models = [build(space.candidate(row)) for row in np.unique(rows, axis=0)]
    models.sort(key=lambda model: abs(len(model.graph.node) - nodes))
    return [models[at] for at in random.permutation(count)]


def rates(predictor: LatencyPredictor, models: list[onnx.ModelProto], directory: Path) -> dict[str, float]:
    """Candidates a second of each way."""
    data = [model.SerializeToString() for model in models]
    renamed = [with_other_names(model, number).SerializeToString() for number, model in enumerate(models)]
    paths = []
    for number, content in enumerate(data):
        paths.append(directory / f"{number}.onnx")
        paths[-1].write_bytes(content)
    ways: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        "onnx.load_from_string, infer_shapes": (
            lambda content: onnx.shape_inference.infer_shapes(onnx.load_from_string(content)), data,
        ),
        "predict, bytes": (predictor.predict, data),
        "predict, ModelProto": (predictor.predict, models),
        "predict, file": (predictor.predict, paths),
        "predict, bytes, other names": (predictor.predict, renamed),
    }  # fmt: skip
    times: dict[str, list[float]] = {way: [] for way in ways}
    for at in range(0, len(models), _BATCH * len(ways)):
        # Each way has candidates of its own, for what one way has seen another would be quick to predict.
        for turn, (way, (call, given)) in enumerate(ways.items()):
            batch = given[at + turn * _BATCH : at + (turn + 1) * _BATCH]
            if len(batch) < _BATCH:
                continue
            gc.collect()
            start = time.process_time()
            for item in batch:
                call(item)
            times[way].append((time.process_time() - start) / len(batch))
    found = {way: 1.0 / statistics.median(taken) for way, taken in times.items()}
    taken = []
    for content in data[:_FORGOTTEN]:
        forget(predictor)
        start = time.process_time()
        predictor.predict(content)
        taken.append(time.process_time() - start)
    found["predict, bytes, nothing remembered"] = 1.0 / statistics.median(taken)
    return found


def with_other_names(model: onnx.ModelProto, number: int) -> onnx.ModelProto:
    """The model with other names of its tensors and operators."""
    found = onnx.ModelProto()
    found.CopyFrom(model)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    names = {name: name for name in kept}

    def other(name: str) -> str:
        return names.setdefault(name, f"t{number}.{len(names)}") if name else name

    for node in found.graph.node:
        inputs, outputs = [other(name) for name in node.input], [other(name) for name in node.output]
        del node.input[:]
        del node.output[:]
        node.input.extend(inputs)
        node.output.extend(outputs)
        node.name = f"n{number}.{node.name}"
    for tensor in found.graph.initializer:
        tensor.name = other(tensor.name)
    return found


def forget(predictor: LatencyPredictor) -> None:
    """Empty everything that is remembered from candidate to candidate."""
    from predict_speed import forget_all

    forget_all(predictor.pack)
    predictor.parts = KnownParts()
    gc.collect()


def nn_meter_rate(python: str, models: list[onnx.ModelProto], directory: Path) -> float:
    """Candidates a second of nn-Meter's reading and detection, which wants weights: they are zeros here."""
    for number, model in enumerate(models):
        stored = onnx.ModelProto.FromString(model.SerializeToString())
        for tensor in stored.graph.initializer:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                tensor.raw_data = bytes(4 * int(np.prod(tensor.dims)))
                tensor.ClearField("data_location")
                tensor.ClearField("external_data")
        onnx.save(stored, directory / f"{number}.onnx")
    script = Path(__file__).with_name("nn_meter_detection.py")
    result = subprocess.run([python, str(script), str(directory)], capture_output=True, text=True, check=False)
    if result.returncode:
        raise SystemExit(f"nn-Meter failed: {result.stderr[-2000:]}")
    return float(result.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
