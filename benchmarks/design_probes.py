"""Which random networks tell most about a new machine in little time: the list that a short campaign begins with.

    python benchmarks/design_probes.py [--candidates 1500] [--probes 700] [--out FILE]

1. Candidates are networks of the campaign's recipes, seed by seed. Each is built, read, its kernels detected with the
   rules of a pack that ships, and priced by it. Nothing is run.
2. Targets are networks that people use, the architectures of `data/pytorchcv` (never those of `data/zoo`, which packs
   are scored on), and the candidates themselves; the former weigh `_REAL_SHARE`. A target's time falls on *levels*: the
   operator and element type; with what is fused to it; and with FLOPs and bytes of weights within a factor of four.
3. What is not known of a level shrinks as `1 / (1 + n)` with the number `n` of probes that have it; the expected
   reduction of the error is the sum over levels of the targets' time on it. The next probe is the candidate with the
   largest reduction a second, what it costs being compiled, profiled and timed as a campaign does.
4. The list is written in that order, so that any budget takes the first part of it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.devices import load_pack
from nnmeter.devices.pack import DevicePack
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.graph.ir import Graph
from nnmeter.lab.campaign.planning import prior_plan
from nnmeter.lab.campaign.recipes import PRIOR, random_network
from nnmeter.lab.importing.network_catalog import network_names, read_network

PACK = "epyc-genoa-onnxruntime1.32-1t"
OUT = Path(__file__).resolve().parent.parent / "nnmeter" / "lab" / "campaign" / "probes.json"
_REAL_SHARE = 0.6
_OTHER_TYPES_SHARE = 0.35  # weight of a random target that is quantized or of half precision, against one of float32
_FIXED_S, _RUNS = 0.30, 14  # of one network: session and measuring; runs in all
_COMPILED_BYTES_A_S = 150e6  # weights that are made, written into the model and packed in a second
_LEVELS = 3
_FIRST_SEED = 1_000_000  # far from those that a campaign counts behind the probes

Shares = dict[tuple[Any, ...], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--candidates", type=int, default=1500)
    parser.add_argument("--probes", type=int, default=700)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    pack = load_pack(PACK)
    targets: Shares = defaultdict(float)
    names = network_names()
    for name in names:
        add(targets, shares_of(bind_shapes(read_network(name)), pack)[0], _REAL_SHARE / len(names))
    print(f"{len(names)} architectures", flush=True)
    found = list(candidates(options.candidates, pack))
    weights = [_OTHER_TYPES_SHARE if is_rewritten(recipe) else 1.0 for _, recipe, _, _ in found]
    for (_, _, shares, _), weight in zip(found, weights, strict=True):
        add(targets, shares, (1 - _REAL_SHARE) * weight / sum(weights))
    chosen = choose(found, targets, options.probes)
    content = {
        "made_by": "benchmarks/design_probes.py",
        "expected_s": round(sum(cost for *_, cost in chosen)),
        "probes": [[seed, recipe] for seed, recipe, _, _ in chosen],
    }
    options.out.write_text(json.dumps(content, separators=(",", ":")).replace("],[", "],\n[") + "\n")
    total = 0.0
    for number, (seed, recipe, _, cost) in enumerate(chosen):
        total += cost
        if number < 20 or number % 50 == 0:
            print(f"{number:4} {seed:5} {recipe:28} {cost:.2f} s, {total:.0f} s in all")
    return 0


def is_rewritten(recipe: str) -> bool:
    """Whether a recipe gives networks of other types than float32."""
    return recipe.startswith(("quantized", "half"))


def candidates(count: int, pack: DevicePack) -> Iterator[tuple[int, str, Shares, float]]:
    """Seed, recipe, shares of time by level, and seconds that measuring takes."""
    plan = prior_plan(0, PRIOR, 0.0)
    began = time.perf_counter()
    for seed in range(_FIRST_SEED, _FIRST_SEED + count):
        recipe = plan.recipe_of(seed)
        try:
            model = random_network(seed, recipe)
            size = model.ByteSize()
            shares, latency_ms = shares_of(bind_shapes(read_model(model)), pack)
        except (NnmeterError, ValueError) as fault:
            print(f"{seed} {recipe}: {fault}", file=sys.stderr)
            continue
        yield seed, recipe, shares, _FIXED_S + _RUNS * latency_ms / 1e3 + size / _COMPILED_BYTES_A_S
        if seed % 100 == 99:
            print(f"{seed + 1 - _FIRST_SEED} candidates in {time.perf_counter() - began:.0f} s", flush=True)


def shares_of(graph: Graph, pack: DevicePack) -> tuple[Shares, float]:
    """The share of a network's time on each level (rule 2), and its time."""
    kernels = detect_kernels(graph, pack.rules)
    signatures = [kernel.signature for kernel in kernels]
    prices = pack.predictor.price(signatures)
    total = sum(p.latency_ms * k.count for p, k in zip(prices, kernels, strict=True))
    shares: Shares = defaultdict(float)
    for kernel, price in zip(kernels, prices, strict=True):
        signature = kernel.signature
        weights = sum(
            t.bytes for t, c in zip(signature.inputs, signature.constants, strict=True) if c and t is not None
        )
        size = (round(math.log2(1 + price.flops) / 2), round(math.log2(1 + weights) / 2))
        share = price.latency_ms * kernel.count / total
        for level in ((price.kind,), (price.kind, signature.type), (price.kind, signature.type, *size)):
            shares[level] += share
    return dict(shares), total


def add(targets: Shares, shares: Shares, weight: float) -> None:
    for level, share in shares.items():
        targets[level] += weight * share / _LEVELS


def choose(
    found: list[tuple[int, str, Shares, float]], targets: Shares, count: int
) -> list[tuple[int, str, Shares, float]]:
    """The probes in order (rule 3), by lazy evaluation: a gain only falls when more is known."""
    seen: Counter[tuple[Any, ...]] = Counter()

    def gain(number: int) -> float:
        shares, cost = found[number][2:]
        known = sum(targets[level] * (1 / (1 + seen[level]) - 1 / (2 + seen[level])) for level in shares)
        return known / cost

    queue = [(-gain(number), number) for number in range(len(found))]
    heapq.heapify(queue)
    chosen: list[tuple[int, str, Shares, float]] = []
    while queue and len(chosen) < count:
        _, number = heapq.heappop(queue)
        now = gain(number)
        if queue and now < -queue[0][0]:
            heapq.heappush(queue, (-now, number))
            continue
        chosen.append(found[number])
        seen.update(found[number][2].keys())
    return chosen


if __name__ == "__main__":
    sys.exit(main())
