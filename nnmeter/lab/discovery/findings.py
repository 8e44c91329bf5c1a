"""What was found out about each test, by each source, and how far the sources agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnmeter.lab.discovery.catalogue import FusionTest
from nnmeter.lab.discovery.counting import KernelCount
from nnmeter.lab.discovery.decision import Estimate, Verdict

BLACK_BOX, WHITE_BOX, SHIPPED = "timings", "executed graph", "shipped rules"


@dataclass(frozen=True)
class Finding:
    """One test.

    Attributes:
        test: what was tried.
        size: index into `SIZES` of the models that the verdicts are about.
        estimate: from timings; None if it was not timed.
        executed: from the runtime's own executed graph; None if it has none or was not asked.
        foreseen: from the rules that ship; None if there are none.
        fault: why the test could not be made; "" if it could.
    """

    test: FusionTest
    size: int = 0
    estimate: Estimate | None = None
    executed: KernelCount | None = None
    foreseen: KernelCount | None = None
    fault: str = ""

    def verdict(self, source: str) -> Verdict | None:
        """What one source says; None if it says nothing."""
        evidence = _SOURCES[source](self)
        return None if evidence is None else evidence.verdict

    @property
    def best(self) -> tuple[Verdict, str] | None:
        """The verdict to go by, and its source: the executed graph's where there is one, else what timings say."""
        for source in (WHITE_BOX, BLACK_BOX):
            verdict = self.verdict(source)
            if verdict is not None:
                return verdict, source
        return None


_SOURCES: dict[str, Callable[[Finding], Estimate | KernelCount | None]] = {
    BLACK_BOX: lambda finding: finding.estimate,
    WHITE_BOX: lambda finding: finding.executed,
    SHIPPED: lambda finding: finding.foreseen,
}


@dataclass(frozen=True)
class Agreement:
    """How often two sources say the same where both have decided."""

    first: str
    second: str
    agreed: int
    compared: int
    disagreements: tuple[str, ...]

    @property
    def share(self) -> float:
        """Share of the compared tests on which they agree; 1 where none was compared."""
        return self.agreed / self.compared if self.compared else 1.0


@dataclass(frozen=True)
class Discovery:
    """All findings on one device."""

    runtime: str
    runtime_version: str
    threads: int
    seed: int
    findings: tuple[Finding, ...]
    elapsed_s: float = 0.0
    restlessness: float = 0.0
    rules_name: str = ""
    fingerprint: Mapping[str, Any] = field(default_factory=dict)

    def count(self, source: str, verdict: Verdict) -> int:
        """How many tests a source says this of."""
        return sum(1 for finding in self.findings if finding.verdict(source) is verdict)

    @property
    def undecided_share(self) -> float:
        """Share of the tests that timings were to decide and did not; 0 where nothing was timed."""
        made = [finding for finding in self.findings if not finding.fault]
        if not any(finding.estimate for finding in made):
            return 0.0
        return sum(not _has_decided(finding, BLACK_BOX) for finding in made) / len(made)

    @property
    def agreements(self) -> list[Agreement]:
        """Every pair of sources that have decided something."""
        pairs = ((BLACK_BOX, WHITE_BOX), (BLACK_BOX, SHIPPED), (WHITE_BOX, SHIPPED))
        found = [_compare(self.findings, first, second) for first, second in pairs]
        return [agreement for agreement in found if agreement.compared]


def _compare(findings: Sequence[Finding], first: str, second: str) -> Agreement:
    both = [f for f in findings if _has_decided(f, first) and _has_decided(f, second)]
    differing = tuple(f.test.name for f in both if f.verdict(first) is not f.verdict(second))
    return Agreement(first, second, len(both) - len(differing), len(both), differing)


def _has_decided(finding: Finding, source: str) -> bool:
    verdict = finding.verdict(source)
    return verdict is not None and verdict.decided
