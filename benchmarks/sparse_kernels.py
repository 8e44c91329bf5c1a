"""A runtime with real sparse kernels: torch.sparse on one core. When is a sparse product faster than a dense one?

    python benchmarks/sparse_kernels.py measure OUT.csv --seconds 240     (needs torch; let nothing else run)
    python benchmarks/sparse_kernels.py fit OUT.csv PACK --runtime NAME --hardware NAME     (needs nnmeter[lab])
    python benchmarks/sparse_kernels.py show PACK [--table TABLE.csv]

`measure` takes products of a weight (rows x columns, some of it zero) with columns of data, over shapes, shares of
zeros and shapes of blocks, drawn at random: dense (`torch.mm`), as CSR, and as BSR where the block is square (MKL takes
no other). The three are timed in turn, each followed by a reference kernel, a dense product of 384 x 384 x 384: a
machine has states that differ by more than a half and last for seconds. `fit` brings every row to the median state.

`fit` trains a predictor of each kernel, scores it on shapes that it has not seen, and writes a pack of sparse kernels
(`nnmeter.sparsity.measured`). `show` prints from which share of zeros on a sparse kernel is the faster one, by shape,
and writes a table of costs over shapes of blocks, as a covering search of sparse kernels takes it (SparTA's:
milliseconds of one block shape at one share of zeros).
"""

from __future__ import annotations

import argparse
import csv
import json
import lzma
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product as product_of_all
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from nnmeter.predictor.trees import TreeEnsemble, concatenate_ensembles
from nnmeter.sparsity.measured import (
    DENSE,
    FEATURES,
    SCHEMA_VERSION,
    Product,
    features,
    read_sparse_kernels,
    work,
)

BLOCKS = ((1, 1), (1, 4), (4, 1), (4, 4), (1, 16), (16, 1), (8, 8), (16, 16), (32, 32), (32, 64), (64, 64), (64, 128))
SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DATA = (1, 2, 4, 8, 16, 32, 64, 128, 256)
FIELDS = (
    "rows",
    "columns",
    "data",
    "zeros",
    "block_rows",
    "block_columns",
    "kernel",
    "latency_ms",
    "dense_ms",
    "reference_ms",
)
_ROUNDS = 7
_REFERENCE = 384  # rows and columns of the reference kernel, a dense product
_LARGEST_BLOCK = (64, 128)  # rows and columns of a weight are multiples, so that every shape of blocks divides it


def draws(seed: int) -> Iterator[tuple[int, int, int, float, tuple[int, int]]]:
    """Shapes, shares of zeros and blocks, without end."""
    random = np.random.default_rng(seed)
    while True:
        rows, columns = (step * max(1, round(2 ** random.uniform(np.log2(128), 11) / step)) for step in _LARGEST_BLOCK)
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
    square = torch.from_numpy(random.standard_normal((_REFERENCE, _REFERENCE)).astype(np.float32))
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
            times, reference_ms = _in_turn(kernels, partial(torch.mm, square, square))
            for name, latency_ms in times.items():
                if name != "dense":
                    values = (rows, columns, data, 1 - float(mask.mean()), *block, name, latency_ms, times["dense"],
                              reference_ms)  # fmt: skip
                    writer.writerow(dict(zip(FIELDS, values, strict=True)))


def _in_turn(kernels: dict[str, Callable[[], Any]], reference: Callable[[], Any]) -> tuple[dict[str, float], float]:
    """Milliseconds of each, timed one after another in every round, and those of the reference.

    Each run is followed by one of the reference; a kernel's time is the median of its ratios to that, by the median
    time of the reference in this turn.
    """
    ratios: dict[str, list[float]] = {name: [] for name in kernels}
    references: list[float] = []
    for run in kernels.values():
        run()
    for _ in range(_ROUNDS):
        for name, run in kernels.items():
            taken, of_reference = _taken(run), _taken(reference)
            ratios[name].append(taken / of_reference)
            references.append(of_reference)
    reference_ms = statistics.median(references)
    return {name: statistics.median(values) * reference_ms for name, values in ratios.items()}, reference_ms


