"""Do the random networks sample the kernels that real models are made of?

    python benchmarks/sampling_coverage.py [--runtime onnxruntime] [--networks 400] [--first 0] [--focus FAMILY]
                                           [--dumps FOLDER] [--measured CAMPAIGN] [--factor 1.8]

1. The runtime compiles every model of data/zoo (or FOLDER holds ONNX Runtime's dumps of them already) and as many
   random networks as a campaign measures first, by the prior plan (or CAMPAIGN holds measured ones); a kernel is what
   the runtime says that it executes.
2. For each kernel type of the zoo: how often it occurs, how often the random networks sample it (in all and per 40
   networks), the range of its output's size in powers of two on both sides, and the share of the zoo's kernels that
   have fewer than two neighbours among the samples.
3. A neighbour agrees within FACTOR in every size that decides cost: channels, pixels, kernel area and group width of a
   convolution; rows, columns, depth and batch of a product; input, output and last axis of all others. Activations
   do not part convolutions here.
4. Size ranges that a campaign asks for (`nnmeter.lab.campaign.coverage.RANGE_CELLS`) and that no random network
   reaches.

Exit code 1 if a kernel type of the zoo is not sampled at all.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.kernels.features import kernel_features
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.lab.campaign.coverage import RANGE_CELLS, cells_of, describe
from nnmeter.lab.campaign.planning import prior_plan
from nnmeter.lab.campaign.recipes import FAMILIES, PRIOR, random_network
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.runtimes import RuntimeAdapter, load_runtime
from nnmeter.lab.runtimes.executed import kernels_of_executed_graph

ZOO = Path(__file__).parent.parent / "data" / "zoo"
PRODUCTS = frozenset({"MatMul", "FusedMatMul", "Gemm", "FusedGemm", "MatMulInteger", "DynamicQuantizeMatMul"})
RARE_PER_40 = 1.0
LEAST_NEIGHBOURS = 2


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runtime", default="onnxruntime", help="runtime whose kernels are counted")
    parser.add_argument("--networks", type=int, default=400, help="number of random networks")
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--focus", choices=FAMILIES, help="sample one family only")
    parser.add_argument("--dumps", type=Path, help="folder of ONNX Runtime's dumps of the models; default: made here")
    parser.add_argument("--measured", type=Path, help="campaign whose networks are counted; default: made here")
    parser.add_argument("--factor", type=float, default=1.8, help="how near a neighbour must be")
    options = parser.parse_args()
    runtime = load_runtime(options.runtime)
    real = list(real_kernels(runtime, options.dumps))
    if options.measured:
        rows = read_measurements(options.measured)[0]
        sampled, networks = [kernel for row in rows for kernel in row.kernels], len(rows)
    else:
        networks = options.networks
        sampled = list(sampled_kernels(runtime, range(options.first, options.first + networks), options.focus))
    return 0 if report(real, sampled, networks, math.log2(options.factor)) else 1


def real_kernels(runtime: RuntimeAdapter, dumps: Path | None) -> Iterator[KernelSignature]:
    """Kernels of the zoo's models."""
    for path in sorted((dumps or ZOO).glob("*.onnx")):
        kernels = kernels_of_executed_graph(bind_shapes(read_model(path))) if dumps else kernels_of(runtime, path)
        for kernel in kernels:
            yield kernel.signature


def kernels_of(runtime: RuntimeAdapter, model: Any) -> Sequence[Kernel]:
    """What the runtime executes for a model."""
    compiled = runtime.compile(model)
    try:
        return compiled.kernels
    finally:
        compiled.close()


def sampled_kernels(runtime: RuntimeAdapter, seeds: Iterable[int], focus: str | None) -> Iterator[KernelSignature]:
    """Kernels of random networks; a network that the runtime refuses is named on stderr."""
    plan = prior_plan(0, PRIOR, 0.0)
    build_s, count = 0.0, 0
    for seed in seeds:
        begin = time.perf_counter()
        model = random_network(seed, focus or plan.recipe_of(seed))
        build_s += time.perf_counter() - begin
        count += 1
        try:
            kernels = kernels_of(runtime, model)
        except NnmeterError as fault:
            print(f"seed {seed} ({model.graph.name}): {fault}", file=sys.stderr)
            continue
        for kernel in kernels:
            yield kernel.signature
    print(f"{count} networks, {1e3 * build_s / max(1, count):.1f} ms to generate one")


