"""Measurements as messages, and what a message of the far side must be before anything is done with it.

The far side may be any machine, or none of ours: what it says is checked as a file of measurements is
(`nnmeter.lab.measuring.validation`), and besides against what was asked of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import MeasurementError, brief
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.validation import faults_of_row, read_signature

Message = dict[str, Any]

_TEXTS = ("id", "granularity", "network", "family", "sitting")
_TIMES = ("latency_ms", "min_ms", "median_ms", "p90_ms", "reference_ms")
_COUNTS = ("runs", "threads", "batch", "kernel_runs")
_MOST_KERNELS = 100_000
_MOST_TEXT = 400


def row_to_message(row: Measurement) -> Message:
    """A measurement as JSON has it; equal kernels are named once."""
    texts: dict[str, int] = {}
    places = [texts.setdefault(kernel.to_json(), len(texts)) for kernel in row.kernels]
    content = {field.name: getattr(row, field.name) for field in dataclasses.fields(row) if field.name != "kernels"}
    return {**content, "kernels": places, "signatures": list(texts)}


def row_of_message(message: Any, **asked: Any) -> Measurement:
    """The measurement that a message is.

    Args:
        message: from `row_to_message`.
        asked: what fields of it must be.

    Raises:
        MeasurementError: it is no measurement, or not the one that was asked for.
    """
    if not isinstance(message, dict):
        raise MeasurementError("what came is no measurement")
    try:
        texts = {name: _typed(message, name, str) for name in _TEXTS}
        times = {name: _number(message, name) for name in _TIMES}
        counts = {name: _typed(message, name, int) for name in _COUNTS}
        half_ms = _numbers(message, "half_ms")
        known = [read_signature(text) for text in _list(message, "signatures")]
        kernels = tuple(known[place] for place in map(_index, _list(message, "kernels")))
        plain: dict[str, Any] = {**texts, **times, **counts}
        row = Measurement(
            kernels=kernels,
            half_ms=(half_ms[0], half_ms[1]),
            kernel_ms=_numbers(message, "kernel_ms"),
            kernel_spread=_numbers(message, "kernel_spread"),
            **plain,
        )
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as fault:
        raise MeasurementError(f"what came is no measurement ({brief(fault, 160)})") from fault
    wrong = next(faults_of_row(row), None)
    if wrong is None and any(len(text) > _MOST_TEXT for text in texts.values()):
        wrong = "its names are too long"
    if wrong:
        raise MeasurementError(f"what came is no measurement: {wrong}")
    for name, value in asked.items():
        if getattr(row, name) != value:
            raise MeasurementError(f"what came has the {name} {getattr(row, name)!r:.80}, and {value!r:.80} was asked")
    return row


def fingerprint_of_message(message: Any, runtime: str, threads: int, date: str) -> dict[str, Any]:
    """The fingerprint that a far side tells, with the date of this machine: its own clock may be wrong.

    Raises:
        MeasurementError: it is none, or of another runtime or number of threads than was asked for.
    """
    fault = next(faults_of_fingerprint(message), None)
    if fault is None and (message.get("runtime"), message.get("threads")) != (runtime, threads):
        fault = "its fingerprint is of another runtime or number of threads"
    if fault is None and not isinstance(message.get("runtime_version"), str):
        fault = "its fingerprint does not say the version of the runtime"
    if fault:
        raise MeasurementError(fault)
    return {**message, "date": date}


def text_of(value: Any) -> str:
    """A text of the far side, fit to be shown."""
    return brief("".join(c if c.isprintable() else " " for c in str(value)), _MOST_TEXT)


def positive_ms(value: Any) -> float:
    """Milliseconds that a far side tells.

    Raises:
        MeasurementError: they are none.
    """
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise MeasurementError(f"the time of the reference is {value!r:.40}")
    return float(value)


def _typed(message: Mapping[str, Any], name: str, kind: type) -> Any:
    value = message[name]
    if type(value) is not kind:
        raise ValueError(f"'{name}' is {value!r:.60}")
    return value


def _number(message: Mapping[str, Any], name: str) -> float:
    value = message[name]
    if type(value) not in (int, float):
        raise ValueError(f"'{name}' is {value!r:.60}")
    return float(value)


def _list(message: Mapping[str, Any], name: str) -> list[Any]:
    values = message[name]
    if not isinstance(values, list) or len(values) > _MOST_KERNELS:
        raise ValueError(f"'{name}' is {values!r:.60}")
    return values


def _numbers(message: Mapping[str, Any], name: str) -> tuple[float, ...]:
    values = _list(message, name)
    if not all(type(value) in (int, float) for value in values):
        raise ValueError(f"'{name}' is {values!r:.60}")
    return tuple(map(float, values))


def _index(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a kernel is {value!r:.60}")
    return value
