"""A runtime with real sparse kernels: torch.sparse on one core. When is a sparse product faster than a dense one?

    python benchmarks/sparse_kernels.py measure OUT.csv --seconds 300 --seed 0     (needs torch; let nothing else run)
    python benchmarks/sparse_kernels.py fit OUT.csv PACK --runtime NAME --hardware NAME     (needs nnmeter[lab])
    python benchmarks/sparse_kernels.py show PACK [--table TABLE.csv]

`measure` takes products of a weight (rows x columns, some of it zero) with columns of data, over shapes, shares of
zeros and shapes of blocks, drawn at random: dense (`torch.mm`), as CSR, and as BSR where the block is square (MKL takes
no other). A machine has states that differ by more than a half, last for seconds, and move dense and sparse kernels
differently. So a pool of products is kept, and passes are made over all of it until the time is up; every run is
followed by one of a dense reference kernel and of a sparse one. A kernel's time is the median over passes; the halves,
medians of every second pass, tell how well it is known. Several calls with other seeds go into one file.

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
KERNELS = ("dense", "csr", "bsr")
FIELDS = (
    "rows", "columns", "data", "zeros", "block_rows", "block_columns", "kernel", "latency_ms", "half_ms",
    "other_half_ms", "passes",
)  # fmt: skip
_REFERENCE = 384  # rows and columns of the dense reference kernel
_SPARSE_REFERENCE = (1024, 0.9, 16)  # rows and columns of the sparse one, its share of zeros, columns of its data
_LEAST_PASSES = 4
_LARGEST_BLOCK = (64, 128)  # rows and columns of a weight are multiples, so that every shape of blocks divides it

Shape = tuple[int, int, int, float, tuple[int, int]]


def draws(seed: int) -> Iterator[Shape]:
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


def measure(out: Path, seconds: float, seed: int, count: int, kernels: Sequence[str]) -> None:
    """Time some kernels of products until the time is up, and add them to a file."""
    import torch

    torch.set_num_threads(1)
    pool: list[tuple[Shape, dict[str, Callable[[], Any]]]] = []
    for number, shape in enumerate(draws(seed)):
        exact, found = kernels_of(shape, number)
        found = {name: run for name, run in found.items() if name in kernels}
        if found:
            pool.append((exact, found))
        if len(pool) == count:
            break
    random = np.random.default_rng(0)
    square = torch.from_numpy(random.standard_normal((_REFERENCE, _REFERENCE)).astype(np.float32))
    size, zeros, data = _SPARSE_REFERENCE
    weight = random.standard_normal((size, size)) * (random.random((size, size)) >= zeros)
    as_csr = torch.from_numpy(weight.astype(np.float32)).to_sparse_csr()
    x = torch.from_numpy(random.standard_normal((size, data)).astype(np.float32))
    references = [partial(torch.mm, square, square), partial(torch.matmul, as_csr, x)]
    times: dict[tuple[int, str], list[tuple[float, ...]]] = {}  # each with those of the references
    end = time.perf_counter() + seconds
    passes = 0
    while time.perf_counter() < end:
        for number in np.random.default_rng(passes).permutation(len(pool)):
            for name, run in pool[number][1].items():
                run()
                times.setdefault((number, name), []).append((_taken(run), *[_taken(one) for one in references]))
        passes += 1
        print(f"pass {passes}: {seconds - end + time.perf_counter():.0f} s", flush=True)
    if passes < _LEAST_PASSES:
        raise SystemExit(f"{passes} passes over {len(pool)} products are few; give more --seconds or fewer --products")
    state = np.median([row[1:] for rows in times.values() for row in rows], axis=0)
    share = {name: shares_of_states([np.log(rows) for (_, own), rows in times.items() if own == name])
             for name in kernels}  # fmt: skip
    print(
        "how far times go with the references (dense, sparse):", {k: np.round(v, 2).tolist() for k, v in share.items()}
    )
    with out.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, FIELDS, lineterminator="\n")
        if not stream.tell():
            writer.writeheader()
        for (number, name), rows in sorted(times.items()):
            taken = np.array(rows)
            corrected = taken[:, 0] * np.prod((state / taken[:, 1:]) ** share[name], axis=1)
            medians = [float(np.median(part)) for part in (corrected, corrected[::2], corrected[1::2])]
            *sizes, block = pool[number][0]
            fields = (*sizes, *block, name, *[f"{value:.6g}" for value in medians], passes)
            writer.writerow(dict(zip(FIELDS, fields, strict=True)))


def shares_of_states(logs: Sequence[np.ndarray]) -> np.ndarray:
    """How far a kernel's time goes with each reference's, from pass to pass, by least squares over all products.

    Args:
        logs: of each product, logarithms of its own times and of the references' beside them [passes, 1 + references].
    """
    moves = np.concatenate([rows - np.median(rows, axis=0) for rows in logs])
    found = np.linalg.lstsq(moves[:, 1:], moves[:, 0], rcond=None)[0]
    return np.asarray(np.clip(found, 0.0, 1.0))


def kernels_of(shape: Shape, seed: int) -> tuple[Shape, dict[str, Callable[[], Any]]]:
    """A product, with the share of zeros that it really has, and what computes it."""
    import torch

    rows, columns, data, share, block = shape
    random = np.random.default_rng(seed)
    tiles = random.random((rows // block[0], columns // block[1])) >= share
    tiles[0, 0] = True
    mask = np.repeat(np.repeat(tiles, block[0], 0), block[1], 1)
    weight = torch.from_numpy(random.standard_normal((rows, columns), np.float32) * mask)
    x = torch.from_numpy(random.standard_normal((columns, data), np.float32))
    kernels: dict[str, Callable[[], Any]] = {
        "dense": partial(torch.mm, weight, x),
        "csr": partial(torch.matmul, weight.to_sparse_csr(), x),
    }
    if block[0] == block[1] > 1:
        kernels["bsr"] = partial(torch.matmul, weight.to_sparse_bsr(block), x)
    return (rows, columns, data, 1 - float(mask.mean()), block), kernels


def _taken(run: Callable[[], Any]) -> float:
    """Milliseconds of a run: the least of two, or the mean of as many as fit into a millisecond, if these are more."""
    began = time.perf_counter()
    run()
    first = time.perf_counter() - began
    more = min(int(0.001 / first), 50) or 1
    began = time.perf_counter()
    for _ in range(more):
        run()
    second = (time.perf_counter() - began) / more
    return 1000 * (second if more > 1 else min(first, second))


def read_rows(source: Path) -> dict[str, list[tuple[Product, float]]]:
    """The measured products of each kernel with their milliseconds; of the dense one without zeros."""
    found: dict[str, list[tuple[Product, float]]] = {DENSE: []}
    with open_text(source) as stream:
        for row in csv.DictReader(stream):
            shape = (int(row["rows"]), int(row["columns"]), int(row["data"]))
            product = Product(*shape, float(row["zeros"]), (int(row["block_rows"]), int(row["block_columns"])))
            kernel = row["kernel"]
            found.setdefault(kernel, []).append(
                (Product(*shape) if kernel == DENSE else product, float(row["latency_ms"]))
            )
    return found


def noise_floor(source: Path) -> dict[str, float]:
    """The mean relative difference of the halves of each kernel's passes."""
    found: dict[str, list[float]] = {}
    with open_text(source) as stream:
        for row in csv.DictReader(stream):
            found.setdefault(row["kernel"], []).append(abs(float(row["half_ms"]) / float(row["other_half_ms"]) - 1))
    return {kernel: statistics.mean(values) for kernel, values in found.items()}


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
    noise = noise_floor(source)
    for name, own in errors.items():
        shapes = len({product[:3] for product, _ in measured[name]})
        print(
            f"{name}: {own.size} kernels of {shapes} shapes; on shapes left out MAPE {100 * own.mean():.1f} %, "
            f"within 10 % {100 * (own <= 0.1).mean():.1f} %; "
            f"the halves of the passes differ by {100 * noise[name]:.1f} %"
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
    measuring.add_argument("--seconds", type=float, default=300)
    measuring.add_argument("--seed", type=int, default=0, help="of the shapes that are drawn")
    measuring.add_argument("--products", type=int, default=250, help="how many of them are kept in memory")
    measuring.add_argument("--kernel", choices=KERNELS, action="append", help="which are timed; default: all")
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
        measure(options.out, options.seconds, options.seed, options.products, options.kernel or KERNELS)
    elif options.verb == "fit":
        fit(options.source, options.out, options.runtime, options.hardware)
    else:
        show(options.pack, options.table)


if __name__ == "__main__":
    main()
