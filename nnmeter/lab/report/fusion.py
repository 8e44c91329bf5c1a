"""What was found out about a device's fusion rules: verdicts by source, their agreement, and where they differ."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from nnmeter.lab.discovery.decision import CONFIDENCE, Verdict
from nnmeter.lab.discovery.findings import BLACK_BOX, SHIPPED, WHITE_BOX, Discovery, Finding
from nnmeter.lab.discovery.ruleset import evidence_of
from nnmeter.report.render import Layout
from nnmeter.report.text import Text

_HEADINGS = ("test", BLACK_BOX, "share saved", WHITE_BOX, SHIPPED, "kernels")

# Relative spread of the reference above which a machine is not quiet (`Stopwatch.restlessness`).
RESTLESS = 0.2


def render_fusion(discovery: Discovery, report_format: str, layout: Layout) -> str:
    """The findings in one of `FUSION_FORMATS`."""
    return FUSION_FORMATS[report_format](discovery, layout)


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


def _json(discovery: Discovery, layout: Layout) -> str:
    return json.dumps(fusion_to_dict(discovery), indent=2, ensure_ascii=False) + "\n"


def _markdown(discovery: Discovery, layout: Layout) -> str:
    from nnmeter.report.markdown import markdown_table

    lines = [f"## Fusion rules of {_device(discovery)}", "", " ".join(_summary(discovery)), ""]
    lines += markdown_table(_HEADINGS, "llrlll", [_cells(finding) for finding in discovery.findings])
    differing = _differing(discovery)
    if differing:
        lines += ["", "Where the sources differ:", "", *(f"- {line}" for line in differing)]
    return "\n".join(lines) + "\n"


def _table(discovery: Discovery, layout: Layout) -> str:
    text = Text(layout.width, layout.colour)
    text.add(f"fusion rules of {text.bold(_device(discovery))}")
    text.add_table(_HEADINGS, "llrllt", [[_cells(finding) for finding in discovery.findings]])
    for sentence in _summary(discovery):
        text.add_wrapped(sentence)
    differing = _differing(discovery)
    if differing:
        text.add("where the sources differ:")
        for line in differing:
            text.add(f"  {line}")
    faults = [f"{finding.test.name}: {finding.fault}" for finding in discovery.findings if finding.fault]
    text.add_warnings(faults)
    return str(text)


FUSION_FORMATS: dict[str, Callable[[Discovery, Layout], str]] = {"table": _table, "json": _json, "md": _markdown}


def _device(discovery: Discovery) -> str:
    threads = "1 thread" if discovery.threads == 1 else f"{discovery.threads} threads"
    return f"{discovery.runtime} {discovery.runtime_version}, {threads}"


def _summary(discovery: Discovery) -> list[str]:
    """A sentence for each source, and for each pair of sources."""
    lines = [f"{len(discovery.findings)} tests in {discovery.elapsed_s:.0f} s."]
    if discovery.restlessness > RESTLESS:
        lines.append("The machine was not quiet: other processes ran while it was timed.")
    for source in (BLACK_BOX, WHITE_BOX, SHIPPED):
        said = Counter(verdict.value for f in discovery.findings if (verdict := f.verdict(source)) is not None)
        if said:
            counts = ", ".join(f"{said[verdict.value]} {verdict.value}" for verdict in Verdict if said[verdict.value])
            lines.append(f"By {source}: {counts}.")
    if discovery.count(BLACK_BOX, Verdict.FUSED) + discovery.count(BLACK_BOX, Verdict.SEPARATE):
        lines.append(f"Undecided by {BLACK_BOX}: {100 * discovery.undecided_share:.1f} % of the tests.")
    lines += [
        f"{a.first.capitalize()} and {a.second} agree on {a.agreed} of {a.compared} tests that both decide "
        f"({100 * a.share:.1f} %)."
        for a in discovery.agreements
    ]
    return lines


def _differing(discovery: Discovery) -> list[str]:
    """A line for each test on which two sources that have decided differ."""
    names = dict.fromkeys(name for agreement in discovery.agreements for name in agreement.disagreements)
    of_name = {finding.test.name: finding for finding in discovery.findings}
    lines = []
    for name in names:
        finding = of_name[name]
        said = [f"{source}: {v.value}" for source in (BLACK_BOX, WHITE_BOX, SHIPPED) if (v := finding.verdict(source))]
        lines.append(f"{name}: {', '.join(said)}{_kernels_clause(finding)}")
    return lines


def _kernels_clause(finding: Finding) -> str:
    return f" ({', '.join(finding.executed.kernels)})" if finding.executed and finding.executed.kernels else ""


def _cells(finding: Finding) -> tuple[str, ...]:
    share = "-"
    if finding.estimate is not None:
        low, high = finding.estimate.interval
        share = "too small" if finding.estimate.too_small else f"{low:.2f} .. {high:.2f}"
    kernels = ", ".join(finding.executed.kernels) if finding.executed else ""
    verdicts = {source: verdict.value if (verdict := finding.verdict(source)) else "-" for source in
                (BLACK_BOX, WHITE_BOX, SHIPPED)}  # fmt: skip
    return finding.test.name, verdicts[BLACK_BOX], share, verdicts[WHITE_BOX], verdicts[SHIPPED], kernels
