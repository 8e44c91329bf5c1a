"""What a model would take if it were changed: the prediction before, and after each transform.

The transforms are applied one after another, each to what the one before it made. Every step is compared with the model
as it is, by the interval of the difference, since errors are shared by what both have.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nnmeter.comparison.comparison import Comparison, compare_predictions
from nnmeter.errors import NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.predict import predict_on
from nnmeter.prediction.sweep import one_each
from nnmeter.transforms.draft import fitting_sizes

if TYPE_CHECKING:
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction
    from nnmeter.transforms import Transform

SCHEMA_VERSION = 1
AS_IT_IS = "as it is"


@dataclass(frozen=True)
class Step:
    """A model after a transform.

    Attributes:
        label: what was done; `AS_IT_IS` for the model before.
        prediction: what it takes.
        items: how many go in together: the first dimension of its first input.
        comparison: with the model before; None for that itself.
    """

    label: str
    prediction: Prediction
    items: int
    comparison: Comparison | None

    @property
    def items_per_second(self) -> float:
        """How many items go through in a second."""
        return 1000 * self.items / self.prediction.latency_ms if self.prediction.latency_ms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The step as JSON has it."""
        prediction, comparison = self.prediction, self.comparison
        document: dict[str, Any] = {
            "label": self.label,
            "latency_ms": prediction.latency_ms,
            "interval_ms": list(prediction.interval_ms),
            "kernels": len(prediction.kernels),
            "coverage": dict(prediction.coverage),
            "items": self.items,
            "items_per_second": self.items_per_second,
            "warnings": list(prediction.warnings),
        }
        if comparison is not None:
            document["difference"] = {
                "difference_ms": comparison.difference_ms,
                "difference_interval_ms": list(comparison.difference_interval_ms),
                "ratio": comparison.ratio,
                "ratio_interval": list(comparison.ratio_interval),
                "probability_slower": comparison.probability_slower,
                "verdict": comparison.verdict,
            }
        return document


@dataclass(frozen=True)
class WhatIf:
    """A model on a device, before and after each transform.

    Attributes:
        model: its path or name.
        device: id of the device pack.
        steps: the model as it is, and after each transform.
        confidence: of the intervals.
    """

    model: str
    device: str
    steps: tuple[Step, ...]
    confidence: float

    @property
    def before(self) -> Step:
        """The model as it is."""
        return self.steps[0]

    @property
    def after(self) -> Step:
        """The model after all transforms."""
        return self.steps[-1]

    def to_dict(self) -> dict[str, Any]:
        """What is known as JSON has it, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "device": self.device,
            "confidence": self.confidence,
            "steps": [step.to_dict() for step in self.steps],
        }


def what_if(
    model: Any,
    transforms: Sequence[Transform],
    predictors: Sequence[LatencyPredictor],
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
) -> list[WhatIf]:
    """Predict a model before and after each of some transforms, on some devices.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        transforms: what is to be done, in order.
        predictors: of the devices.
        sizes: what the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path.

    Raises:
        TransformError: a transform cannot be done; the message says why.
        ModelError: the model cannot be read, or dimensions remain free.
    """
    if not transforms:
        raise NnmeterError("nothing is to be changed; give a transform")
    unbound = read_model(model, name)
    called = name or (os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name)
    single = sizes.updated(dims=one_each(sizes.dims))
    one = single_sizes(sizes)
    before = list(predict_on(predictors, unbound, single, confidence=confidence, name=called))
    rows = [(AS_IT_IS, batch_of(unbound, sizes), before)]
    for transform in transforms:
        unbound = transform(unbound, one)
        predictions = predict_stage(unbound, predictors, single, confidence, called)
        rows.append((transform.label, batch_of(unbound, sizes), predictions))
    found = []
    for number, predictor in enumerate(predictors):
        steps = [
            Step(
                label,
                predictions[number],
                items,
                compare_predictions(before[number], predictions[number], confidence) if position else None,
            )
            for position, (label, items, predictions) in enumerate(rows)
        ]
        found.append(WhatIf(called, predictor.device, tuple(steps), confidence))
    return found


def predict_stage(
    model: UnboundModel, predictors: Sequence[LatencyPredictor], sizes: InputSizes, confidence: float, name: str
) -> list[Prediction]:
    """The predictions of a model on some devices, by the sizes that it still has use for."""
    return list(predict_on(predictors, model, fitting_sizes(model, sizes), confidence=confidence, name=name))


def single_sizes(sizes: InputSizes) -> InputSizes:
    """Sizes with one for each dimension, as binding takes them.

    Raises:
        NnmeterError: a dimension has several.
    """
    for name, size in sizes.dims.items():
        if not isinstance(size, int) and len(size) != 1:
            raise NnmeterError(f"dimension '{name}' is given several sizes, {list(size)}; give one, or sweep over it")
    dims = {name: size if isinstance(size, int) else size[0] for name, size in sizes.dims.items()}
    return sizes.updated(dims=dims) if dims else sizes


def batch_of(model: UnboundModel, sizes: InputSizes) -> int:
    """How many items go in together: the first dimension of the first input that has dimensions; 1 if none is known."""
    for declared in model.inputs:
        given = sizes.shapes.get(declared.name)
        dims = declared.dims or given
        if dims:
            size = given[0] if given and not isinstance(dims[0], int) else dims[0]
            size = sizes.dims.get(size, 1) if isinstance(size, str) else size
            return size if isinstance(size, int) and size > 0 else 1
    return 1