def _taken(run: Callable[[], Any]) -> float:
    count, began = 0, time.perf_counter()
    while not count or (time.perf_counter() - began < 0.001 and count < 50):
        run()
        count += 1
    return 1000 * (time.perf_counter() - began) / count


def read_rows(source: Path) -> dict[str, list[tuple[Product, float]]]:
    """The measured products of each kernel with their milliseconds, in the median state of the machine.

    Of the dense one, which is timed beside each, the median of each shape counts.
    """
    dense: dict[tuple[int, int, int], list[float]] = {}
    found: dict[str, list[tuple[Product, float]]] = {DENSE: []}
    with open_text(source) as stream:
        rows = list(csv.DictReader(stream))
        state = statistics.median(float(row["reference_ms"]) for row in rows)
        for row in rows:
            factor = state / float(row["reference_ms"])
            shape = (int(row["rows"]), int(row["columns"]), int(row["data"]))
            product = Product(*shape, float(row["zeros"]), (int(row["block_rows"]), int(row["block_columns"])))
            found.setdefault(row["kernel"], []).append((product, factor * float(row["latency_ms"])))
            dense.setdefault(shape, []).append(factor * float(row["dense_ms"]))
    found[DENSE] = [(Product(*shape), statistics.median(times)) for shape, times in dense.items()]
    return found


def open_text(path: Path) -> TextIO:
    """A text file, which may be compressed."""
    if path.suffix == ".xz":
        return lzma.open(path, "rt", encoding="utf-8", newline="")
    return path.open(newline="", encoding="utf-8")


def train(rows: Sequence[tuple[Product, float]]) -> TreeEnsemble:
    """A predictor of the logarithm of milliseconds by work."""
    import lightgbm

    from nnmeter.lab.training.convert import ensemble_from_lightgbm

    targets = [np.log(latency_ms / work(product)) for product, latency_ms in rows]
    model = lightgbm.LGBMRegressor(n_estimators=400, learning_rate=0.06, num_leaves=24, min_child_samples=8, verbose=-1)
    fitted = model.fit(np.array([features(product) for product, _ in rows], np.float32), targets)
    return ensemble_from_lightgbm(fitted.booster_)


def predict(ensemble: TreeEnsemble, products: Sequence[Product]) -> np.ndarray:
    """Milliseconds."""
    rows = np.array([features(product) for product in products], np.float32)
    return np.exp(ensemble.predict(rows)) * np.array([work(product) for product in products])


def errors_on_unseen(rows: Sequence[tuple[Product, float]]) -> np.ndarray:
    """Relative errors, each by a predictor of other shapes; shapes are dealt out over five parts."""
    shapes = sorted({product[:3] for product, _ in rows})
    np.random.default_rng(0).shuffle(shapes)
    part = {tuple(shape): number % 5 for number, shape in enumerate(shapes)}
    parts = np.array([part[tuple(product[:3])] for product, _ in rows])
    errors = np.zeros(len(rows))
    for number in range(5):
        ensemble = train([row for row, own in zip(rows, parts, strict=True) if own != number])
        left = [row for row, own in zip(rows, parts, strict=True) if own == number]
        errors[parts == number] = predict(ensemble, [p for p, _ in left]) / np.array([ms for _, ms in left]) - 1
    return np.abs(errors)


