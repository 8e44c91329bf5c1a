"""A runtime with real sparse kernels: torch.sparse on one core. When is a sparse product faster than a dense one?

    python benchmarks/sparse_kernels.py measure OUT.csv --seconds 240     (needs torch; let nothing else run)
    python benchmarks/sparse_kernels.py fit OUT.csv [--table TABLE.json]  (needs nnmeter[lab])

`measure` takes products of a weight (rows x columns, some of it zero) with columns of data, over shapes, shares of
zeros and shapes of blocks, drawn at random: dense (`torch.mm`), as CSR, and as BSR where the block is square (MKL takes
no other). The three are timed in turn, so that they share the state of the machine; each row is a median.

`fit` trains a predictor of the logarithm of time on those, scores it on shapes that it has not seen, and prints from
which share of zeros on the sparse kernel is the faster one, by shape, and a table of costs over shapes of blocks, as a
covering search of sparse kernels takes it (SparTA's: milliseconds of one block shape at one share of zeros).
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

BLOCKS = ((1, 1), (1, 4), (4, 1), (4, 4), (1, 16), (16, 1), (8, 8), (16, 16), (32, 32), (32, 64), (64, 64), (64, 128))
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DATA = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FIELDS = ("rows", "columns", "data", "zeros", "block_rows", "block_columns", "kernel", "latency_ms", "dense_ms")
_LARGEST_BLOCK = (64, 128)  # rows and columns of a weight are multiples, so that every shape of blocks divides it


def draws(seed: int) -> Iterator[tuple[int, int, int, float, tuple[int, int]]]:
    """Shapes, shares of zeros and blocks, without end."""
    random = np.random.default_rng(seed)
    while True:
        rows, columns = (
            step * max(1, round(2 ** random.uniform(np.log2(128), 11) / step)) for step in _LARGEST_BLOCK
        )
        yield (
            rows,
            columns,
            int(random.choice(DATA)),
            float(random.choice(SHARES)),
            BLOCKS[random.integers(len(BLOCKS))],
        )


def measure(out: Path, seconds: float) -> None:
    """Time products until the time is up."""
    import torch

    torch.set_num_threads(1)
    random = np.random.default_rng(1)
    end = time.perf_counter() + seconds
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        for rows, columns, data, share, block in draws(0):
            if time.perf_counter() > end:
                return
            tiles = random.random((rows // block[0], columns // block[1])) >= share
            if not tiles.any():
                continue
            mask = np.repeat(np.repeat(tiles, block[0], 0), block[1], 1)
            weight = torch.from_numpy((random.standard_normal((rows, columns)) * mask).astype(np.float32))
            x = torch.from_numpy(random.standard_normal((columns, data)).astype(np.float32))
            kernels: dict[str, Callable[[], Any]] = {"dense": partial(torch.mm, weight, x)}
            as_csr = weight.to_sparse_csr()
            kernels["csr"] = partial(torch.matmul, as_csr, x)
            if block[0] == block[1] > 1:
                as_bsr = weight.to_sparse_bsr(block)
                kernels["bsr"] = partial(torch.matmul, as_bsr, x)
            times = _in_turn(kernels)
            for name, latency_ms in times.items():
                if name != "dense":
                    values = (rows, columns, data, 1 - float(mask.mean()), *block, name, latency_ms, times["dense"])
                    writer.writerow(dict(zip(FIELDS, values, strict=True)))


def _in_turn(kernels: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Median milliseconds of each, timed one after another in every round."""
    found: dict[str, list[float]] = {name: [] for name in kernels}
    for run in kernels.values():
        run()
    for _ in range(7):
        for name, run in kernels.items():
            count, began = 0, time.perf_counter()
            while not count or (time.perf_counter() - began < 0.001 and count < 50):
                run()
                count += 1
            found[name].append(1000 * (time.perf_counter() - began) / count)
    return {name: statistics.median(values) for name, values in found.items()}


def features(row: dict[str, Any]) -> list[float]:
    """What the predictor knows of a kernel: sizes and work as logarithms, the block, and which kernel it is."""
    rows, columns, data = (float(row[name]) for name in ("rows", "columns", "data"))
    kept = max(rows * columns * (1 - float(row["zeros"])), 1.0)
    block_rows, block_columns = float(row["block_rows"]), float(row["block_columns"])
    return [
        np.log2(rows), np.log2(columns), np.log2(data), np.log2(kept), np.log2(kept * data), kept / rows,
        float(row["zeros"]), np.log2(block_rows), np.log2(block_columns), float(row["kernel"] == "bsr"),
        np.log2(columns * data),
    ]  # fmt: skip


