"""The campaign: every test of the catalogue is made, and made again until it is decided or the time is used up.

1. Tests are made in groups that share models; a group's models are live together and timed in sweeps (`bench`).
2. A round is `ROUND_SWEEPS` sweeps over models compiled for it. After each the tests that are decided leave the group;
   the others go on.
3. `STEPS` says in which order and with how many rounds at most: all tests; those still undecided, afresh and in smaller
   groups, at another time; and those whose smaller operator takes too little time to tell, with larger models. The
   verdicts of all sources are about the models of the last size.
4. A step ends when its share of the budget is used up, a group when its share of the step's time is, counted by tests;
   time that is left goes to the others.
5. The time stands above all: when it is used up, what is left is not timed, and counts as undecided. Kernels are
   counted all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.lab.discovery.bench import Bench, ModelKey, models_of
from nnmeter.lab.discovery.catalogue import SIZES, TESTS, FusionTest
from nnmeter.lab.discovery.counting import compare_kernels
from nnmeter.lab.discovery.decision import LEAST_SWEEPS, Estimate, Verdict, estimate_share
from nnmeter.lab.discovery.findings import Discovery, Finding
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.measuring.protocol import Clock, Stopwatch, no_garbage_collection
from nnmeter.lab.runtimes.base import RuntimeAdapter

ROUND_SWEEPS = 32
GROUP_TESTS = 10


class Step(NamedTuple):
    """One step of a campaign (rule 3): size of the models, most rounds, and the share of the budget at its end."""

    size: int
    rounds: int
    budget_share: float


STEPS = (Step(0, 4, 0.5), Step(0, 12, 0.8), Step(1, 6, 0.9), Step(2, 6, 1.0))

Progress = Callable[[str, int, int], None]


@dataclass
class _Setting:
    """What all tests of a campaign share."""

    runtime: RuntimeAdapter
    threads: int
    rules: FusionRules | None
    seed: int
    white_box: bool
    stopwatch: Stopwatch | None
    clock: Clock
    rng: np.random.Generator


def discover_fusion(
    runtime: RuntimeAdapter,
    threads: int = 1,
    budget_s: float = 300.0,
    tests: Sequence[FusionTest] = TESTS,
    *,
    black_box: bool = True,
    white_box: bool = True,
    shipped: FusionRules | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    clock: Clock = time.perf_counter,
) -> Discovery:
    """Finds out which operators a runtime makes one kernel of.

    Args:
        runtime: the adapter of the runtime.
        threads: threads that execute a model.
        budget_s: seconds for all of it; the sweep or compilation in hand is finished.
        tests: what to try.
        black_box: compare times.
        white_box: ask the runtime for the kernels that it executes.
        shipped: rules to compare with.
        seed: of weights, inputs, the order of runs and the bootstrap.
        progress: called with a line of text, tests finished and tests in all.
        clock: seconds, ever growing.

    Raises:
        MeasurementError: the runtime refuses every model, or `white_box` alone was asked of a runtime that does not
            tell what it executes.
    """
    started = clock()
    stopwatch = Stopwatch(runtime, clock) if black_box else None
    setting = _Setting(runtime, threads, shipped, seed, white_box, stopwatch, clock, np.random.default_rng(seed))
    tell = progress or (lambda *_: None)
    found: dict[FusionTest, Finding] = {}
    restlessness = 0.0
    try:
        for number, step in enumerate(STEPS if black_box else STEPS[:1]):
            limit = started + budget_s * step.budget_share
            waiting = [test for test in tests if number == 0 or _is_wanted(found[test], step)]
            while waiting and not (number and clock() >= limit):
                group, waiting = waiting[:GROUP_TESTS], waiting[GROUP_TESTS:]
                done = sum(not _is_open(finding) for finding in found.values()) if black_box else len(found)
                tell(f"step {number + 1} of {len(STEPS)}: {group[0].name}", done, len(tests))
                left_s = max(limit - clock(), 0.0)
                deadline = clock() + left_s * len(group) / (len(group) + len(waiting))
                for finding in _make_group(group, step, setting, deadline):
                    if number == 0 or _has_enough(finding):
                        found[finding.test] = finding
    finally:
        if stopwatch is not None:
            restlessness = stopwatch.restlessness()
            stopwatch.close()
    findings = tuple(found[test] for test in tests)
    _check(findings, runtime, white_box, black_box)
    return Discovery(
        runtime=runtime.name,
        runtime_version=runtime.version(),
        threads=threads,
        seed=seed,
        findings=findings,
        elapsed_s=clock() - started,
        restlessness=restlessness,
        rules_name=shipped.name if shipped else "",
        fingerprint=take_fingerprint(runtime.name, runtime.version(), threads, runtime.device_settings(threads)),
    )


def _is_open(finding: Finding) -> bool:
    """Whether timings have not decided a test that they could decide."""
    return not finding.fault and (finding.estimate is None or finding.estimate.verdict is Verdict.UNDECIDED)


def _is_wanted(finding: Finding, step: Step) -> bool:
    """Whether a later step makes a test again (rule 3): larger models help only where the operator is too small."""
    too_small = finding.estimate is not None and finding.estimate.too_small
    return _is_open(finding) and (step.size == 0 or too_small)


def _has_enough(finding: Finding) -> bool:
    """Whether a test that was made again tells more than before: its time was not cut short."""
    return finding.estimate is not None and finding.estimate.sweeps >= LEAST_SWEEPS


def _make_group(tests: Sequence[FusionTest], step: Step, setting: _Setting, deadline: float) -> list[Finding]:
    """Findings of some tests at one size (rules 1, 2 and 4)."""
    with Bench(setting.runtime, setting.threads, SIZES[step.size], setting.seed, setting.rules) as bench:
        findings = [_compile_test(test, step.size, bench, setting) for test in tests]
        if setting.stopwatch is not None and setting.clock() < deadline:
            live = [finding.test for finding in findings if not finding.fault]
            estimates = _time_tests(live, step, bench, setting.stopwatch, setting, deadline)
            findings = [replace(finding, estimate=estimates.get(finding.test)) for finding in findings]
    return findings


def _compile_test(test: FusionTest, size: int, bench: Bench, setting: _Setting) -> Finding:
    """A finding with the kernels of all models, or with the reason why there are no models."""
    models = models_of(test)
    branches = SIZES[size]["N"]
    try:
        for key in models.values():
            bench.add(key, setting.white_box)
    except NnmeterError as fault:
        return Finding(test, size, fault=str(fault))
    executed = foreseen = None
    if setting.white_box and bench.tells:
        executed = compare_kernels({role: bench.executed[key] for role, key in models.items()}, branches)
    if setting.rules is not None:
        foreseen = compare_kernels({role: bench.foreseen[key] for role, key in models.items()}, branches)
    return Finding(test, size, None, executed, foreseen)


def _time_tests(
    tests: Sequence[FusionTest], step: Step, bench: Bench, stopwatch: Stopwatch, setting: _Setting, deadline: float
) -> dict[FusionTest, Estimate]:
    """Rounds until every test is decided, the step's rounds are over, or the deadline is (rules 2 and 4)."""
    models: dict[FusionTest, dict[str, ModelKey]] = {test: models_of(test) for test in tests}
    estimates: dict[FusionTest, Estimate] = {}
    active = list(tests)
    for number in range(step.rounds):
        keys = [key for test in active for key in models[test].values()]
        if number:
            bench.renew(keys, number)
        with no_garbage_collection():
            for sweep in range(ROUND_SWEEPS):
                if sweep and setting.clock() >= deadline:
                    break
                bench.sweep(keys, stopwatch, setting.clock, setting.rng)
        for test in active:
            times = {role: bench.times_ms(key) for role, key in models[test].items()}
            estimates[test] = estimate_share(times, SIZES[step.size]["N"], number + 1, setting.seed)
        active = [test for test in active if estimates[test].verdict is Verdict.UNDECIDED]
        if not active or setting.clock() >= deadline:
            break
    return estimates


def _check(findings: Sequence[Finding], runtime: RuntimeAdapter, white_box: bool, black_box: bool) -> None:
    faults = [finding.fault for finding in findings if finding.fault]
    if findings and len(faults) == len(findings):
        raise MeasurementError(f"{runtime.name} refuses all models of the catalogue: {faults[0]}")
    if white_box and not black_box and not any(finding.executed for finding in findings):
        raise MeasurementError(
            f"{runtime.name} does not tell what it executes; find its fusion rules from timings (--black-box)"
        )
