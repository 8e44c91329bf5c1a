"""Tables of three spaces against full predictions, and how fast they answer.

    python benchmarks/search_tables.py [--device ID_OR_PATH] [--space NAME] [--verify 1000] [--out DIRECTORY]

For each space of `benchmarks/search_spaces.py`: makes a table with `nnmeter.search.tabulate`, whose largest error is
that on candidates which it was not made from, and measures in one process, one thread, what a second brings:
candidates as rows and as dicts with numpy, with PyTorch where it is installed, and a full prediction. With `--out`,
writes the table as JSON, and that of MobileNetV3 as a lookup table of once-for-all.

Exit code 1 if a largest error is above 1 %, or fewer than 100,000 candidates are answered in a second.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from search_spaces import (
    MOBILENET_ACTIVATIONS,
    MOBILENET_SQUEEZE,
    MOBILENET_STRIDES,
    MOBILENET_WIDTHS,
    SPACES,
    divisible,
)

from nnmeter import LatencyPredictor, load_predictor
from nnmeter.search import LatencyTable, Space, layer_name, lookup_table, tabulate
from nnmeter.search.terms import Step

_ROWS = 200_000
_DICTS = 20_000
_PREDICTED = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--device", help="device pack; default: the nearest")
    parser.add_argument("--space", choices=list(SPACES), action="append", help="default: all")
    parser.add_argument("--verify", type=int, default=1000, help="candidates left out")
    parser.add_argument("--out", type=Path, help="directory for the tables")
    options = parser.parse_args()
    predictor = load_predictor(options.device)
    held = True
    for name in options.space or SPACES:
        space, build = SPACES[name]
        print(f"{name}: {Space(space)}, {predictor.device}")
        start = time.perf_counter()
        table = tabulate(space, build, predictor, verify=options.verify, progress=show)
        took = time.perf_counter() - start
        verified = table.verified
        print(
            f"  largest error {100 * verified.largest_error:.4f} %, mean {100 * verified.mean_error:.4f} %, "
            f"on {verified.candidates} candidates left out; {table.steps[-1].predictions} predictions, {took:.0f} s"
        )
        answered = speeds(table, partial(predict, predictor, build))
        for way, rate in answered.items():
            print(f"  {way:<44} {rate:>12,.0f} candidates a second")
        held &= verified.largest_error <= 0.01 and answered["rows, numpy"] >= 100_000
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            table.save(options.out / f"{name}.json")
            if name == "mobilenet":
                write_lookup_tables(table, options.out)
    return 0 if held else 1


def predict(predictor: LatencyPredictor, build: Callable[[dict[str, Any]], Any], candidate: dict[str, Any]) -> float:
    """A full prediction of a candidate, in milliseconds."""
    return predictor.predict(build(candidate)).latency_ms


def show(step: Step) -> None:
    """Print a state of a table."""
    print(
        f"  up to {step.order} choices a term: {step.terms} terms, {step.entries} entries, "
        f"{step.predictions} predictions, largest error {100 * step.largest_error:.4f} %",
        flush=True,
    )


def speeds(table: LatencyTable, predict: Callable[[dict[str, Any]], Any]) -> dict[str, float]:
    """Candidates a second of each way to ask."""
    rows = table.space.sample(_ROWS, np.random.default_rng(1))
    dicts = [table.space.candidate(row) for row in rows[:_DICTS]]
    found = {
        "rows, numpy": _ROWS / best(lambda: table.predict(rows)),
        "dicts, numpy": _DICTS / best(lambda: table.predict(dicts)),
    }
    try:
        import torch
    except ModuleNotFoundError:
        pass
    else:
        torch.set_num_threads(1)
        latency, tensor = table.torch(), torch.as_tensor(rows)
        found["rows, torch"] = _ROWS / best(lambda: latency.predict(tensor))
        given = {
            n: torch.full((size,), 1.0 / size) for n, size in zip(table.space.names, table.space.sizes, strict=True)
        }
        for value in given.values():
            value.requires_grad_()
        found["expected latency and its gradient, torch"] = 1.0 / best(lambda: latency(given).backward())
    uniform = {n: np.full(size, 1.0 / size) for n, size in zip(table.space.names, table.space.sizes, strict=True)}
    found["expected latency and its gradient, numpy"] = 1.0 / best(
        lambda: (table.expected_ms(uniform), table.gradient(uniform))
    )
    found["built and predicted in full"] = _PREDICTED / best(lambda: [predict(one) for one in dicts[:_PREDICTED]], 1)
    return found


def best(call: Callable[[], Any], repeat: int = 5) -> float:
    """Least seconds of a call."""
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def mobilenet_layers(candidate: dict[str, Any]) -> list[str]:
    """The layers of a network of the MobileNetV3 space, by the names of once-for-all."""
    size = candidate["resolution"]
    half = (size + 1) // 2
    found = [
        layer_name("Conv", (size, size, 3), (half, half, 16)),
        layer_name(
            "expanded_conv", (half, half, 16), (half, half, 16), expand=16, kernel=3, stride=1, idskip=1, se=0, hs=0
        ),
    ]
    into, size = 16, half
    for stage in range(1, 6):
        out = MOBILENET_WIDTHS[stage - 1]
        for block in range(1, candidate[f"depth{stage}"] + 1):
            stride = MOBILENET_STRIDES[stage - 1] if block == 1 else 1
            after = (size - 1) // stride + 1
            found.append(
                layer_name(
                    "expanded_conv",
                    (size, size, into),
                    (after, after, out),
                    expand=divisible(into * candidate[f"expand{stage}.{block}"]),
                    kernel=candidate[f"kernel{stage}.{block}"],
                    stride=stride,
                    idskip=block > 1,
                    se=MOBILENET_SQUEEZE[stage - 1],
                    hs=MOBILENET_ACTIVATIONS[stage - 1] == "HardSwish",
                )
            )
            into, size = out, after
    found.append(layer_name("Conv_1", (size, size, into), (size, size, 960)))
    found.append(layer_name("AvgPool2D", (size, size, 960), (1, 1, 960)))
    found.append(layer_name("Conv_2", (1, 1, 960), (1, 1, 1280)))
    found.append(layer_name("Logits", (1, 1, 1280), 1000))
    return found


def write_lookup_tables(table: LatencyTable, directory: Path) -> None:
    """Write a lookup table for each resolution, as once-for-all's code reads them."""
    found = lookup_table(table, mobilenet_layers)
    print(f"  {len(found.latency_ms)} layers; largest difference of their sums {100 * found.largest_error:.3f} %")
    found.save(directory / "lookup_table.yaml")


if __name__ == "__main__":
    sys.exit(main())