def _work(row: dict[str, Any]) -> float:
    kept = float(row["rows"]) * float(row["columns"]) * (1 - float(row["zeros"]))
    return kept * float(row["data"]) + kept + float(row["rows"]) * float(row["data"]) + 1000


def fit_model(rows: list[dict[str, Any]]) -> Any:
    """A predictor of the logarithm of milliseconds by work."""
    import lightgbm

    targets = [np.log(float(row["latency_ms"]) / _work(row)) for row in rows]
    model = lightgbm.LGBMRegressor(n_estimators=600, learning_rate=0.05, num_leaves=31, min_child_samples=5, verbose=-1)
    return model.fit(np.array([features(row) for row in rows]), targets)


def predict(model: Any, rows: list[dict[str, Any]]) -> np.ndarray:
    """Milliseconds."""
    work = np.array([_work(row) for row in rows])
    return np.exp(model.predict(np.array([features(row) for row in rows]))) * work


def fit(source: Path, table: Path | None) -> None:
    """Train, score on shapes left out, and print break-even shares."""
    with source.open(newline="", encoding="utf-8") as stream:
        rows: list[dict[str, Any]] = list(csv.DictReader(stream))
    shape_of = [tuple(row[name] for name in ("rows", "columns", "data")) for row in rows]
    shapes = sorted(set(shape_of))
    np.random.default_rng(0).shuffle(shapes)
    folds = [set(map(tuple, shapes[fold::5])) for fold in range(5)]
    errors = np.zeros(len(rows))
    for left_out in folds:
        known = [row for row, shape in zip(rows, shape_of, strict=True) if shape not in left_out]
        at = [number for number, shape in enumerate(shape_of) if shape in left_out]
        measured = np.array([float(rows[number]["latency_ms"]) for number in at])
        errors[at] = np.abs(predict(fit_model(known), [rows[number] for number in at]) / measured - 1)
    print(f"{len(rows)} kernels of {len(shapes)} shapes; on shapes left out: MAPE {100 * errors.mean():.1f} %, "
          f"within 10 % {100 * (errors <= 0.1).mean():.1f} %")  # fmt: skip
    for name in ("csr", "bsr"):
        own = errors[[row["kernel"] == name for row in rows]]
        if own.size:
            print(f"  {name}: {own.size} kernels, MAPE {100 * own.mean():.1f} %")
    model = fit_model(rows)
    dense = {shape: statistics.median(float(r["dense_ms"]) for r, s in zip(rows, shape_of, strict=True) if s == shape)
             for shape in shapes}  # fmt: skip
    print("\nshare of zeros from which on the best sparse kernel is faster than the dense one")
    print(f"{'rows x columns x data':24}" + "".join(f"{f'{r}x{c}':>8}" for r, c in BLOCKS))
    for rows_, columns, data in ((512, 512, 1), (512, 512, 64), (1024, 1024, 16), (2048, 2048, 1), (2048, 2048, 256)):
        key = (str(rows_), str(columns), str(data))
        near = dense.get(key)
        if near is None:
            continue
        cells = []
        for block in BLOCKS:
            costs = [(share, _best(model, rows_, columns, data, share, block)) for share in np.arange(0.3, 0.995, 0.01)]
            even = next((share for share, cost in costs if cost < near), None)
            cells.append("never" if even is None else f"{100 * even:.0f} %")
        print(f"{f'{rows_} x {columns} x {data}':24}" + "".join(f"{cell:>8}" for cell in cells))
    if table is not None:
        content = [
            {"rows": r, "columns": c, "data": d, "zeros": share, "block": list(block),
             "latency_ms": _best(model, r, c, d, share, block)}
            for r in (512, 1024, 2048) for c in (512, 1024, 2048) for d in (1, 16, 256) for share in SHARES
            for block in BLOCKS
        ]  # fmt: skip
        table.write_text(json.dumps(content, indent=0), encoding="utf-8")
        print(f"\n{len(content)} costs in {table}")


def _best(model: Any, rows: int, columns: int, data: int, share: float, block: tuple[int, int]) -> float:
    kernels = ["csr", "bsr"] if block[0] == block[1] > 1 else ["csr"]
    asked = [dict(zip(FIELDS, (rows, columns, data, share, *block, kernel, 0, 0), strict=True)) for kernel in kernels]
    return float(predict(model, asked).min())


def main() -> None:
    """Measure, or fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("out", type=Path)
    measuring.add_argument("--seconds", type=float, default=240)
    fitting = verbs.add_parser("fit")
    fitting.add_argument("source", type=Path)
    fitting.add_argument("--table", type=Path)
    options = parser.parse_args()
    if options.verb == "measure":
        measure(options.out, options.seconds)
    else:
        fit(options.source, options.table)


if __name__ == "__main__":
    main()
