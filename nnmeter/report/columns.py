"""The columns of a report with a row a prediction: only what differs between the rows, and what was predicted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nnmeter.report.numbers import format_bytes, format_share, time_unit
from nnmeter.report.outside import summarize_outside

if TYPE_CHECKING:
    from nnmeter.prediction.prediction import Prediction


@dataclass(frozen=True)
class Column:
    """One column: its heading, how it is laid out (`nnmeter.report.text`), and the cell of a prediction."""

    heading: str
    kind: str
    cell: Callable[[Prediction], str]


def columns_of(predictions: Sequence[Prediction]) -> list[Column]:
    """The columns for these predictions.

    Models have a column unless it is one model with several rows, devices and sizes have one if they differ.
    """
    models = {p.model for p in predictions}
    devices = {p.device for p in predictions}
    swept = swept_dims(predictions)
    confidence = f"{round(100 * predictions[0].confidence)} % interval"
    unit = time_unit([p.latency_ms for p in predictions])
    columns = []
    if len(models) > 1 or len(predictions) == 1:
        columns.append(Column("model", "n", lambda p: p.model))
    columns += [
        Column(name, "r", lambda p, name=name: str(p.dims.get(name, "")))  # type: ignore[misc]
        for name in swept
    ]
    if len(devices) > 1:
        columns.append(Column("device", "l", lambda p: p.device))
    if not columns:
        columns.append(Column("model", "n", lambda p: p.model))
    return [
        *columns,
        Column(unit.name, "r", lambda p: unit.format(p.latency_ms)),
        Column(confidence, "r", lambda p: unit.format_interval(p.interval_ms)),
        Column("trained", "r", lambda p: format_share(p.coverage["trained"])),
        Column("kernels", "r", lambda p: str(len(p.kernels))),
        *([Column("memory", "r", _memory_cell)] if any(p.memory is not None for p in predictions) else []),
        Column("outside", "t", outside_cell),
    ]


def _memory_cell(prediction: Prediction) -> str:
    return "" if prediction.memory is None else format_bytes(prediction.memory.peak_bytes)


def heading_of(predictions: Sequence[Prediction]) -> str:
    """What all rows have in common: the model, sizes, the device."""
    models = list(dict.fromkeys(p.model for p in predictions))
    devices = list(dict.fromkeys(p.device for p in predictions))
    sizes = {name: size for name, size in predictions[0].dims.items() if name not in swept_dims(predictions)}
    words = []
    if len(models) == 1 and len(predictions) > 1:
        words.append(f"{models[0]}{f' ({format_dims(sizes)})' if sizes else ''}")
    if len(devices) == 1:
        words.append(f"on {devices[0]}")
    return " ".join(words)


def swept_dims(predictions: Sequence[Prediction]) -> list[str]:
    """The dimensions whose sizes differ between predictions, in the order given."""
    names = dict.fromkeys(name for p in predictions for name in p.dims)
    return [name for name in names if len({p.dims.get(name) for p in predictions}) > 1]


def format_dims(dims: object) -> str:
    """Sizes as `batch=4 seq=128`."""
    return " ".join(f"{name}={size}" for name, size in dict(dims).items())  # type: ignore[call-overload]


def outside_cell(prediction: Prediction) -> str:
    """The types outside of the trained range behind their share of the time; empty where there are none."""
    groups = summarize_outside(prediction.kernels)
    if not groups:
        return ""
    return f"{format_share(prediction.outside_share)}: {', '.join(dict.fromkeys(group.type for group in groups))}"


def label_of(prediction: Prediction, predictions: Sequence[Prediction]) -> str:
    """What tells a prediction from the others, for a warning."""
    words = [prediction.model]
    sizes = {name: prediction.dims[name] for name in swept_dims(predictions) if name in prediction.dims}
    if sizes:
        words.append(format_dims(sizes))
    if len({p.device for p in predictions}) > 1:
        words.append(f"on {prediction.device}")
    return " ".join(words)
