"""How well kernels are detected: the detector's kernels against those that a runtime really makes of each model.

    python benchmarks/fusion_truth.py [MODEL_OR_FOLDER ...] [--runtime onnxruntime] [--rules FILE] [--verbose]
        [--attributes]

1. The truth is what the runtime itself says that it executes, all optimizations on, absent weights replaced by random
   ones. It is of this machine: where blocks of channels have another size than the rules say, give
   `--parameter block=8`.
2. Two kernels are equal if their type and the types and shapes of all their inputs (weights included) and outputs are;
   with `--attributes` the cost-relevant attributes as well. Both sides are multisets; F1 is the share that they have in
   common: 2 * common / (detected + true).
3. Models that the runtime refuses are named and not counted.

Exit code 1 if the mean is below 0.98 or the worst below 0.92.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import load_rules, with_parameters
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime

ZOO = Path(__file__).parent.parent / "data" / "zoo"
MEAN_LIMIT, WORST_LIMIT = 0.98, 0.92


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, default=[ZOO], help="ONNX files or folders of them")
    parser.add_argument("--runtime", default="onnxruntime", help="name of the runtime that tells the truth")
    parser.add_argument(
        "--rules", help="rules file, or the name of a rule set of the package; by default that of the runtime"
    )
    parser.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the rule set, as JSON"
    )
    parser.add_argument("--verbose", action="store_true", help="list the kernels that differ")
    parser.add_argument("--attributes", action="store_true", help="compare attributes too")
    options = parser.parse_args()
    rules = load_rules(options.rules or f"{options.runtime}_cpu")
    if options.parameter:
        pairs = (item.partition("=") for item in options.parameter)
        rules = with_parameters(rules, **{name: json.loads(value) for name, _, value in pairs})
    scores = [score for path in find_models(options.models) if (score := compare(path, rules, options)) is not None]
    if not scores:
        print("no models", file=sys.stderr)
        return 2
    mean, worst = statistics.fmean(scores), min(scores)
    print(f"{len(scores)} models: mean F1 {mean:.4f} (limit {MEAN_LIMIT}), worst {worst:.4f} (limit {WORST_LIMIT})")
    return 0 if mean >= MEAN_LIMIT and worst >= WORST_LIMIT else 1


def find_models(places: list[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(place.glob("*.onnx")) if place.is_dir() else [place]


def compare(path: Path, rules: FusionRules, options: argparse.Namespace) -> float | None:
    """Print and return the F1 of one model; None where there is no truth."""
    try:
        graph = bind_shapes(read_model(path))
        compiled = load_runtime(options.runtime).compile(path)
        truth = list(compiled.kernels)
        compiled.close()
    except NnmeterError as error:
        print(f"{path.stem:<48} not compared: {error}")
        return None
    began = time.perf_counter()
    detected = detect_kernels(graph, rules)
    took_ms = (time.perf_counter() - began) * 1e3
    expected = Counter(describe(kernel, options.attributes) for kernel in truth)
    found = Counter(describe(kernel, options.attributes) for kernel in detected)
    f1 = 2 * (expected & found).total() / max(1, len(truth) + len(detected))
    print(
        f"{path.stem:<48} F1 {f1:.4f}   true {len(truth):4}   detected {len(detected):4}   {took_ms:6.1f} ms",
        flush=True,
    )
    if options.verbose:
        for title, difference in (("missing", expected - found), ("extra", found - expected)):
            for text, count in sorted(difference.items()):
                print(f"    {title:<8}{count:3} x {text}")
    return f1


def describe(kernel: Kernel, attributes: bool) -> str:
    """What makes two kernels equal (rule 2), as text."""
    signature = kernel.signature
    text = " ".join([signature.type, *map(_type, signature.inputs), "->", *map(_type, signature.outputs)])
    return f"{text} {dict(signature.attributes)}" if attributes else text


def _type(kind: TensorType | None) -> str:
    return "-" if kind is None else str(kind)


if __name__ == "__main__":
    sys.exit(main())
