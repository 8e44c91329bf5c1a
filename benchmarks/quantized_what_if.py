"""Whether a model that is quantized without its weights is the model that the quantizer writes.

    python benchmarks/quantized_what_if.py [--zoo data/zoo] [--quantized data/zoo-quantized] [--pack ID]
        [--only PATTERN] [--measured data/epyc-genoa-onnxruntime1.32-1t] [--verbose]

1. For every file of the quantized zoo, the float model that it was made of is transformed as its name says (`WORDS`),
   and the kernels of both are detected with the rules of a pack. Two kernels are equal if their type and the types and
   shapes of all inputs and outputs are; F1 is the share that two multisets have in common, as in `fusion_truth.py`.
   Biases that the random float model shares are stored apart first, as `quantize_zoo.py` does (its rule 1). Random
   weights of one shape may have equal scales in a file, so that the runtime computes the product of two once; here, as
   in a trained model, no two are equal: the dynamic variants of bert, distilbert and llama differ by that.
2. With measurements of both zoos, the predicted speed-up (float over quantized, both predicted, the quantized graph
   made without weights) is compared with the measured one.

Exit code 1 if the F1 of all kernels together is below 0.98, or fewer than 80 % of speed-ups are within 10 %.
"""

from __future__ import annotations

import argparse
import fnmatch
import statistics
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices import DevicePack, load_pack
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.graph.ir import Graph
from nnmeter.graph.unbound import UnboundModel
from nnmeter.kernels.kernel import Kernel
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.transforms import Quantize, apply

LEAST_F1, LEAST_SHARE, NEAR = 0.98, 0.8, 0.1

# Variant of benchmarks/quantize_zoo.py -> what the transform is called.
WORDS: dict[str, str] = {
    "qdq-u8s8-channel": "qdq-u8s8-channel",
    "qdq-u8s8": "qdq-u8s8-raw",
    "qdq-s8s8": "qdq-s8s8",
    "qdq-u8u8": "qdq-u8u8-raw",
    "qdq-s8s8-channel": "qdq-s8s8-channel-symmetric-raw",
    "qdq-matmul": "qdq-u8s8-matmul",
    "qoperator": "qoperator-u8u8",
    "qoperator-s8": "qoperator-u8s8-channel",
    "dynamic": "dynamic",
    "dynamic-u8": "dynamic-u8",
    "dynamic-channel": "dynamic-channel-matmul",
    "fp16": "fp16",
    "fp16-io": "fp16-io",
    "int4-b32": "int4-b32",
    "int4-b32-a4": "int4-b32-a4",
    "int4-b128-zp-a4": "int4-b128-zp-a4",
    "int4-b64-table": "int4-b64-zp-a4-table",
    "int8-b32-a4": "int8-b32-a4",
}


