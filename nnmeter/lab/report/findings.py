"""What was found out about a device's fusion rules: what the renderers share."""

from __future__ import annotations

from collections import Counter

from nnmeter.lab.discovery.decision import Verdict
from nnmeter.lab.discovery.findings import BLACK_BOX, SHIPPED, WHITE_BOX, Discovery, Finding

HEADINGS = ("test", BLACK_BOX, "share saved", WHITE_BOX, SHIPPED, "kernels")

# Relative spread of the reference above which a machine is not quiet (`Stopwatch.restlessness`).
RESTLESS = 0.2


def device_name(discovery: Discovery) -> str:
    """Runtime, version and threads."""
    threads = "1 thread" if discovery.threads == 1 else f"{discovery.threads} threads"
    return f"{discovery.runtime} {discovery.runtime_version}, {threads}"


def summary(discovery: Discovery) -> list[str]:
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


def differing(discovery: Discovery) -> list[str]:
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


def cells(finding: Finding) -> tuple[str, ...]:
    """A row of the table, in the order of `HEADINGS`."""
    share = "-"
    if finding.estimate is not None:
        low, high = finding.estimate.interval
        share = "too small" if finding.estimate.too_small else f"{low:.2f} .. {high:.2f}"
    kernels = ", ".join(finding.executed.kernels) if finding.executed else ""
    verdicts = {source: verdict.value if (verdict := finding.verdict(source)) else "-" for source in
                (BLACK_BOX, WHITE_BOX, SHIPPED)}  # fmt: skip
    return finding.test.name, verdicts[BLACK_BOX], share, verdicts[WHITE_BOX], verdicts[SHIPPED], kernels