def report(real: list[KernelSignature], sampled: list[KernelSignature], networks: int, radius: float) -> bool:
    """Prints the table of rule 2; whether every type of `real` occurs in `sampled`."""
    counts = Counter(s.type for s in real)
    samples = Counter(s.type for s in sampled)
    sizes: dict[str, list[list[float]]] = defaultdict(list)
    for s in sampled:
        sizes[_group(s)].append(cost_sizes(s))
    clouds = {group: np.array(rows) for group, rows in sizes.items()}
    lonely = Counter(s.type for s in real if _neighbours(s, clouds, radius) < LEAST_NEIGHBOURS)
    ranges = {True: _ranges(real), False: _ranges(sampled)}
    print(f"{len(sampled)} kernels sampled, {len({s.to_json() for s in sampled})} distinct")
    print(f"{'kernel type':<30} {'zoo':>5} {'sampled':>8} {'per 40':>7} {'zoo 2^':>8} {'sampled 2^':>11} {'lonely':>7}")
    for kind, count in counts.most_common():
        per_40 = 40.0 * samples[kind] / networks
        mark = "" if per_40 >= RARE_PER_40 else " rare" if samples[kind] else " MISSING"
        print(
            f"{kind:<30} {count:>5} {samples[kind]:>8} {per_40:>7.1f} {ranges[True][kind]:>8} "
            f"{ranges[False].get(kind, '-'):>11} {100 * lonely[kind] / count:>6.1f}%{mark}"
        )
    total = sum(lonely.values())
    print(f"kernels of the zoo with fewer than {LEAST_NEIGHBOURS} neighbours: {100 * total / max(1, len(real)):.1f} %")
    others = [f"{kind} {n}" for kind, n in samples.most_common() if kind not in counts]
    print("sampled beyond the zoo:", ", ".join(others))
    reached = {cell for s in sampled for cell in cells_of(s, kernel_features(s))}
    unreached = ", ".join(describe(cell) for cell in RANGE_CELLS if cell not in reached)
    print("size ranges that no random network reaches:", unreached or "none")
    missing = [kind for kind in counts if not samples[kind]]
    print("kernel types of the zoo that no random network has:", ", ".join(missing) or "none")
    return not missing


def cost_sizes(signature: KernelSignature) -> list[float]:
    """Powers of two of the sizes that decide a kernel's cost (rule 3)."""
    output = signature.outputs[0].shape if signature.outputs else ()
    shapes = [t.shape for t in signature.inputs if t is not None]
    if signature.op_type in ("Conv", "FusedConv") and len(shapes) > 1 and len(output) > 2:
        c_out, per_group, *kernel = shapes[1]
        row = [shapes[0][1], c_out, output[0] * math.prod(output[2:]), math.prod(kernel), per_group]
    elif signature.op_type in PRODUCTS and len(output) > 1:
        rows, columns = output[-2:]
        depth = shapes[0][-2 if signature.attribute("transA") else -1]
        row = [rows, columns, depth, math.prod(output[:-2]), 1]
    else:
        largest = max((math.prod(s) for s in shapes), default=1)
        row = [math.prod(output), largest, output[-1] if output else 1, 1, 1]
    return [math.log2(max(1, v)) for v in row]


def _group(signature: KernelSignature) -> str:
    """The type without the activation of a convolution."""
    return signature.type.split("+")[0] if "Conv" in signature.type else signature.type


def _neighbours(signature: KernelSignature, clouds: dict[str, np.ndarray], radius: float) -> int:
    cloud = clouds.get(_group(signature))
    if cloud is None:
        return 0
    return int((np.abs(cloud - np.array(cost_sizes(signature))).max(axis=1) <= radius).sum())


def _ranges(signatures: list[KernelSignature]) -> dict[str, str]:
    """Least and largest power of two of the output's elements, by kernel type."""
    powers = defaultdict(list)
    for s in signatures:
        if s.outputs:
            powers[s.type].append(math.log2(max(1, s.outputs[0].elements)))
    return {kind: f"{min(values):.0f}..{max(values):.0f}" for kind, values in powers.items()}


if __name__ == "__main__":
    sys.exit(main())
