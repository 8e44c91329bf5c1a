"""Score a device pack against measured models.

Rules:

1. Only whole models are scored, and none that is also a network of the training measurements.
2. With `models`, a folder of model files, each prediction goes the whole way of `nnmeter predict`: reading, shapes,
   detection by the pack's fusion rules. Without, the kernels that the runtime executed are taken from the measurement,
   which leaves out the errors of detection; the scorecard says which it was.
3. Measured times are brought to the state of the machine that the pack was trained in (`nnmeter.profiling.steady`), so
   that the state of a shared machine on the day does not count as an error of the predictor.
4. Baselines have the coefficients that were fitted when the pack was trained.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.errors import MeasurementError
from nnmeter.evaluation.scorecard import Scorecard, ScoredModel, score_models
from nnmeter.kernels.features import COMMON_NAMES, kernel_features
from nnmeter.kernels.kernel import Kernel
from nnmeter.predictor.latency import DEFAULT_CONFIDENCE, LatencyPredictor
from nnmeter.profiling.steady import steady_models

if TYPE_CHECKING:
    from nnmeter.devices.pack import DevicePack
    from nnmeter.profiling.measurement import Measurement

SPLIT = "trained on random networks only; no scored model, and no model of its family, was trained on"
_ITEM_BITS = COMMON_NAMES.index("item_bits")


def evaluate_pack(
    pack: DevicePack,
    measurements: Sequence[Measurement],
    families: Mapping[str, str] | None = None,
    models: str | os.PathLike[str] | None = None,
    confidence: float = DEFAULT_CONFIDENCE,
    split: str = SPLIT,
    progress: Callable[[str], None] | None = None,
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

    Raises:
        MeasurementError: no whole model was measured, or a model's file is not in the folder.
    """
    predictor = LatencyPredictor(pack)
    rows = []
    models_only = [m for m in measurements if m.granularity == "model"]
    for measurement in steady_models(models_only, pack.predictor.reference_load):
        if progress:
            progress(measurement.network)
        rows.append(_score_one(predictor, measurement, families or {}, models, confidence))
    if not rows:
        raise MeasurementError(
            "no whole model was measured in this file; measure some: nnmeter measure MODEL... --out F"
        )
    return score_models(pack.id, split, "rules" if models else "runtime", confidence, rows)


def _score_one(
    predictor: LatencyPredictor,
    measurement: Measurement,
    families: Mapping[str, str],
    models: str | os.PathLike[str] | None,
    confidence: float,
) -> ScoredModel:
    name = measurement.network
    if models is not None:
        path = Path(models) / (name if name.endswith(".onnx") else f"{name}.onnx")
        if not path.is_file():
            raise MeasurementError(f"{path}: '{name}' was measured, but its model is not there; give its folder")
        prediction = predictor.predict(path, confidence=confidence)
    else:
        kernels = [Kernel(f"{name}:{i}", s, ()) for i, s in enumerate(measurement.kernels)]
        prediction = predictor.price(name, kernels, confidence=confidence)
    features = [kernel_features(s) for s in measurement.kernels]
    trained = predictor.pack.predictor
    baselines = trained.baselines.predict_ms(
        [f.cost for f in features], [int(f.values[_ITEM_BITS]) for f in features], trained.roofline
    )
    stem = name.removesuffix(".onnx")
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
        MeasurementError: the file is not there or lacks a column.
    """
    import csv

    try:
        with open(path, newline="", encoding="utf-8") as stream:
            return {row["model"]: row["family"] for row in csv.DictReader(stream)}
    except (OSError, KeyError, UnicodeDecodeError) as fault:
        raise MeasurementError(
            f"{path}: not a CSV with columns model,family ({fault}); give one, or leave it out"
        ) from fault
