"""Predictions that were saved: what `nnmeter predict --format json` wrote, read back.

Rules:

1. A file is a saved prediction if it is a JSON object with a `schema_version`, `kernels` and a `latency_ms`, or a list
   with one such object; graphs in JSON have neither.
2. What a comparison needs is checked member by member; the first that is missing or of another kind is named.
3. What came with later versions (`signature`, `errors`) must be there: the file is to be written again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from nnmeter.errors import DeviceError, ModelError, brief
from nnmeter.files import open_regular, parse_json, read_limited
from nnmeter.graph.notes import Note
from nnmeter.kernels.anchor import Kind
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.limits import MAX_JSON_BYTES
from nnmeter.prediction.interval import Coverage, Interval
from nnmeter.prediction.prediction import SCHEMA_VERSION, Prediction
from nnmeter.prediction.priced_kernel import PricedKernel
from nnmeter.predictor.intervals import IntervalModel
from nnmeter.predictor.price import SIGMA_PER_DOUBLING, KernelPrice, Source

_LARGEST = 1e300
_BEGINNING = 64  # bytes, in which something other than blanks must be
_AGAIN = "write it again with `nnmeter predict MODEL --format json`"


def is_saved_prediction(path: str | os.PathLike[str]) -> bool:
    """Whether a file looks like a saved prediction (rule 1); False where it cannot be read."""
    return _document(path) is not None


def read_prediction(path: str | os.PathLike[str]) -> Prediction:
    """The prediction that a file holds.

    Raises:
        ModelError: the file is no saved prediction, is damaged, or was written by another version.
    """
    document = _document(path)
    if document is None:
        raise ModelError(f"{path}: no prediction that `nnmeter predict --format json` wrote; give such a file")
    return prediction_from_dict(document, os.fspath(path))


def _document(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """The object of a file (rule 1); of a file that does not begin as one, no more than the beginning is read."""
    try:
        with open_regular(path) as stream:
            beginning = stream.read(_BEGINNING).lstrip()[:1]
        content = parse_json(read_limited(path, MAX_JSON_BYTES)) if beginning in (b"{", b"[") else None
    except (OSError, ValueError):
        return None
    if isinstance(content, list) and content and all(map(_looks_saved, content)):
        if len(content) > 1:
            raise ModelError(f"{path}: {len(content)} predictions; save one for each file")
        content = content[0]
    return content if _looks_saved(content) else None


def _looks_saved(content: Any) -> bool:
    return isinstance(content, dict) and {"schema_version", "kernels", "latency_ms"} <= content.keys()


def prediction_from_dict(document: dict[str, Any], source: str) -> Prediction:
    """The prediction that `Prediction.to_dict` described.

    Args:
        document: what it described.
        source: where it is from, for messages.

    Raises:
        ModelError: a member is missing or is not what it should be.
    """
    if document["schema_version"] != SCHEMA_VERSION:
        raise ModelError(
            f"{source}: schema {brief(repr(document['schema_version']), 40)} is of another version; {_AGAIN}"
        )
    read = _Reader(source)
    low, high = read.list(document, "interval_ms", read.number, 2)
    confidence = read.member(document, "confidence", read.number)
    coverage = read.member(document, "coverage", read.mapping)
    errors = read.member(document, "errors", read.mapping)
    try:
        model = IntervalModel.from_dict(errors)
    except DeviceError as fault:
        raise ModelError(f"{source}: errors: {brief(fault, 200)}; {_AGAIN}") from None
    dims = read.mapping(document.get("dims") or {}, "dims")
    return Prediction(
        read.member(document, "model", read.text),
        read.member(document, "device", read.text),
        read.member(document, "latency_ms", read.positive),
        Interval(low, high, confidence),
        confidence,
        Coverage(read.member(coverage, "trained", read.number), read.member(coverage, "fallback", read.number)),
        tuple([_kernel(entry, read) for entry in read.list(document, "kernels", read.mapping)]),
        read.number(document.get("overhead_ms", 0.0), "overhead_ms"),
        tuple([Note(text, "unknown") for text in read.list(document, "warnings", read.text)]),
        {name: int(read.number(size, f"dims.{name}")) for name, size in dims.items()},
        errors=model,
    )


def _kernel(entry: dict[str, Any], read: _Reader) -> PricedKernel:
    latency_ms = read.member(entry, "latency_ms", read.number)
    source: Source = "trained" if read.member(entry, "source", read.text) == "trained" else "fallback"
    sigma, unsampled = read.member(entry, "sigma", read.number), read.member(entry, "unsampled_sigma", read.number)
    flops, size = int(read.member(entry, "flops", read.number)), int(read.member(entry, "bytes", read.number))
    text = read.member(entry, "signature", read.text)
    try:
        signature = KernelSignature.from_json(text)
        hash(signature)  # fails where an attribute is no number, word or list of these
        kind = Kind.parse(read.member(entry, "kind", read.text))
    except ModelError:
        raise
    except Exception:  # whatever the text is instead: it is of a stranger
        raise ModelError(f"{read.source}: signature or kind of a kernel is damaged; {_AGAIN}") from None
    path = "not sampled" if source == "trained" and unsampled >= sigma > 0 else ""
    price = KernelPrice(
        latency_ms, source, sigma, 0.0 if path else unsampled / SIGMA_PER_DOUBLING, kind, flops, size, path
    )
    return PricedKernel(
        read.member(entry, "name", read.text),
        read.member(entry, "type", read.text),
        latency_ms,
        source,
        tuple(read.list(entry, "nodes", read.text)),
        flops,
        size,
        price.distance,
        operator=read.member(entry, "operator", read.text),
        place=_place_of(read.member(entry, "module", read.text)),
        signature=signature,
        price=price,
        runs=int(read.member(entry, "runs", read.number)),
        parameters=int(read.number(entry.get("parameters", 0), "parameters")),
    )


def _place_of(module: str) -> str:
    """A place that `module_name` reads as this module: its parts in a path, as rule 3 of `modules` has it."""
    if not module:
        return ""
    return "".join(f"/{part}" for part in module.split(".")) + "/-" if "/" not in module else f"{module}/-"


class _Reader:
    """Reads members of JSON objects, and says of the first that is not what it should be (rules 2 and 3)."""

    def __init__(self, source: str) -> None:
        self.source = source

    def member(self, document: dict[str, Any], name: str, read: Callable[[Any, str], Any]) -> Any:
        if name not in document:
            raise ModelError(f"{self.source}: '{name}' is missing in this saved prediction; {_AGAIN}")
        return read(document[name], name)

    def list(self, document: dict[str, Any], name: str, read: Callable[[Any, str], Any], count: int = 0) -> list[Any]:
        values = self.member(document, name, lambda value, _: value)
        if not isinstance(values, list) or (count and len(values) != count):
            raise self._wrong(name, "a list")
        return [read(value, name) for value in values]

    def number(self, value: Any, name: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LARGEST:
            raise self._wrong(name, "a number from 0 on")
        return float(value)

    def positive(self, value: Any, name: str) -> float:
        if self.number(value, name) <= 0:
            raise self._wrong(name, "a number above 0")
        return float(value)

    def text(self, value: Any, name: str) -> str:
        if not isinstance(value, str):
            raise self._wrong(name, "a text")
        return value

    def mapping(self, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return value

    def _wrong(self, name: str, kind: str) -> ModelError:
        return ModelError(f"{self.source}: '{name}' is not {kind} in this saved prediction; {_AGAIN}")
