"""Latency as a curve: one model at several sizes of its inputs, on several devices, with the throughput beside it.

1. An axis of a sweep is `batch`, `resolution` or `sequence`, whether the file fixes it or not; the name of a dimension
   that the file leaves free, which comes first where both are meant; or any dimension of an input by its number,
   `INPUT.AXIS`.
2. Of several axes all combinations are predicted, the last changing fastest.
3. A size that the model cannot take is passed over and named; a model that can take none is an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

from nnmeter.advice.what_if import batch_of, predict_stage, single_sizes
from nnmeter.errors import ModelError, NnmeterError, brief
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.predict import predict_on
from nnmeter.transforms import Batch, Dimensions, Resolution, SequenceLength, Transform, TransformError
from nnmeter.transforms.sizes import set_axis

if TYPE_CHECKING:
    from nnmeter.graph.unbound import UnboundModel
    from nnmeter.prediction.predict import LatencyPredictor
    from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1
MOST_POINTS = 10_000
_LARGEST = 2**40

# Axes that a file may fix, and what sets them (rule 1).
NAMED_AXES: Mapping[str, Callable[[int], Transform]] = {
    "batch": Batch,
    "resolution": lambda size: Resolution(size, size),
    "sequence": SequenceLength,
}


@dataclass(frozen=True)
class Point:
    """One prediction of a sweep.

    Attributes:
        sizes: the size of each axis.
        items: how many go in together.
        prediction: what it takes.
    """

    sizes: Mapping[str, int]
    items: int
    prediction: Prediction

    @property
    def items_per_second(self) -> float:
        """How many items go through in a second."""
        return 1000 * self.items / self.prediction.latency_ms if self.prediction.latency_ms else 0.0

    def to_dict(self) -> dict[str, Any]:
        """The point as JSON has it."""
        return {
            "sizes": dict(self.sizes),
            "device": self.prediction.device,
            "latency_ms": self.prediction.latency_ms,
            "interval_ms": list(self.prediction.interval_ms),
            "items": self.items,
            "items_per_second": self.items_per_second,
            "coverage": dict(self.prediction.coverage),
        }


@dataclass(frozen=True)
class Sweep:
    """A model at several sizes.

    Attributes:
        model: its path or name.
        axes: the sizes of each axis, in the order given.
        points: a point for each combination of sizes and device, devices together.
        passed_over: why sizes were left out, a sentence each.
        confidence: of the intervals.
    """

    model: str
    axes: Mapping[str, tuple[int, ...]]
    points: tuple[Point, ...]
    passed_over: tuple[str, ...]
    confidence: float

    @property
    def devices(self) -> tuple[str, ...]:
        """Ids of the devices, in the order given."""
        return tuple(dict.fromkeys(point.prediction.device for point in self.points))

    def best(self, device: str) -> Point:
        """The point of a device at which most items go through in a second."""
        return max((p for p in self.points if p.prediction.device == device), key=lambda p: p.items_per_second)

    def to_dict(self) -> dict[str, Any]:
        """The sweep as JSON has it, schema version 1."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "confidence": self.confidence,
            "axes": {name: list(sizes) for name, sizes in self.axes.items()},
            "points": [point.to_dict() for point in self.points],
            "passed_over": list(self.passed_over),
        }


