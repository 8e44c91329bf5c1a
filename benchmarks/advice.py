"""Predicted against measured gain of what `nnmeter advise` advises, on real models.

    python benchmarks/advice.py [--models data/zoo] [--only PATTERN ...] [--pack ID] [--count 10] [--a-model 2]
        [--passes 6] [--out advice.parquet] [--dry]

1. Every model is advised on the pack's device. Of all advice, the `--count` with the greatest relative gain are taken,
   no more than `--a-model` of a model and one of its kinds, and of each kind (precision, width, activation, rewrite) as
   many as of the others as far as there are.
2. Each model and each changed one is written without weights, and all are measured in one sitting, interleaved, with
   random weights (`nnmeter.measure`). The machine has to be the pack's, or one whose pack this is (`nnmeter setup`).
3. A gain is how much less time the changed model takes, relative to the model as it is. Printed are both gains, whether
   the measured one lies in the predicted interval, and for how many the sign is right.

`--dry` only lists what would be measured. Ten changes of small models take about five minutes with six passes.
"""

from __future__ import annotations

import argparse
import fnmatch
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.advice.advice import advise
from nnmeter.advice.trial import Trial
from nnmeter.errors import NnmeterError
from nnmeter.formats.onnx_writer import write_onnx
from nnmeter.prediction.predict import load_predictor
from nnmeter.transforms import apply

# Small models of many kinds, widths that fit no block among them.
USUAL = (
    "convnext_atto-224", "efficientnet_b0-224", "ghostnet_100-224", "mobilenet_v2-224", "mobilenetv2_140-192",
    "regnetx_008-224", "resnet18-224", "shufflenet_v2_x1_0-224", "squeezenet1_1-224", "vit_tiny_patch16_224-224",
)  # fmt: skip
KINDS = ("precision", "width", "activation", "rewrite")


@dataclass(frozen=True)
class Case:
    """One advice of one model."""

    path: Path
    trial: Trial

    @property
    def gain(self) -> float:
        """Predicted gain, relative."""
        return 1 - self.trial.comparison.ratio


def main() -> int:
    """Choose, write, measure, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, default=Path("data/zoo"), help="folder of models")
    parser.add_argument("--only", nargs="*", default=USUAL, metavar="PATTERN", help="names that fit one of these")
    parser.add_argument("--pack", metavar="ID", help="device pack; the nearest to this machine if not given")
    parser.add_argument("--count", type=int, default=10, help="changes that are measured")
    parser.add_argument("--a-model", type=int, default=2, help="of each model at most")
    parser.add_argument("--passes", type=int, default=6, help="passes over all models")
    parser.add_argument("--out", type=Path, help="measurements to write (Parquet)")
    parser.add_argument("--dry", action="store_true", help="list what would be measured")
    options = parser.parse_args()
    cases = choose(candidates(options), options.count, options.a_model)
    if not cases:
        print("nothing is advised", file=sys.stderr)
        return 2
    for case in cases:
        print(
            f"{case.path.stem:<32} {case.trial.kind:<10} {case.trial.what:<48} predicted {case.gain:+.1%}", flush=True
        )
    return 0 if options.dry else measure(cases, options)


def candidates(options: argparse.Namespace) -> list[Case]:
    """All advice of all models."""
    predictor = load_predictor(options.pack)
    print(f"advice for {predictor.device}", flush=True)
    found = []
    for path in sorted(options.models.glob("*.onnx")):
        if any(fnmatch.fnmatchcase(path.stem, pattern) for pattern in options.only):
            found += [Case(path, trial) for trial in advise(path, predictor).advice]
    return found


def choose(cases: Sequence[Case], count: int, of_a_model: int) -> list[Case]:
    """The best of each kind in turn (rule 1)."""
    waiting = {kind: sorted((c for c in cases if c.trial.kind == kind), key=lambda c: -c.gain) for kind in KINDS}
    chosen: list[Case] = []
    while len(chosen) < count and any(waiting.values()):
        for queue in waiting.values():
            while queue:
                case = queue.pop(0)
                same = [other for other in chosen if other.path == case.path]
                if len(same) < of_a_model and all(other.trial.kind != case.trial.kind for other in same):
                    chosen.append(case)
                    break
    return chosen[:count]


def measure(cases: Sequence[Case], options: argparse.Namespace) -> int:
    """Rules 2 and 3."""
    from nnmeter.lab.api import measure as measure_models

    with tempfile.TemporaryDirectory() as folder:
        files = {case.path: Path(folder) / case.path.name for case in cases}
        for path, file in files.items():
            file.write_bytes(write_onnx(apply(path, [])).SerializeToString())
        changed = []
        for number, case in enumerate(cases):
            file = Path(folder) / f"{case.path.stem}.advice-{number}.onnx"
            file.write_bytes(write_onnx(apply(case.path, [case.trial.transform])).SerializeToString())
            changed.append(file)

        def refused(path: str, fault: NnmeterError) -> None:
            print(f"not measured: {fault}", flush=True)

        found = measure_models(
            [*files.values(), *changed], options.out, passes=options.passes, refused=refused, append=False
        )
    latency = {measurement.network: measurement.latency_ms for measurement in found}
    errors, inside, signs, faster = [], 0, 0, 0
    for case, file in zip(cases, changed, strict=True):
        before, after = latency.get(case.path.stem), latency.get(file.stem)
        if before is None or after is None:
            continue
        gain = 1 - after / before
        low, high = case.trial.comparison.ratio_interval
        held = low <= after / before <= high
        errors.append(abs(case.gain - gain))
        inside, signs, faster = inside + held, signs + ((gain > 0) == (case.gain > 0)), faster + 1
        print(
            f"{case.path.stem:<32} {case.trial.what:<48} {before:8.2f} -> {after:8.2f} ms  "
            f"predicted {case.gain:+7.1%}  measured {gain:+7.1%}  {'inside' if held else 'outside'}"
        )
    if not errors:
        return 1
    print(
        f"{faster} changes: sign right for {signs}, measured gain in the interval for {inside}, "
        f"median error of the gain {100 * statistics.median(errors):.1f} points"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
