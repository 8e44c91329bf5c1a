"""Makes the device packs of published latencies, each with a scorecard of networks that its training did not see.

    python benchmarks/published_packs.py DATASETS OUT [--device PATTERN]... [--jobs N] [--limit N] [--only-score]

DATASETS is a folder with `nn-meter-26k`, `phones-qed-usc` and `v100-tensorrt` as their authors publish them. For every
device of `PACKS`:

1. The measurements are imported (`nnmeter import`).
2. A share of them is left out, a predictor is trained on the others (`nnmeter train`) and scored on what was left out:
   a tenth of the generated networks, or of the single convolutions, drawn at random; of the 91 known networks of the
   phones, whole families, in five folds until all have been left out. Kernels of a network are left out with it.
3. A predictor is trained on all of them, and saved with that scorecard.

A scorecard so made is of a predictor that has learned from less than the one beside it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from nnmeter.devices import DevicePack, save_scorecard
from nnmeter.lab.evaluation.evaluate import evaluate_pack
from nnmeter.lab.evaluation.scorecard import ScoredModel, score_models
from nnmeter.lab.importing.run import import_dataset
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import read_measurements, write_measurements
from nnmeter.lab.training.build import build_pack
from nnmeter.lab.training.folds import FOLDS, assign_folds
from nnmeter.prediction.pricing import DEFAULT_CONFIDENCE

_MOST_ROWS = 200  # of a scorecard; of more models only the metrics are kept
_PHONES = "pixel4 s10 mi8se a03s iphone7 iphonexs".split()


@dataclass(frozen=True)
class Plan:
    """A device, its data set, and the pack of another device that its training starts from."""

    device: str
    dataset: str
    prior: str | None = None

    @property
    def folds(self) -> int:
        """How often a part is left out, of `parts` parts."""
        return FOLDS if self.dataset == "phones-qed-usc" else 1


PACKS = (
    *[Plan(name, "nn-meter-26k") for name in ("cortexA76cpu_tflite21", "adreno640gpu_tflite21",
                                              "adreno630gpu_tflite21", "myriadvpu_openvino2019r2")],
    *[Plan(f"{phone}-gpu-tflite", "phones-qed-usc") for phone in _PHONES],
    *[Plan(f"{phone}-1large-tflite", "phones-qed-usc", "cortexA76cpu_tflite21") for phone in _PHONES],
    *[Plan(f"v100_tensorrt_{precision}", "v100-tensorrt") for precision in ("fp32", "fp16", "int8")],
)  # fmt: skip


def make_pack(plan: Plan, datasets: Path, out: Path, limit: int | None, only_score: bool) -> str:
    """Make one pack; what there is to say of it."""
    start = time.monotonic()
    prior = str(out / plan.prior) if plan.prior else None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.parquet"
        import_dataset(plan.dataset, datasets / plan.dataset, path, [plan.device], limit=limit)
        measurements, fingerprint = read_measurements(path)
        part = _parts(plan, measurements)
        rows: list[ScoredModel] = []
        errors: list[float] = []
        for number in range(plan.folds):
            rest = Path(folder) / f"rest-{number}.parquet"
            known = [m for m, p in zip(measurements, part, strict=True) if p != number]
            left_out = [m for m, p in zip(measurements, part, strict=True) if p == number]
            write_measurements(rest, known, fingerprint)
            pack = build_pack([rest], Path(folder) / f"pack-{number}", device_id=plan.device, prior=prior)
            errors += _kernel_errors(pack, left_out)
            rows += evaluate_pack(pack, _as_models(left_out)).models
        scorecard = score_models(
            plan.device, _split(plan), "runtime", DEFAULT_CONFIDENCE, rows, notes=_kernel_notes(errors)
        )
        document = scorecard.to_dict()
        if len(rows) > _MOST_ROWS:
            document["models"] = []
        if not only_score:
            trained = build_pack([path], out / plan.device, device_id=plan.device, prior=prior)
            save_scorecard(trained, document)
    overall = scorecard.overall
    lines = [
        f"{plan.device}: {overall.models} left out, {time.monotonic() - start:.0f} s",
        f"    ±5 % {overall.within_5:.1f}  ±10 % {overall.within_10:.1f}  MAPE {overall.mape:.2f}  "
        f"median error {overall.median_error:.2f}  intervals hold {scorecard.interval_coverage:.1f} %, "
        f"half width {scorecard.interval_half_width:.1f} %",
        *(f"    {note}" for note in scorecard.notes),
        "    within ±10 %: " + ", ".join(f"{f} {m.within_10:.0f}" for f, m in sorted(scorecard.families.items())),
    ]
    return "\n".join(lines)


def _parts(plan: Plan, measurements: Sequence[Measurement]) -> np.ndarray:
    """The part of each measurement (rule 2); parts below `plan.folds` are left out in turn."""
    if plan.dataset == "phones-qed-usc":
        return assign_folds([m.family for m in measurements], 0)
    names = sorted({m.network for m in measurements})
    tenth = {name for name, draw in zip(names, np.random.default_rng(0).random(len(names)), strict=True) if draw < 0.1}
    return np.array([0 if m.network in tenth else 1 for m in measurements])


def _split(plan: Plan) -> str:
    return {
        "nn-meter-26k": "a tenth of the networks, drawn at random, left out of training; their families were seen",
        "phones-qed-usc": "families of networks left out of training in five folds, with the kernels of their networks",
        "v100-tensorrt": "a tenth of the single convolutions, drawn at random, left out of training",
    }[plan.dataset]


def _as_models(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Whole networks; where there are none single kernels, in groups by what sort of convolution they are."""
    wholes = [m for m in measurements if m.granularity == "model"]
    if wholes:
        return wholes
    return [replace(m, granularity="model", network=m.id, family=_sort(m)) for m in measurements]


