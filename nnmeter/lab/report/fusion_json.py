"""What was found out about a device's fusion rules, as JSON."""

from __future__ import annotations

from typing import Any

from nnmeter.lab.discovery.decision import CONFIDENCE
from nnmeter.lab.discovery.findings import Discovery
from nnmeter.lab.discovery.ruleset import evidence_of
from nnmeter.report.documents import to_json
from nnmeter.report.registry import Layout


def render(discovery: Discovery, layout: Layout) -> str:
    """Every test with its evidence, and how the sources agree."""
    return to_json(fusion_to_dict(discovery))


def fusion_to_dict(discovery: Discovery) -> dict[str, Any]:
    """The findings as JSON data."""
    return {
        "schema_version": 1,
        "runtime": discovery.runtime,
        "runtime_version": discovery.runtime_version,
        "threads": discovery.threads,
        "seed": discovery.seed,
        "seconds": round(discovery.elapsed_s, 1),
        "restlessness": round(discovery.restlessness, 3),
        "confidence": CONFIDENCE,
        "compared_with": discovery.rules_name,
        "fingerprint": dict(discovery.fingerprint),
        "undecided_share": round(discovery.undecided_share, 4),
        "agreements": [
            {
                "sources": [agreement.first, agreement.second],
                "agreed": agreement.agreed,
                "compared": agreement.compared,
                "share": round(agreement.share, 4),
                "disagreements": list(agreement.disagreements),
            }
            for agreement in discovery.agreements
        ],
        "tests": [evidence_of(finding) for finding in discovery.findings],
    }
