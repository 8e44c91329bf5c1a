"""How well kernels are detected: the detector's kernels against those that a runtime really makes of each model.

    python benchmarks/fusion_truth.py [MODEL_OR_FOLDER ...] [--pack ID ...] [--verbose] [--attributes]
    python benchmarks/fusion_truth.py [MODEL_OR_FOLDER ...] --runtime NAME [--rules FILE] [--parameter block=8]

1. Scored are the rules of device packs: those named by `--pack`, else all that ship and whose runtime is installed.
   With `--runtime` or `--rules` it is a rule set: the file, or the one that ships for the runtime. Packs of equal rules
   are scored together.
2. The truth is what the runtime itself says that it executes, all optimizations on, absent weights replaced by random
   ones. It is of this machine, so parameters that follow from the processor are set to this one's, whatever the pack's
   is (`nnmeter/fusion/for_machine.py`). `--parameter` has the last word.
3. Two kernels are equal if their type and the types and shapes of all their inputs (weights included) and outputs are;
   with `--attributes` the cost-relevant attributes as well. Both sides are multisets; F1 is the share that they have in
   common: 2 * common / (detected + true).
4. Models that the runtime refuses are named and not counted.

Exit code 1 if the mean or the worst of a folder is below the limit (`LIMITS`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices import find_devices, load_pack
from nnmeter.devices.catalog import is_shipped
from nnmeter.devices.machine import runtime_version, this_machine
from nnmeter.errors import DeviceError, NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules, rules_to_dict, with_parameters
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.fusion.ruleset_index import rule_set_of
from nnmeter.graph.ir import Graph, TensorType
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.runtimes import load_runtime

ZOO = Path(__file__).parent.parent / "data" / "zoo"
# Runtime -> folder -> limit of the mean and of the worst, as reached; OTHERWISE for all else. Those of quantized models
# in OpenVINO are of processors with AVX-512 VNNI and without AMX (docs/limits.md).
LIMITS: dict[str, dict[str, tuple[float, float]]] = {
    "onnxruntime": {"zoo": (1.0, 1.0), "zoo-quantized": (0.999, 0.98)},
    "openvino": {"zoo": (0.999, 0.96), "zoo-quantized": (0.992, 0.93)},
    "mnn": {"zoo": (0.998, 0.93)},
    "tract": {"zoo": (0.98, 0.77)},
}
OTHERWISE = (0.98, 0.92)


@dataclass(frozen=True, eq=False)
class Subject:
    """Rules to score, and whose they are."""

    names: tuple[str, ...]
    rules: FusionRules


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="*", type=Path, default=[ZOO], help="ONNX files or folders of them")
    parser.add_argument("--pack", action="append", default=[], metavar="ID", help="device pack, by id or path")
    parser.add_argument("--runtime", help="score the rule set of this runtime, which also tells the truth")
    parser.add_argument("--rules", help="rules file, or the name of a rule set; by default that of the runtime")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the rules, as JSON")
    parser.add_argument("--verbose", action="store_true", help="list the kernels that differ")
    parser.add_argument("--attributes", action="store_true", help="compare attributes too")
    options = parser.parse_args()
    try:
        subjects = find_subjects(options)
    except DeviceError as error:
        parser.error(str(error))
    scores: dict[tuple[Subject, str], list[float]] = {}
    for path in find_models(options.models):
        for subject, f1 in compare(path, subjects, options):
            scores.setdefault((subject, path.parent.name), []).append(f1)
    if not scores:
        print("no models", file=sys.stderr)
        return 2
    passed = [report(subject, folder, found) for (subject, folder), found in scores.items()]
    return 0 if all(passed) else 1


def find_subjects(options: argparse.Namespace) -> list[Subject]:
    """What is to be scored (rule 1), set to this machine (rule 2)."""
    if options.runtime or options.rules:
        runtime = options.runtime or "onnxruntime"
        name = options.rules or rule_set_of(runtime).id
        found = [(str(name), load_rules(name))]
    else:
        devices = find_devices(options.pack or ["all"])
        packs = [
            load_pack(d.path) for d in devices if options.pack or (is_shipped(d.path) and _is_here(d.card.runtime))
        ]
        found = [(pack.id, pack.rules) for pack in packs]
    pairs = [item.partition("=") for item in options.parameter]
    changes = {name: json.loads(value) for name, _, value in pairs}
    grouped: dict[tuple[str, str], Subject] = {}
    for name, rules in found:
        here = rules_for_machine(rules, this_machine().isa)
        here = with_parameters(here, **changes) if changes else here
        key = (here.runtime, rules_hash(rules_to_dict(here)))
        names = grouped[key].names if key in grouped else ()
        grouped[key] = Subject((*names, name), here)
    return list(grouped.values())


def _is_here(runtime: str) -> bool:
    return runtime_version(runtime) is not None


def find_models(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        yield from sorted(place.glob("*.onnx")) if place.is_dir() else [place.absolute()]


def compare(path: Path, subjects: Sequence[Subject], options: argparse.Namespace) -> Iterator[tuple[Subject, float]]:
    """Print and give the F1 of one model by all rules; nothing where there is no truth."""
    graph = bind_shapes(read_model(path))
    truths: dict[str, list[Kernel]] = {}
    for subject in subjects:
        runtime = subject.rules.runtime
        if runtime not in truths:
            try:
                truths[runtime] = true_kernels(path, runtime)
            except NnmeterError as error:
                print(f"{path.stem:<48} not compared: {error}")
                truths[runtime] = []
        if truths[runtime]:
            yield subject, compare_kernels(path.stem, graph, subject, truths[runtime], options)


def true_kernels(path: Path, runtime: str) -> list[Kernel]:
    """What a runtime says that it executes of a model (rule 2)."""
    compiled = load_runtime(runtime).compile(path)
    try:
        return list(compiled.kernels)
    finally:
        compiled.close()


def compare_kernels(
    name: str, graph: Graph, subject: Subject, truth: list[Kernel], options: argparse.Namespace
) -> float:
    """Print and return the F1 of one model by one set of rules (rule 3)."""
    began = time.perf_counter()
    detected = detect_kernels(graph, subject.rules)
    took_ms = (time.perf_counter() - began) * 1e3
    expected = Counter(describe(kernel, options.attributes) for kernel in truth)
    found = Counter(describe(kernel, options.attributes) for kernel in detected)
    f1 = 2 * (expected & found).total() / max(1, len(truth) + len(detected))
    print(
        f"{name:<48} {subject.rules.runtime}   F1 {f1:.4f}   true {len(truth):4}   detected {len(detected):4}   "
        f"{took_ms:6.1f} ms",
        flush=True,
    )
    if options.verbose:
        for title, difference in (("missing", expected - found), ("extra", found - expected)):
            for text, count in sorted(difference.items()):
                print(f"    {title:<8}{count:3} x {text}")
    return f1


def report(subject: Subject, folder: str, scores: Sequence[float]) -> bool:
    """Print what rules reached on a folder; whether it is enough."""
    mean_limit, worst_limit = LIMITS.get(subject.rules.runtime, {}).get(folder, OTHERWISE)
    mean, worst = statistics.fmean(scores), min(scores)
    parameters = ", ".join(f"{name} {json.dumps(value)}" for name, value in subject.rules.parameters.items())
    print(
        f"{', '.join(subject.names)} ({parameters or 'no parameters'}) on {folder}: {len(scores)} models, "
        f"mean F1 {mean:.4f} (limit {mean_limit}), worst {worst:.4f} (limit {worst_limit})"
    )
    return mean >= mean_limit and worst >= worst_limit


def describe(kernel: Kernel, attributes: bool) -> str:
    """What makes two kernels equal (rule 3), as text."""
    signature = kernel.signature
    text = " ".join([signature.type, *map(_type, signature.inputs), "->", *map(_type, signature.outputs)])
    return f"{text} {dict(signature.attributes)}" if attributes else text


def _type(kind: TensorType | None) -> str:
    return "-" if kind is None else str(kind)


if __name__ == "__main__":
    sys.exit(main())