def fit(source: Path, out: Path, runtime: str, hardware: str) -> None:
    """Train, score on shapes left out, and write the pack, its table of costs and the raw rows."""
    measured = read_rows(source)
    errors = {name: errors_on_unseen(rows) for name, rows in measured.items()}
    for name, own in errors.items():
        shapes = len({product[:3] for product, _ in measured[name]})
        print(
            f"{name}: {own.size} kernels of {shapes} shapes; on shapes left out MAPE {100 * own.mean():.1f} %, "
            f"within 10 % {100 * (own <= 0.1).mean():.1f} %"
        )
    sparse = np.concatenate([own for name, own in errors.items() if name != DENSE])
    print(f"all sparse kernels: {sparse.size}, MAPE {100 * sparse.mean():.1f} %")
    ensembles = {name: train(rows) for name, rows in measured.items()}
    arrays, sizes = concatenate_ensembles(ensembles)
    products = [product for rows in measured.values() for product, _ in rows]
    shares = [product.zeros for product in products if product.zeros]
    ranges = {name: [min(values), max(values)] for name, values in (
        ("rows", [p.rows for p in products]), ("columns", [p.columns for p in products]),
        ("data", [p.data for p in products]), ("zeros", [round(min(shares), 2), round(max(shares), 2)]))}  # fmt: skip
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "schema_version": SCHEMA_VERSION, "id": out.name, "runtime": runtime, "hardware": hardware, "threads": 1,
        "date": time.strftime("%Y-%m-%d", time.gmtime(source.stat().st_mtime)), "features": list(FEATURES),
        "errors": {name: round(float(own.mean()), 4) for name, own in errors.items()}, "measured": ranges,
        "ensembles": {name: {"trees": sizes[name][0], "nodes": sizes[name][1], "bias": ensembles[name].bias}
                      for name in ensembles},
    }  # fmt: skip
    (out / "sparse.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    np.savez_compressed(out / "trees.npz", **arrays)  # type: ignore[arg-type]


def show(pack: Path, table: Path | None) -> None:
    """Print from which share of zeros on a sparse kernel is the faster one, and write the table of costs."""
    kernels = read_sparse_kernels(pack)
    print("share of zeros from which on the best sparse kernel is faster than the dense one")
    print(f"{'rows x columns x data':24}" + "".join(f"{f'{r}x{c}':>8}" for r, c in BLOCKS))
    for rows in (256, 512, 1024, 2048):
        for data in (1, 4, 16, 64, 256):
            even = [kernels.break_even(rows, rows, data, block) for block in BLOCKS]
            cells = ["never" if share is None else f"{100 * share:.0f} %" for share in even]
            print(f"{f'{rows} x {rows} x {data}':24}" + "".join(f"{cell:>8}" for cell in cells))
    if table is None:
        return
    with table.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("rows", "columns", "data", "zeros", "block_rows", "block_columns", "kernel", "latency_ms"))
        for rows, columns, data, share, block in product_of_all((512, 1024, 2048), (512, 1024, 2048), (1, 16, 256),
                                                               SHARES, BLOCKS):  # fmt: skip
            choice = kernels.choose(Product(rows, columns, data, share, block))
            if choice is not None:
                writer.writerow((rows, columns, data, share, *block, choice.kernel, f"{choice.latency_ms:.5g}"))


def main() -> None:
    """Measure, or fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    verbs = parser.add_subparsers(dest="verb", required=True)
    measuring = verbs.add_parser("measure")
    measuring.add_argument("out", type=Path)
    measuring.add_argument("--seconds", type=float, default=240)
    fitting = verbs.add_parser("fit")
    fitting.add_argument("source", type=Path)
    fitting.add_argument("out", type=Path, help="folder of the pack")
    fitting.add_argument("--runtime", required=True)
    fitting.add_argument("--hardware", required=True)
    showing = verbs.add_parser("show")
    showing.add_argument("pack", type=Path)
    showing.add_argument("--table", type=Path, help="where the table of costs is written, as CSV")
    options = parser.parse_args()
    if options.verb == "measure":
        measure(options.out, options.seconds)
    elif options.verb == "fit":
        fit(options.source, options.out, options.runtime, options.hardware)
    else:
        show(options.pack, options.table)


if __name__ == "__main__":
    main()
