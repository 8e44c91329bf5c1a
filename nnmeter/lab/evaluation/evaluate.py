"""Score a device pack against measured models.

Rules:

1. Only whole models are scored, and, where the training measurements are given, none that is among them.
2. With `models`, a folder of model files, each prediction goes the whole way of `nnmeter predict`: reading, shapes,
   detection by the pack's fusion rules. Without, the kernels that the runtime executed are taken from the measurement,
   which leaves out the errors of detection; the scorecard says which it was.
3. Times are real milliseconds of the machine that was measured. Where that is the pack's own, with its runtime and
   version, they are also brought to the state that the pack's card tells by its reference kernel
   (`nnmeter.lab.measuring.clock`) and compared in that, so that the state of a shared machine on the day does not
   count as an error of the predictor; the scorecard has both and says so. Times of another machine, or of one that is
   not known, are compared as they were measured, and the scorecard says that first.
4. Baselines have the coefficients that were fitted when the pack was trained. The table of the nearest kernels needs
   the training measurements themselves.
5. A model that was measured in several sessions is scored once, by the median of its times.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from nnmeter.devices.identity import match_measurements
from nnmeter.errors import MeasurementError
from nnmeter.files import read_limited
from nnmeter.kernels.features import COMMON_NAMES, kernel_features
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.evaluation.kernel_scores import score_kernels
from nnmeter.lab.evaluation.nearest_table import NEAREST, NearestTable, build_nearest_table
from nnmeter.lab.evaluation.scorecard import Scorecard, ScoredModel, score_models
from nnmeter.lab.measuring.clock import state_of_card
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.pricing import DEFAULT_CONFIDENCE

if TYPE_CHECKING:
    from nnmeter.devices.pack import DevicePack
    from nnmeter.lab.measuring.measurement import Measurement
    from nnmeter.prediction.prediction import Prediction

SPLIT = "trained on random networks only; no scored model, and no model of its family, was trained on"
_ITEM_BITS = COMMON_NAMES.index("item_bits")
_MOST_BYTES = 16 << 20  # of a table of families


def evaluate_pack(
    pack: DevicePack,
    measurements: Sequence[Measurement],
    families: Mapping[str, str] | None = None,
    models: str | os.PathLike[str] | None = None,
    confidence: float = DEFAULT_CONFIDENCE,
    split: str = SPLIT,
    progress: Callable[[str], None] | None = None,
    training: Sequence[Measurement] | None = None,
    fingerprint: Mapping[str, Any] | None = None,
    dims: Mapping[str, int] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Scorecard:
    """Predict every measured model and compare.

    Args:
        pack: the device pack.
        measurements: measured models; rows of other granularities are ignored (rule 1).
        families: family of each model by its name, with or without the suffix of its file; its own if not listed.
        models: folder of the model files (rule 2).
        confidence: of the intervals.
        split: how the models were kept apart from training, for the scorecard.
        progress: told the name of each model.
        training: what the pack was trained on, for the baseline of the nearest kernel (rule 4) and for rule 1.
        fingerprint: of the machine that measured the models (rule 3).
        dims: values of the dimensions that the model files leave free, as they were measured.
        shapes: whole shapes of their inputs.

    Raises:
        MeasurementError: no whole model was measured, or a model's file is not in the folder.
    """
    say = progress or (lambda _: None)
    predictor = LatencyPredictor(pack)
    table = None
    machine = match_measurements(pack.card, fingerprint) if fingerprint else None
    state = state_of_card(pack.card) if machine is not None and machine.same_reference else None
    notes = []
    chosen = [m for m in measurements if m.granularity == "model"]
    if not chosen:
        raise MeasurementError(
            "no whole model was measured in this file; measure some: nnmeter measure MODEL... --out F"
        )
    if training is not None:
        say("the table of profiled kernels")
        in_state = list(training) if state is None else state.bring(training)
        table = build_nearest_table(in_state, pack.predictor.roofline, pack.predictor.baselines)
        trained_on = {m.network for m in training if m.granularity == "model"}
        seen = sorted({m.network for m in chosen} & trained_on)
        chosen = [m for m in chosen if m.network not in trained_on]
        if not chosen:
            raise MeasurementError("every measured model is among those that were trained on; measure others")
        if seen:
            notes.append(f"left out, because they were trained on: {', '.join(seen)}")
    rows = []
    if state is not None:
        notes.append(
            "errors are of the times in the state that the pack's prices are of (state_ms), its reference kernel "
            f"taking {state.words()} ms; measured_ms is what was measured, with the reference at "
            f"{median(m.reference_ms for m in chosen):.4g} ms"
        )
    measured = _merge_sittings(chosen if state is None else state.bring(chosen))
    raw_ms = {(m.network, m.kernels): m.latency_ms for m in _merge_sittings(chosen)}
    for measurement in measured:
        say(measurement.network)
        if models is not None:
            path = _file_of(measurement.network, models)
            prediction = predictor.predict(path, dims, shapes, confidence=confidence)
        else:
            prediction = predictor.price(measurement.network, _executed(measurement), confidence=confidence)
        row = _compare(measurement, prediction, pack, families or {}, table)
        if state is not None:
            row = replace(row, state_ms=row.measured_ms, measured_ms=raw_ms[measurement.network, measurement.kernels])
        rows.append(row)
    kernels = score_kernels(pack.predictor, measured)
    return score_models(pack.id, split, "rules" if models else "runtime", confidence, rows, kernels, notes, machine)


def _merge_sittings(measurements: Sequence[Measurement]) -> list[Measurement]:
    """Rule 5."""
    groups: dict[Any, list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.network, measurement.kernels), []).append(measurement)
    return [_median_of(group) if len(group) > 1 else group[0] for group in groups.values()]


def _median_of(group: Sequence[Measurement]) -> Measurement:
    halves = [m.half_ms for m in group]
    return replace(
        group[0],
        latency_ms=median(m.latency_ms for m in group),
        half_ms=(median(h[0] for h in halves), median(h[1] for h in halves)),
    )


def _file_of(network: str, models: str | os.PathLike[str]) -> Path:
    path = Path(models) / (network if network.endswith(".onnx") else f"{network}.onnx")
    if not path.is_file():
        raise MeasurementError(f"{path}: '{network}' was measured, but its model is not there; give its folder")
    return path


def _executed(measurement: Measurement) -> list[Kernel]:
    return [Kernel(f"{measurement.network}:{i}", s, ()) for i, s in enumerate(measurement.kernels)]


def _compare(
    measurement: Measurement,
    prediction: Prediction,
    pack: DevicePack,
    families: Mapping[str, str],
    table: NearestTable | None,
) -> ScoredModel:
    features = [kernel_features(s) for s in measurement.kernels]
    trained = pack.predictor
    baselines = trained.baselines.predict_ms(
        [f.cost for f in features], [int(f.values[_ITEM_BITS]) for f in features], trained.roofline
    )
    if table is not None:
        baselines[NEAREST] = sum(table.kernel_ms(measurement.kernels))
    stem = measurement.network.removesuffix(".onnx")
    return ScoredModel(
        model=stem,
        family=families.get(stem) or families.get(f"{stem}.onnx") or measurement.family,
        measured_ms=measurement.latency_ms,
        halves_ms=measurement.half_ms if min(measurement.half_ms) > 0 else None,
        predicted_ms=prediction.latency_ms,
        low_ms=prediction.interval_ms[0],
        high_ms=prediction.interval_ms[1],
        fallback=prediction.coverage["fallback"],
        baselines_ms=baselines,
    )


def read_families(path: str | os.PathLike[str]) -> dict[str, str]:
    """Families by model from a CSV file with the columns `model` and `family`.

    Raises:
        MeasurementError: the file is not there, is no regular file, or lacks a column.
    """
    import csv

    try:
        reader = csv.DictReader(io.StringIO(read_limited(path, _MOST_BYTES).decode("utf-8-sig"), newline=""))
        lacking = {"model", "family"}.difference(reader.fieldnames or ())
        if lacking:
            raise ValueError(f"no column {' and '.join(sorted(lacking))}")
        families = {row["model"]: row["family"] or "" for row in reader}
        if not "".join(families.values()).isprintable():
            raise ValueError("a family's name has control characters")
        return families
    except (OSError, ValueError, csv.Error) as fault:
        said = (fault.strerror or fault.args[-1]) if isinstance(fault, OSError) else fault
        raise MeasurementError(
            f"{os.fspath(path)}: not a CSV with columns model,family ({said}); give one, or leave it out"
        ) from fault