def sweep(
    model: Any,
    axes: Mapping[str, Sequence[int]],
    predictors: Sequence[LatencyPredictor],
    sizes: InputSizes = AS_DECLARED,
    confidence: float = 0.9,
    name: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Predict a model at several sizes of its inputs.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        axes: the sizes of each axis (rule 1).
        predictors: of the devices.
        sizes: what else the model leaves open.
        confidence: of the intervals: 0.5, 0.8, 0.9 or 0.95.
        name: what to call the model, in place of its path.
        progress: told how many combinations are done, and how many there are.

    Raises:
        NnmeterError: an axis has no sizes, or there are too many combinations.
        ModelError: the model cannot be read, or it takes none of the sizes.
    """
    unbound = read_model(model, name)
    called = name or (os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name)
    chosen = {axis: tuple(dict.fromkeys(given)) for axis, given in axes.items()}
    _check_axes(unbound, chosen)
    combinations = list(product(*chosen.values()))
    rows: list[list[Point]] = []
    faults: list[NnmeterError] = []
    for done, combination in enumerate(combinations):
        if progress is not None:
            progress(done, len(combinations))
        point = dict(zip(chosen, combination, strict=True))
        try:
            stage = _at(unbound, point, single_sizes(sizes))
            predictions = predict_stage(stage, predictors, sizes, confidence, called)
        except (TransformError, ModelError) as fault:
            faults.append(fault)
            continue
        rows.append([Point(point, batch_of(stage, sizes), prediction) for prediction in predictions])
    if not rows:
        raise faults[0]
    points = [row[number] for number in range(len(predictors)) for row in rows]
    return Sweep(called, chosen, tuple(points), tuple(dict.fromkeys(map(str, faults))), confidence)


def predict_at_sizes(
    model: Any, predictors: Sequence[LatencyPredictor], sizes: InputSizes = AS_DECLARED
) -> list[Prediction]:
    """The predictions of a model at each of its sizes, in their order, and of each size on all devices.

    As `predict_on`, but `batch`, `resolution` and `sequence` among the dimensions are set where the file fixes them.

    Args:
        model: path, bytes, binary file object, `onnx.ModelProto`, or `UnboundModel`.
        predictors: of the devices.
        sizes: with several sizes for a dimension.

    Raises:
        ModelError: the model cannot be read, or does not take one of the sizes.
    """
    unbound = read_model(model)
    free = {name for names in unbound.free_dimensions.values() for name in names}
    if sizes.zipped or not any(name in NAMED_AXES and name not in free for name in sizes.dims):
        return list(predict_on(predictors, model, sizes))
    called = os.fspath(model) if isinstance(model, str | os.PathLike) else unbound.name
    axes = {
        name: (given,) if isinstance(given, int) else tuple(given)
        for name, given in sizes.dims.items()
        if name in free or name in NAMED_AXES
    }
    others = {name: given for name, given in sizes.dims.items() if name not in axes}
    found = sweep(unbound, axes, predictors, replace(sizes, dims=others), name=called)
    if found.passed_over:
        raise ModelError(found.passed_over[0])
    count = len(found.points) // len(predictors)
    points = [point for number in range(count) for point in found.points[number::count]]
    return [replace(point.prediction, dims={**point.prediction.dims, **point.sizes}) for point in points]


def _at(model: UnboundModel, point: Mapping[str, int], sizes: InputSizes) -> UnboundModel:
    free = {name for names in model.free_dimensions.values() for name in names}
    fixed = {axis: size for axis, size in point.items() if axis in free}
    if fixed:
        model = Dimensions(fixed)(model, sizes)
    for axis, size in point.items():
        if axis in NAMED_AXES and axis not in free:
            model = NAMED_AXES[axis](size)(model, sizes)
        elif axis not in free:
            name, _, number = axis.rpartition(".")
            model = set_axis(model, name, int(number), size, sizes)
    return model


def _check_axes(model: UnboundModel, axes: Mapping[str, tuple[int, ...]]) -> None:
    if not axes:
        raise NnmeterError(f"{model.source}: nothing is swept over; give an axis, for instance --over batch=1:32:*2")
    free = sorted({str(name) for names in model.free_dimensions.values() for name in names})
    numbered = [f"{d.name}.{axis}" for d in model.inputs for axis in range(len(d.dims or ()))]
    for axis, given in axes.items():
        if axis not in free and axis not in NAMED_AXES and axis not in numbered:
            has = f", its free dimensions {', '.join(free)}" if free else ""
            example = f", or a dimension of an input by its number, as {numbered[-1]}" if numbered else ""
            raise NnmeterError(
                f"{model.source}: there is no axis '{brief(axis, 80)}'; take {', '.join(NAMED_AXES)}{has}{example}"
            )
        if not given:
            raise NnmeterError(f"{model.source}: axis '{axis}' is given no size; give one or more")
    points = 1
    for given in axes.values():
        points *= len(given)
    if points > MOST_POINTS:
        raise NnmeterError(f"{model.source}: {points} combinations of sizes are too many; give {MOST_POINTS} at most")


def parse_sizes(text: str) -> tuple[int, ...]:
    """Sizes as a command line has them: `1,2,8`, `128:256:32`, `1:32:*2`, or several of these with commas.

    The end of a range is one of its sizes, where a step meets it. 0 is a size: of the cache before the first token.

    Raises:
        ValueError: it is none of these; the message says what is wrong.
    """
    found: list[int] = []
    for part in text.split(","):
        pieces = part.strip().split(":")
        if len(pieces) == 1:
            found.append(_whole(pieces[0]))
            continue
        if len(pieces) > 3:
            raise ValueError(f"'{brief(part, 40)}' is no range; give FIRST:LAST, FIRST:LAST:STEP or FIRST:LAST:*FACTOR")
        size, last = _whole(pieces[0]), _whole(pieces[1])
        step = pieces[2] if len(pieces) == 3 else "1"
        by = _whole(step.removeprefix("*"), 1)
        if step.startswith("*") and not size:
            raise ValueError(f"'{brief(part, 40)}' cannot grow from 0 by a factor; give the 0 before it, with a comma")
        if step.startswith("*") and by < 2:
            raise ValueError(f"a range cannot grow by a factor of {by}; give 2 or more")
        if size > last:
            raise ValueError(f"'{brief(part, 40)}' ends before it begins; give the smaller size first")
        while size <= last:
            found.append(size)
            if len(found) > MOST_POINTS:
                raise ValueError(f"'{brief(part, 40)}' has more than {MOST_POINTS} sizes; give a larger step")
            size = size * by if step.startswith("*") else size + by
    return tuple(dict.fromkeys(found))


def _whole(text: str, least: int = 0) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 13) or not least <= int(text) <= _LARGEST:
        raise ValueError(f"'{brief(text, 40)}' is no size; give a whole number from {least} on")
    return int(text)
