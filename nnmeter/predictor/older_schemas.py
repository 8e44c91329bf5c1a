"""Predictors that older versions wrote, brought to the schema of this one.

Rules:

1. Schemas 1 and 2 named what was sampled `family:operator|element type`. The family goes below the anchor: entries of
   several families that share an anchor, as dense, grouped and depthwise convolutions do, stay entries of their own.
   The alias of an operator's correction was such a name too; it was always of the operator's own family, and is an
   anchor now.
2. Schema 1 had no rates of operators; an entry without rates has even ones in all schemas.
3. Packs from before the last of `RANGE_FEATURES` have ranges that are one shorter: what they do not say is not known.
4. The time of an inference that no kernel accounts for was `inference_ms`, and a roofline's launch `overhead_ms`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nnmeter.kernels.anchor import Kind
from nnmeter.predictor.checks import damaged, mapping, member, sequence, text
from nnmeter.predictor.vocabulary import RANGE_FEATURES


def upgraded(document: Mapping[str, Any], version: int) -> Mapping[str, Any]:
    """The document of schema 3 that says what one of schema `version` does.

    Raises:
        DeviceError: a name of the document is not what its schema says.
    """
    if version >= 3:
        return document
    found = dict(document)
    found["overhead_ms"] = found.pop("inference_ms", None)
    roofline = found["roofline"] = dict(mapping(member(document, "roofline"), "roofline"))
    roofline["launch_ms"] = roofline.pop("overhead_ms", None)
    anchors: dict[str, dict[str, Any]] = {}
    for name, entry in mapping(member(document, "anchors"), "anchors").items():
        family, code, count, sigma, low, high, *rates = sequence(entry, f"anchor '{name}'", 6, 7)
        ranges = [_with_all_limits(limits, name) for limits in (low, high)]
        kind = _kind(name)
        if family != kind.family:
            raise damaged(f"anchor '{name}' says that its family is {family!r:.40}")
        anchors.setdefault(str(kind.anchor), {})[kind.family] = [code, count, sigma, *ranges, *rates]
    found["anchors"] = anchors
    if "corrections" in document:
        found["corrections"] = [
            _upgraded_correction(mapping(correction, "a correction"))
            for correction in sequence(document["corrections"], "corrections")
        ]
    return found


def _upgraded_correction(correction: Mapping[str, Any]) -> dict[str, Any]:
    operators: dict[str, dict[str, Any]] = {}
    for name, entry in mapping(member(correction, "operators"), "operators").items():
        kind = _kind(name)
        offset, sigma, learned, alias = sequence(entry, f"correction of '{name}'", 4)
        if text(alias, name):
            stand_in = _kind(alias)
            if stand_in.family != kind.family:
                raise damaged(f"'{name}' stands under an operator of another family, '{alias}'")
            alias = str(stand_in.anchor)
        operators.setdefault(str(kind.anchor), {})[kind.family] = [offset, sigma, learned, alias]
    return {**correction, "operators": operators}


def _kind(name: str) -> Kind:
    try:
        return Kind.parse(name)
    except ValueError as fault:
        raise damaged(str(fault)) from None


def _with_all_limits(limits: Any, name: str) -> list[Any]:
    """One end of a sampled range, with null for what it does not say (rule 3)."""
    known = list(sequence(limits, f"the sampled range of '{name}'"))
    return [*known, None] if len(known) == len(RANGE_FEATURES) - 1 else known
