"""The check of what a campaign, or a session of models, left on disk.

1. Every file can be read, is of this schema, and all are of one device.
2. Ids are unique, and in a campaign agree with granularity and network.
3. Rows are what every verb asks of them (`nnmeter.lab.measuring.validation`). Those whose time is absurd for their
   kernels, which other verbs leave out, are told and are no problem.
4. In a campaign they were taken, too: there are runs, and both halves have a time. Times that others took and published
   have neither.
5. The parts of a campaign follow each other without gap or overlap, but that each of merged shards begins where it
   does, with plans of its own (`nnmeter.lab.campaign.shards`). Each seed of their ranges is a row or stands in
   `refused.jsonl`, not both; rows are in the order of their seeds, and each has the recipe that the plan has for it,
   unless it was cut out of a model (`nnmeter.lab.campaign.cuts`) or is in the place of a probe and like one: on a slow
   machine a plan is made before all probes are measured.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nnmeter.errors import MeasurementError
from nnmeter.files import whole_number
from nnmeter.lab.campaign.bench import PROBES
from nnmeter.lab.campaign.cuts import FAMILY
from nnmeter.lab.campaign.directory import STATE_FILE, read_state, refused_seeds
from nnmeter.lab.campaign.planning import Plan, plan_for, read_plans
from nnmeter.lab.campaign.probes import probes
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import part_files, part_range, read_unchecked
from nnmeter.lab.measuring.validation import faults_of_row, split_outliers


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """What `verify_measurements` found.

    Attributes:
        path: file or directory.
        files: number of measurement files.
        measurements: number of rows that could be read.
        kernels: number of kernels of all rows.
        refused: number of seeds that gave no row.
        problems: what is wrong, one line each; empty if nothing is.
        left_out: ids of rows that other verbs leave out, for no machine takes such a time for their kernels.
    """

    path: str
    files: int
    measurements: int
    kernels: int
    refused: int
    problems: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    @property
    def found(self) -> str:
        """What there was to check, in words."""
        return f"{self.files} files, {self.measurements} networks, {self.kernels} kernels, {self.refused} refused"


def verify_measurements(path: str | os.PathLike[str]) -> VerificationReport:
    """Checks a measurement file, or the directory of a campaign, by the rules of this module.

    Raises:
        MeasurementError: there is nothing at `path`.
    """
    place = Path(path)
    files = [place] if place.is_file() else part_files(place)
    if not files:
        raise MeasurementError(
            f"{place}: no measurements here; give a .parquet file or a directory that `nnmeter profile` wrote"
        )
    campaign = _CampaignRecord(place) if place.is_dir() else None
    problems: list[str] = []
    ids: Counter[str] = Counter()
    kernels = 0
    devices = set()
    sound: list[Measurement] = []
    for file in files:
        try:
            rows, fingerprint = read_unchecked(file)
        except MeasurementError as fault:
            problems.append(str(fault))
            rows = []
        else:
            devices.add(identity(fingerprint))
        ids.update(row.id for row in rows)
        kernels += sum(len(row.kernels) for row in rows)
        for row in rows:
            faults = [*faults_of_row(row), *(_faults_in_a_campaign(row) if campaign else ())]
            problems += [f"{file.name}: {row.id}: {fault}" for fault in faults]
            if not faults:
                sound.append(row)
        if campaign:
            problems += [f"{file.name}: {fault}" for fault in campaign.faults_of_part(file, rows)]
    if len(devices) > 1:
        problems.append(f"{place}: its parts are of {len(devices)} devices")
    problems += [f"{name}: stands {count} times" for name, count in ids.items() if count > 1]
    refused = len(campaign.refused) if campaign else 0
    lines = tuple(["".join(c if c.isprintable() else " " for c in problem) for problem in problems])
    left_out = tuple(row.id for row in split_outliers(sound)[1])
    return VerificationReport(str(place), len(files), ids.total(), kernels, refused, lines, left_out)


def _faults_in_a_campaign(row: Measurement) -> Iterator[str]:
    """Rules 2 and 4."""
    own = f"{row.granularity}:{row.network}"
    if row.id != own and not row.id.startswith(f"{own}@"):  # what was measured again has its sitting behind it
        yield f"is of the network {row.network!r}"
    if row.runs < 1 or not all(time > 0 for time in row.half_ms):
        yield f"it has {row.runs} runs and halves of {row.half_ms[0]} and {row.half_ms[1]} ms"


class _CampaignRecord:
    """What a campaign's directory says of its seeds; parts are shown to it in their order."""

    def __init__(self, directory: Path) -> None:
        self.refused = refused_seeds(directory)
        self._plans: list[Plan] = read_plans(directory)
        self._first, self._segments = _seeds_of(directory)
        self._begin = 0  # of the segment that the parts are in
        self._expected: int | None = None

    def _is_probe(self, seed: int, family: str) -> bool:
        begin = self._begin or self._first
        return seed - begin < PROBES and family in {recipe for _, recipe in probes()[:PROBES]}

    def faults_of_part(self, file: Path, rows: Sequence[Measurement]) -> Iterator[str]:
        """Rule 5."""
        seeds = part_range(file)
        follows = self._expected is None or seeds.start == self._expected
        if seeds.start in self._segments and (follows or seeds.start > (self._expected or 0)):
            self._begin, follows = seeds.start, True
        if not follows:
            yield f"begins at seed {seeds.start}, but the part before it ends at {self._expected}"
        self._expected = seeds.stop
        found = []
        plans = [plan for plan in self._plans if plan.first_seed >= self._begin]
        for row in rows:
            number = whole_number(row.network.rpartition("-")[2])
            if number is None or number not in seeds:
                yield f"{row.id}: does not belong to seeds {seeds.start} to {seeds.stop - 1}"
                continue
            found.append(number)
            plan = plan_for(plans, found[-1])
            planned = not row.family.startswith(FAMILY) and not self._is_probe(found[-1], row.family)
            if plan is not None and planned and plan.recipe_of(found[-1]) != row.family:
                yield f"{row.id}: the plan has {plan.recipe_of(found[-1])} for it"
        if found != sorted(found):
            yield "seeds are out of order"
        both = sorted(set(found) & self.refused)
        if both:
            yield f"seeds {_few(both)} are both measured and refused"
        neither = sorted(set(seeds) - set(found) - self.refused)
        if neither:
            yield f"seeds {_few(neither)} are neither measured nor refused"


def _seeds_of(directory: Path) -> tuple[int, frozenset[int]]:
    """First seed of a campaign, and those of its shards, where it was merged; zero and none where it does not say."""
    if not (directory / STATE_FILE).exists():
        return 0, frozenset()
    state = read_state(directory / STATE_FILE)
    return state["seed"], frozenset(state.get("segments", ()))


def _few(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds[:5])) + (f" and {len(seeds) - 5} more" if len(seeds) > 5 else "")
