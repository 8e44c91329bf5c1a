"""Predicted against measured gains of pruned models, in three steps, and again by another pack.

    python benchmarks/pruned_models.py make PACK DIR
    nnmeter measure DIR --out DIR/measurements.parquet
    python benchmarks/pruned_models.py compare DIR OUT.csv [--device PACK]
    python benchmarks/pruned_models.py again PACK IN.csv

`make` prunes every model of `MODELS` in several ways (a share of all its layers, random shares, budgets of the search)
and writes the pruned models, without weights, with what is predicted. `compare` writes a row a pruned model: the share
of the original's time that was predicted to be gained, and the share that was measured. With `--device` it predicts
the files anew by another pack than that they were made with.

`again` needs no measuring: it prunes by the same shares, predicts with `PACK`, and takes the times of `IN.csv`. Rows of
budgets are left out, for which channels go there was decided by the pack that they were made with.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.formats.onnx_writer import write_onnx
from nnmeter.graph.input_sizes import AS_DECLARED
from nnmeter.prediction.predict import LatencyPredictor, load_predictor
from nnmeter.pruning import Pruned, prune_to_budget, remove_channels
from nnmeter.pruning.groups import PrunableModel

ZOO = Path(__file__).parent.parent / "data" / "zoo"
MODELS = ("resnet18-224", "mobilenet_v2-224", "vgg11-224")
WITHIN = 0.05  # points between predicted and measured gain
RECORDS = "pruned.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("make", "compare", "again"))
    parser.add_argument("first", help="make, again: a device pack; compare: the folder")
    parser.add_argument("second", type=Path, help="make: the folder; compare, again: the rows, as CSV")
    parser.add_argument("--models", nargs="+", type=Path, default=[ZOO / f"{name}.onnx" for name in MODELS])
    parser.add_argument("--device", help="compare: a pack to predict the files with anew")
    options = parser.parse_args()
    if options.step == "make":
        make(load_predictor(options.first), options.second, options.models)
    elif options.step == "again":
        again(load_predictor(options.first), options.second, options.models)
    else:
        compare(Path(options.first), options.second, options.device)


def make(predictor: LatencyPredictor, folder: Path, models: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = []
    for path in models:
        (folder / f"{path.stem}.onnx").write_bytes(write_onnx(read_model(path)).SerializeToString())
        for number, (how, pruned) in enumerate(variants(path, predictor)):
            name = f"{path.stem}-pruned{number}"
            (folder / f"{name}.onnx").write_bytes(write_onnx(pruned.changed).SerializeToString())
            print(f"{name} ({how}): {pruned.gain:.1%} predicted", file=sys.stderr)
            records.append({"model": path.stem, "pruned": name, "how": how, "device": predictor.device,
                            "predicted_before_ms": pruned.before.latency_ms,
                            "predicted_after_ms": pruned.after.latency_ms,
                            "widths": {r.group.name: r.width for r in pruned.removals}})  # fmt: skip
    (folder / RECORDS).write_text(json.dumps(records, indent=1) + "\n")


def variants(path: Path, predictor: LatencyPredictor) -> Iterator[tuple[str, Pruned]]:
    """A model pruned in several ways."""
    yield from by_shares(path, predictor)
    before = predictor.predict(path).latency_ms
    for budget in (0.8, 0.6, 0.4):
        try:
            yield f"budget {budget:.0%}", prune_to_budget(path, predictor, budget * before)
        except NnmeterError as fault:
            print(fault, file=sys.stderr)


def by_shares(path: Path, predictor: LatencyPredictor) -> Iterator[tuple[str, Pruned]]:
    """A model pruned in the ways that do not depend on the pack."""
    layers = [group.layers[0] for group in PrunableModel(read_model(path), AS_DECLARED).groups]
    random = np.random.default_rng(0)
    for share in (0.125, 0.25, 0.5):
        yield f"{share:g} of all layers", remove_channels(path, predictor, shares=dict.fromkeys(layers, share))
    for number in range(3):
        shares = dict(zip(layers, random.uniform(0, 0.7, len(layers)).tolist(), strict=True))
        yield f"random shares {number}", remove_channels(path, predictor, shares=shares)


def compare(folder: Path, out: Path, device: str | None) -> None:
    from nnmeter import read_measurements

    predictor = None if device is None else load_predictor(device)

    frame = read_measurements(folder / "measurements.parquet")
    measured = dict(zip(frame["network"], frame["latency_ms"], strict=True))
    rows = []
    for record in json.loads((folder / RECORDS).read_text()):
        if predictor is not None:
            record["device"] = predictor.device
            for when, name in (("before", record["model"]), ("after", record["pruned"])):
                record[f"predicted_{when}_ms"] = predictor.predict(folder / f"{name}.onnx").latency_ms
        predicted = 1 - record["predicted_after_ms"] / record["predicted_before_ms"]
        taken = 1 - measured[record["pruned"]] / measured[record["model"]]
        rows.append({
            "model": record["model"], "how": record["how"], "device": record["device"],
            "predicted_before_ms": f"{record['predicted_before_ms']:.4f}",
            "predicted_after_ms": f"{record['predicted_after_ms']:.4f}",
            "measured_before_ms": f"{measured[record['model']]:.4f}",
            "measured_after_ms": f"{measured[record['pruned']]:.4f}",
            "predicted_gain": f"{predicted:.4f}", "measured_gain": f"{taken:.4f}",
            "difference_points": f"{100 * (predicted - taken):.2f}",
        })  # fmt: skip
    with out.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    report("all", [float(row["difference_points"]) for row in rows])


def again(predictor: LatencyPredictor, measured: Path, models: list[Path]) -> None:
    with measured.open(encoding="utf-8") as stream:
        gains = {(row["model"], row["how"]): float(row["measured_gain"]) for row in csv.DictReader(stream)}
    points = {
        (path.stem, how): 100 * (pruned.gain - gains[path.stem, how])
        for path in models
        for how, pruned in by_shares(path, predictor)
    }
    for (model, how), apart in points.items():
        print(f"{model:20} {how:22} measured {gains[model, how]:7.1%}, predicted {apart:+5.1f} points more")
    for kind in ("of all layers", "random shares"):
        report(kind, [apart for (_, how), apart in points.items() if kind in how])
    report("both", list(points.values()))


def report(kind: str, points: list[float]) -> None:
    """Print how far predicted gains are from measured ones."""
    apart = np.abs(points)
    print(f"{kind}: {len(apart)} pruned models, {np.mean(apart <= 100 * WITHIN):.1%} within {100 * WITHIN:g} points, "
          f"median {np.median(apart):.1f}, largest {apart.max():.1f} points")  # fmt: skip


if __name__ == "__main__":
    main()