def main() -> int:
    """Compare all, and say how many agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--zoo", type=Path, default=Path("data/zoo"), help="folder of float models")
    parser.add_argument("--quantized", type=Path, default=Path("data/zoo-quantized"), help="folder of quantized ones")
    parser.add_argument("--pack", default="epyc-genoa-onnxruntime1.32-1t", metavar="ID", help="device pack")
    parser.add_argument("--measured", type=Path, help="folder with models.parquet and quantized.parquet of the device")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="files whose name fits")
    parser.add_argument("--verbose", action="store_true", help="list the kernels that differ")
    options = parser.parse_args()
    predictor = LatencyPredictor(load_pack(options.pack))
    common = total = 0
    scores: list[float] = []
    made: dict[str, Graph] = {}
    for path in sorted(options.quantized.glob("*.onnx")):
        if not fnmatch.fnmatchcase(path.name, options.only):
            continue
        name, variant = path.stem.rsplit(".", 1)
        source = options.zoo / f"{name}.onnx"
        try:
            graph = bind_shapes(apply(unshared(read_model(source)), [Quantize(WORDS[variant])]))
        except NnmeterError as fault:
            print(f"{path.stem:<52} not made: {fault}")
            scores.append(0.0)
            continue
        made[path.name] = graph
        shared, count = compare(path, graph, predictor.pack, options.verbose)
        common, total = common + shared, total + count
        scores.append(2 * shared / count)
    if not scores:
        print("no models", file=sys.stderr)
        return 2
    print(
        f"{len(scores)} models: F1 of all kernels {2 * common / max(total, 1):.4f}, mean of models "
        f"{statistics.mean(scores):.4f}, worst {min(scores):.4f}"
    )
    passed = 2 * common / max(total, 1) >= LEAST_F1
    if options.measured is not None:
        passed = compare_speedups(predictor, made, options) and passed
    return 0 if passed else 1


def unshared(model: UnboundModel) -> UnboundModel:
    """The model in which every convolution and product has a bias of its own."""
    same = {node.outputs[0]: node.inputs[0] for node in model.nodes if node.op_type == "Identity"}
    constants, values, nodes, seen = dict(model.constants), dict(model.values), [], set()
    for number, node in enumerate(model.nodes):
        name = node.inputs[2] if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 2 else ""
        while name in same:
            name = same[name]
        if name in constants and name in seen:
            copy = f"{name}_{number}"
            constants[copy] = constants[name]
            if name in values:
                values[copy] = values[name]
            node = replace(node, inputs=(*node.inputs[:2], copy))
        seen.add(name)
        nodes.append(node)
    read = {name for node in nodes for name in node.inputs}
    nodes = [node for node in nodes if node.op_type != "Identity" or node.outputs[0] in read]
    return replace(model, nodes=nodes, constants=constants, values=values)


def compare(path: Path, graph: Graph, pack: DevicePack, verbose: bool) -> tuple[int, int]:
    """Kernels that a transformed model and a file have in common, and how many both have."""
    theirs = keys(detect_kernels(bind_shapes(read_model(path)), pack.rules))
    ours = keys(detect_kernels(graph, pack.rules))
    shared = sum((ours & theirs).values())
    count = sum(ours.values()) + sum(theirs.values())
    print(
        f"{path.stem:<52} F1 {2 * shared / count:.4f}  {sum(ours.values())} kernels, {sum(theirs.values())} of the file"
    )
    if verbose:
        for sign, rest in (("+", ours - theirs), ("-", theirs - ours)):
            for key, times in sorted(rest.items()):
                print(f"    {sign}{times} {key[0]} {key[1]}")
    return shared, count


def keys(kernels: list[Kernel]) -> Counter[tuple[str, str]]:
    """What two kernels are compared by (rule 1)."""
    found: Counter[tuple[str, str]] = Counter()
    for kernel in kernels:
        s = kernel.signature
        inputs = ", ".join("-" if t is None else str(t) for t in s.inputs)
        found[kernel.type, f"{inputs} -> {', '.join(map(str, s.outputs))}"] += kernel.count
    return found


def compare_speedups(predictor: LatencyPredictor, made: dict[str, Graph], options: argparse.Namespace) -> bool:
    """Rule 2."""
    from nnmeter.lab.measuring.store import read_measurements

    before, after = (
        {f"{m.network}.onnx": m.latency_ms for m in read_measurements(options.measured / f"{part}.parquet")[0]}
        for part in ("models", "quantized")
    )
    errors = []
    for file, graph in made.items():
        source = f"{file.rsplit('.', 2)[0]}.onnx"
        if file not in after or source not in before:
            continue
        predicted = predictor.predict(options.zoo / source).latency_ms / predictor.predict(graph).latency_ms
        measured = before[source] / after[file]
        errors.append(abs(predicted / measured - 1))
        print(f"{file:<60} predicted {predicted:.2f} x, measured {measured:.2f} x, {predicted / measured - 1:+.1%}")
    near = sum(error <= NEAR for error in errors) / max(len(errors), 1)
    print(
        f"{len(errors)} speed-ups: {near:.1%} within {NEAR:.0%} of the measured, median {statistics.median(errors):.1%}"
    )
    return near >= LEAST_SHARE


if __name__ == "__main__":
    sys.exit(main())