def _sort(measurement: Measurement) -> str:
    kernel = measurement.kernels[0]
    window = "x".join(map(str, kernel.attribute("kernel_shape")))
    return f"{'depthwise' if kernel.attribute('group', 1) > 1 else 'dense'} {window}"


def _kernel_errors(pack: DevicePack, measurements: Sequence[Measurement]) -> list[float]:
    """Relative errors of the kernels that were timed alone, where whole networks are scored beside them.

    Prices are of kernels as they run in a network; what a profiler shows of them is compared
    (`nnmeter.lab.training.unobserved`).
    """
    alone = [m for m in measurements if m.granularity == "kernel"]
    if len(alone) == len(measurements):
        return []
    known = pack.predictor
    errors = []
    for measurement in alone:
        prices = [(p.latency_ms - known.per_kernel_ms) / known.scale for p in known.price_network(measurement.kernels)]
        errors.append(abs(sum(prices) / measurement.latency_ms - 1))
    return errors


def _kernel_notes(errors: Sequence[float]) -> list[str]:
    if not errors:
        return []
    found = 100 * np.array(errors)
    errors_of = f"mean error {found.mean():.1f} %, median {np.median(found):.1f} %"
    return [f"{len(found)} kernels of the networks left out: {errors_of}"]


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the device packs of published latencies.")
    parser.add_argument("datasets", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--device", action="append", default=[], help="with wildcards; repeatable")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--limit", type=int, help="most rows of a file, to try it out")
    parser.add_argument("--only-score", action="store_true", help="leave out the packs")
    arguments = parser.parse_args()
    chosen = [p for p in PACKS if not arguments.device or any(fnmatchcase(p.device, d) for d in arguments.device)]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        rest = (arguments.datasets, arguments.out, arguments.limit, arguments.only_score)
        for wave in ([p for p in chosen if p.prior is None], [p for p in chosen if p.prior is not None]):
            for job in [pool.submit(make_pack, plan, *rest) for plan in wave]:
                print(job.result(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
