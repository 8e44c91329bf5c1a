"""Published latencies as measurements: what is stated is kept, and what is not stated is not made up.

Rules:

1. `latency_ms` is the published time. No reference kernel was timed beside it, so it is neither corrected nor can it
   be: `reference_ms` is a nominal 1 for all, and the fingerprint says so.
2. `median_ms` repeats the published time, for corrected and uncorrected time are one here. `min_ms` and `p90_ms` are
   NaN, `runs` is 0 where the number of runs is not stated, and `half_ms` is (0, 0) unless the time was published twice
   or more.
3. `sitting` is the name of the data set.
4. A device has a fingerprint with the fields that tell devices apart (nnmeter/lab/measuring/fingerprint.py), the fusion
   rules that its kernels were detected with, and where the times come from.
5. Every row of a data set is imported or refused for each device that was asked for, and the report counts both. What
   is imported is a measurement by what every verb asks of one, and no two of a device have one id.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.validation import faults_of_row

NOMINAL_REFERENCE_MS = 1.0
_NO_REFERENCE = "none: times are as published, and reference_ms is a nominal 1"
_EXAMPLES = 3


@dataclass(frozen=True)
class Source:
    """Where published times come from.

    Attributes:
        name: name of the data set, under which it is imported.
        title: what it is called by its authors.
        url: where it is published.
        license: SPDX identifier.
        year: of publication; when times were taken is not known more exactly.
    """

    name: str
    title: str
    url: str
    license: str
    year: int


@dataclass(frozen=True)
class PublishedDevice:
    """A device whose times are published.

    Attributes:
        name: id of the device.
        hardware: processor and the thing that it is in.
        kind: cpu, gpu or vpu.
        runtime, version: what executed the networks; "unknown" where it is not stated.
        rules: fusion rules, a rule set of the package.
        threads: threads that executed one network.
        precision: element type of the computation.
        parameters: parameters of the rules that differ from the rule set's own.
        facts: what else its fingerprint says, by field.
    """

    name: str
    hardware: str
    kind: str
    runtime: str
    version: str
    rules: str
    threads: int = 1
    precision: str = "float32"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self, source: Source, rules: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """The fingerprint of measurements on this device (rule 4).

        Args:
            source: where they come from.
            rules: name or path of the rules that kernels were detected with.
            parameters: all parameters of these rules.
        """
        return {
            "cpu": self.hardware,
            "kind": self.kind,
            "device": self.name,
            "runtime": self.runtime,
            "runtime_version": self.version,
            "threads": self.threads,
            "precision": self.precision,
            "date": f"{source.year} (published)",
            "reference": _NO_REFERENCE,
            "fusion_rules": rules,
            "fusion_parameters": dict(parameters),
            "published": {
                "name": source.name, "title": source.title, "url": source.url, "license": source.license,
            },
            **self.facts,
        }  # fmt: skip


def published_measurement(
    source: Source,
    device: PublishedDevice,
    id: str,
    granularity: str,
    network: str,
    family: str,
    kernels: Sequence[KernelSignature],
    latency_ms: float,
    repeats_ms: Sequence[float] = (),
    runs: int = 0,
    batch: int = 1,
) -> Measurement:
    """A published time as a measurement (rules 1 to 3).

    Args:
        source: the data set.
        device: where it was taken.
        id: unique in the file.
        granularity: kernel, block or model.
        network: name of the network.
        family: its architecture family.
        kernels: its kernels in an order of execution.
        latency_ms: the published time.
        repeats_ms: times of independent measurements of the same network, of which the published one is the mean.
        runs: number of runs behind it, 0 if not stated.
        batch: leading dimension of the input.
    """
    half = len(repeats_ms) // 2
    halves = (math.fsum(repeats_ms[:half]) / half, math.fsum(repeats_ms[-half:]) / half) if half else (0.0, 0.0)
    return Measurement(
        id=id,
        granularity=granularity,
        network=network,
        family=family,
        kernels=tuple(kernels),
        latency_ms=latency_ms,
        min_ms=math.nan,
        median_ms=latency_ms,
        p90_ms=math.nan,
        runs=runs,
        reference_ms=NOMINAL_REFERENCE_MS,
        half_ms=halves,
        threads=device.threads,
        batch=batch,
        sitting=source.name,
    )


@dataclass
class Imported:
    """What an importer made of a data set.

    Attributes:
        source: the data set.
        measurements: by name of the device.
        fingerprints: by name of the device.
        rows: number of rows that concern a device, by its name.
        refused: how many of them were refused, by device and reason.
        examples: some of the rows that were refused, by reason.
        passed_over: files and tables that hold nothing for the devices asked for, each with the reason.
    """

    source: Source
    measurements: dict[str, list[Measurement]] = field(default_factory=dict)
    fingerprints: dict[str, dict[str, Any]] = field(default_factory=dict)
    rows: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)
    passed_over: dict[str, str] = field(default_factory=dict)
    _ids: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def refuse(self, device: str, reason: str, row: str, count: int = 1) -> None:
        """Count a row that is not imported."""
        self.rows[device] += count
        self.refused.setdefault(device, Counter())[reason] += count
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES and row not in examples:
            examples.append(row)

    def accept(self, device: str, measurement: Measurement, rows: int = 1) -> None:
        """Keep a measurement, which stands for that many rows; refuse it if it is none (rule 5)."""
        wrong = next(faults_of_row(measurement), None)
        seen = self._ids.setdefault(device, set())
        if wrong is None and measurement.id in seen:
            wrong = "another row has the same name"
        if wrong is not None:
            self.refuse(device, f"the row is no measurement: {wrong}", measurement.id, rows)
            return
        seen.add(measurement.id)
        self.rows[device] += rows
        self.measurements.setdefault(device, []).append(measurement)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON data: rows of each device, imported and refused by reason."""
        return {
            "schema_version": 1,
            "dataset": self.source.name,
            "published": {"title": self.source.title, "url": self.source.url, "license": self.source.license},
            "devices": {
                name: {
                    "rows": self.rows[name],
                    "imported_rows": self.rows[name] - sum(self.refused.get(name, Counter()).values()),
                    "measurements": len(self.measurements.get(name, ())),
                    "refused": dict(self.refused.get(name, Counter()).most_common()),
                }
                for name in self.fingerprints
            },
            "examples": self.examples,
            "passed_over": self.passed_over,
        }
