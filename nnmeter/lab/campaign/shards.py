"""A campaign in shards: several machines of one kind measure a part each, and the parts become one campaign.

Rules:

1. Shard `i` of `n` (from 1) has seeds of its own, `SHARD_SEEDS` of them, so no network is measured twice; and of the
   probes every n-th, so that all of them are measured once. Each shard is a campaign: planned, killed, resumed and
   verified as any other.
2. Shards of one campaign agree in their first seed, in `n` and in the device. None stands twice; one may be missing.
3. In the merged campaign all times are in the state of the first shard's machine, as those of several campaigns are
   when they are trained on together (`Measurement.at_reference`).
4. What is merged is checked first (`nnmeter.lab.campaign.verification`), and nobody measures into it meanwhile. The
   merged directory appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.files import temporary_prefix, write_whole
from nnmeter.lab.campaign.directory import REFUSED_FILE, STATE_FILE, read_state, refused_entries
from nnmeter.lab.campaign.planning import Plan, read_plans, write_plans
from nnmeter.lab.campaign.verification import verify_measurements
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.measuring.lock import DirectoryLock
from nnmeter.lab.measuring.store import next_seed, part_files, part_path, part_range, read_measurements
from nnmeter.lab.measuring.store import write_measurements as write_part

SHARD_SEEDS = 10_000_000  # rule 1: a network takes a tenth of a second at least, so this is eleven days
MOST_SHARDS = 100_000


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of a campaign a machine measures.

    Attributes:
        number: of the shard, from 1.
        count: of shards.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count <= MOST_SHARDS:
            raise MeasurementError(
                f"shard {self.number}/{self.count} is none; give i/n with i from 1 to n, and n up to {MOST_SHARDS}"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `2/8`.

        Raises:
            MeasurementError: it is none.
        """
        match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text, re.ASCII)
        if match is None:
            raise MeasurementError(f"{text!r:.40} is no shard; give i/n, such as 2/8 for the second of eight")
        return cls(int(match[1]), int(match[2]))

    def first_seed(self, seed: int) -> int:
        """The first seed of the shard, of a campaign whose first seed is `seed` (rule 1)."""
        return seed + (self.number - 1) * SHARD_SEEDS

    def probe(self, place: int) -> int:
        """Which probe the network at a place of the shard is (rule 1)."""
        return place * self.count + self.number - 1

    def share_of(self, probes: int) -> int:
        """How many of all probes the shard measures (rule 1)."""
        return len(range(self.number - 1, probes, self.count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True, slots=True)
class Merged:
    """What `merge_shards` made.

    Attributes:
        path: of the merged campaign.
        shards: numbers of its shards.
        missing: numbers of those that are not there.
        networks: measured in all.
        refused: seeds that gave no measurement.
    """

    path: str
    shards: tuple[int, ...]
    missing: tuple[int, ...]
    networks: int
    refused: int


@dataclass(frozen=True, slots=True)
class _Part:
    """One shard on disk."""

    path: Path
    shard: Shard
    first: int
    state: dict[str, Any]


def merge_shards(sources: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]) -> Merged:
    """Make one campaign of shards (rules 2 to 4).

    Args:
        sources: directories of shards, or folders that hold them.
        out: directory of the merged campaign, which must not be there.

    Raises:
        MeasurementError: `out` is there, a source is no shard or damaged or being measured, or they do not belong
            together.
    """
    target = Path(out)
    if os.path.lexists(target):
        raise MeasurementError(f"{target}: exists already; give another directory for the merged campaign")
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        directories = [shard for source in sources for shard in _shards_in(Path(source))]
        for directory in directories:
            stack.enter_context(DirectoryLock(directory))
        parts = sorted((_read_part(directory) for directory in directories), key=lambda part: part.shard.number)
        _check_together(parts)
        folder = tempfile.mkdtemp(prefix=temporary_prefix(target), dir=target.parent)
        try:
            networks, refused = _write(parts, Path(folder))
            os.chmod(folder, 0o777 & ~_umask())
            os.rename(folder, target)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    found = [part.shard.number for part in parts]
    missing = sorted(set(range(1, parts[0].shard.count + 1)) - set(found))
    return Merged(str(target), tuple(found), tuple(missing), networks, refused)


def _shards_in(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        raise MeasurementError(f"{place}: is no directory; give one that `nnmeter profile --shard` wrote")
    if (place / STATE_FILE).exists() or part_files(place):
        yield place
        return
    found = sorted(entry for entry in place.iterdir() if (entry / STATE_FILE).is_file())
    if not found:
        raise MeasurementError(f"{place}: holds no campaign; give directories that `nnmeter profile --shard` wrote")
    yield from found


def _read_part(directory: Path) -> _Part:
    state = read_state(directory / STATE_FILE)
    told = state.get("shard")
    if "segments" in state:
        raise MeasurementError(f"{directory}: is merged already; give the shards that it was merged from")
    if told is None:
        raise MeasurementError(f"{directory}: is a whole campaign, no shard; `nnmeter train` takes several of them")
    if not part_files(directory):
        raise MeasurementError(f"{directory}: nothing is measured yet; leave it out, or go on with it first")
    found = verify_measurements(directory)
    if found.problems:
        raise MeasurementError(f"{directory}: {found.problems[0]}; `nnmeter profile --verify` names all problems")
    return _Part(directory, Shard(*told), state["seed"], state)


def _check_together(parts: Sequence[_Part]) -> None:
    """Rule 2."""
    first = parts[0]
    for before, part in pairwise(parts):
        if (part.shard.count, _base(part)) != (first.shard.count, _base(first)):
            raise MeasurementError(
                f"{part.path}: shard {part.shard} from seed {_base(part)} does not belong to shard {first.shard} from "
                f"seed {_base(first)} in {first.path}; merge shards of one campaign"
            )
        if part.shard.number == before.shard.number:
            raise MeasurementError(f"{part.path}: is shard {part.shard}, as {before.path} is; give one of them")
        if identity(part.state["fingerprint"]) != identity(first.state["fingerprint"]):
            raise MeasurementError(
                f"{part.path}: measured on another device than {first.path}; merge each device on its own"
            )
    for part in parts:
        if next_seed(part.path, part.first) > part.first + SHARD_SEEDS:
            raise MeasurementError(f"{part.path}: has seeds of the shard behind it; leave it out")


def _base(part: _Part) -> int:
    return int(part.first - (part.shard.number - 1) * SHARD_SEEDS)


def _write(parts: Sequence[_Part], folder: Path) -> tuple[int, int]:
    """Writes the merged campaign; the number of its networks and of its refused seeds."""
    fingerprint = parts[0].state["fingerprint"]
    nominal_ms = fingerprint["reference_ms"]
    plans: list[Plan] = []
    refused: list[str] = []
    networks = 0
    for part in parts:
        for file in part_files(part.path):
            rows, _ = read_measurements(file)
            seeds = part_range(file)
            write_part(
                part_path(folder, seeds.start, seeds.stop), [row.at_reference(nominal_ms) for row in rows], fingerprint
            )
            networks += len(rows)
        plans += read_plans(part.path)
        refused += [json.dumps(entry) for entry in refused_entries(part.path).values()]
    write_plans(folder, plans)
    write_whole(folder / REFUSED_FILE, "".join(f"{line}\n" for line in refused))
    state = {**parts[0].state, "segments": [part.first for part in parts]}
    state.pop("shard")
    write_whole(folder / STATE_FILE, json.dumps(state, indent=2) + "\n")
    return networks, len(refused)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
