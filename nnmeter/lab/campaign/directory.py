"""The directory of a campaign: everything that lets it be killed at any moment and go on.

| file | what it holds |
|---|---|
| `part-<first>-<next>.parquet` | the measured networks of a range of seeds (`nnmeter.lab.measuring.store`) |
| `campaign.json` | first seed and fingerprint, written before anything is measured; which shard, or of which, it is |
| `plan.json` | which recipe each seed has (`nnmeter.lab.campaign.planning`) |
| `refused.jsonl` | seeds that gave no measurement, and why |
| `in_hand` | the seed that is being measured; if a process dies with it, the next one skips it |
| `lock` | held by the process that measures (`nnmeter.lab.measuring.lock`) |

Every file but `refused.jsonl` is written whole or not at all; of that one the last line may be torn, and is then not
counted.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import MeasurementError, brief
from nnmeter.files import parse_json, read_limited, whole_number, write_whole
from nnmeter.lab.measuring.fingerprint import identity
from nnmeter.lab.measuring.lock import DirectoryLock
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.store import part_files, read_measurements
from nnmeter.limits import MAX_JSON_BYTES

STATE_FILE, REFUSED_FILE, IN_HAND_FILE = "campaign.json", "refused.jsonl", "in_hand"
_SCHEMA_VERSION = 1
_MOST_IN_HAND = 64  # bytes of a number
_DIED = "died"


class CampaignDirectory:
    """A campaign's files; as a context manager it holds the lock."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._lock = DirectoryLock(self.path)

    def __enter__(self) -> CampaignDirectory:
        """Makes the directory, locks it, and removes what killed processes left unfinished."""
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock.__enter__()
        for name in os.listdir(self.path):
            # `write_whole` puts a dot before and a random suffix behind the name of the file that it writes.
            if name.startswith((".part-", f".{STATE_FILE}.", ".plan.json.", f".{IN_HAND_FILE}.")):
                os.unlink(self.path / name)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unlocks it."""
        self._lock.__exit__(kind, error, trace)

    def open_state(
        self,
        fingerprint: dict[str, Any],
        seed: int,
        resume: bool,
        nominal_ms: Callable[[], float],
        shard: tuple[int, int] | None = None,
    ) -> dict[str, Any]:
        """The campaign's first seed, and its fingerprint with the nominal reference time; made if there is none.

        Args:
            fingerprint: of the device that is going to be measured.
            seed: the first one.
            resume: whether there may be a campaign already.
            nominal_ms: times the reference, where there is none.
            shard: number of the shard and of all shards, where this is one.

        Raises:
            MeasurementError: there is a campaign and `resume` is false, or one of another device, or a damaged one, or
                another shard, or shards that were merged.
        """
        path = self.path / STATE_FILE
        if path.exists() or part_files(self.path):
            if not resume:
                raise MeasurementError(
                    f"{self.path}: holds a campaign already; give another directory, or resume it (--resume)"
                )
            state = read_state(path)
            if "segments" in state:
                raise MeasurementError(f"{self.path}: was merged from shards; go on with these, and merge them anew")
            if state.get("shard") != (list(shard) if shard else None):
                raise MeasurementError(
                    f"{self.path}: holds {_what(state.get('shard'))}, not {_what(shard)}; "
                    "give another directory, or the --shard that it is of"
                )
            if identity(state["fingerprint"]) != identity(fingerprint):
                raise MeasurementError(
                    f"{self.path}: its campaign was measured on another device; give another directory"
                )
            self._skip_seed_in_hand()
            return state
        return write_state(self.path, seed, {**fingerprint, "reference_ms": nominal_ms()}, shard)

    def measurements(self) -> list[Measurement]:
        """All that was measured before, in the order of the seeds.

        A last part that a loss of power left damaged is set aside as `<name>.damaged`; its seeds are measured again.

        Raises:
            MeasurementError: an earlier part is damaged, or parts are of several devices.
        """
        parts = part_files(self.path)
        if not parts:
            return []
        try:
            read_measurements(parts[-1])
        except MeasurementError:
            os.replace(parts[-1], parts[-1].with_suffix(".damaged"))
            return self.measurements()
        return read_measurements(self.path)[0]

    def take_in_hand(self, seed: int) -> None:
        """Notes the seed that is about to be measured."""
        write_whole(self.path / IN_HAND_FILE, str(seed))

    def let_go(self) -> None:
        """Notes that none is."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path / IN_HAND_FILE)

    def log_refused(self, seed: int, reason: str) -> None:
        """Notes a seed that gives no measurement. A torn last line is ended first."""
        path = self.path / REFUSED_FILE
        if path.exists() and not path.is_file():
            raise MeasurementError(f"{path}: is no regular file; remove it")
        with open(path, "ab+") as stream:
            torn = stream.tell() > 0 and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"
            line = json.dumps({"seed": seed, "reason": reason})
            stream.write(f"{chr(10) if torn else ''}{line}\n".encode())

    def refused_seeds(self) -> set[int]:
        """The seeds that are not to be tried again."""
        return refused_seeds(self.path)

    def deaths(self) -> int:
        """How many networks have ended the process that measured them."""
        return sum(str(e.get("reason", "")).startswith(_DIED) for e in refused_entries(self.path).values())

    def _skip_seed_in_hand(self) -> None:
        path = self.path / IN_HAND_FILE
        try:
            text = read_limited(path, _MOST_IN_HAND).decode("utf-8", "replace")
        except FileNotFoundError:
            return
        seed = whole_number(text)
        if seed is not None and seed not in self.refused_seeds():
            self.log_refused(seed, f"{_DIED}: the process ended while it was measured")
        path.unlink()


def refused_seeds(directory: Path) -> set[int]:
    """The seeds in a campaign's `refused.jsonl`."""
    return set(refused_entries(directory))


def refused_entries(directory: Path) -> dict[int, dict[str, Any]]:
    """Each entry of a campaign's `refused.jsonl` by its seed; lines that were cut off are passed over."""
    try:
        lines = read_limited(directory / REFUSED_FILE, MAX_JSON_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return {}
    found: dict[int, dict[str, Any]] = {}
    for line in lines:
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        seed = entry.get("seed") if isinstance(entry, dict) else None
        if isinstance(seed, int):
            found.setdefault(seed, entry)
    return found


def write_state(
    directory: Path, seed: int, fingerprint: Mapping[str, Any], shard: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Writes the `campaign.json` of a campaign in which nothing is measured yet; what it says.

    Args:
        directory: the campaign's.
        seed: the first one.
        fingerprint: of the device, with the nominal time of the reference, `reference_ms`.
        shard: number of the shard and of all shards, where it is one.
    """
    state = {"schema_version": _SCHEMA_VERSION, "seed": seed, "fingerprint": dict(fingerprint)}
    if shard:
        state["shard"] = list(shard)
    write_whole(directory / STATE_FILE, json.dumps(state, indent=2) + "\n")
    return state


def read_state(path: Path) -> dict[str, Any]:
    """What a campaign's `campaign.json` says.

    Raises:
        MeasurementError: it is missing, damaged or of another version.
    """
    try:
        state = parse_json(read_limited(path, MAX_JSON_BYTES))
    except (OSError, ValueError) as fault:
        raise _damaged(path, brief(fault)) from fault
    if not isinstance(state, dict):
        raise _damaged(path, "it is no object")
    if state.get("schema_version") != _SCHEMA_VERSION:
        raise MeasurementError(
            f"{path}: schema {state.get('schema_version')!r:.40}, this version reads {_SCHEMA_VERSION}; update nnmeter"
        )
    fingerprint = state.get("fingerprint")
    nominal_ms = fingerprint.get("reference_ms") if isinstance(fingerprint, dict) else None
    if not isinstance(state.get("seed"), int):
        raise _damaged(path, "its seed is no whole number")
    for name, least in (("shard", 2), ("segments", 1)):
        numbers = state.get(name, [0] * least)
        if not isinstance(numbers, list) or len(numbers) < least or not all(type(n) is int and n >= 0 for n in numbers):
            raise _damaged(path, f"its {name} is {numbers!r:.40}")
    if len(state.get("shard", [])) > 2:
        raise _damaged(path, "its shard has more than two numbers")
    wrong = next(faults_of_fingerprint(fingerprint), None)
    if wrong is not None or nominal_ms is None:
        raise _damaged(path, wrong or "its fingerprint has no reference_ms")
    return state


def _what(shard: Sequence[int] | None) -> str:
    return f"shard {shard[0]}/{shard[1]}" if shard else "a whole campaign"


def _damaged(path: Path, fault: str) -> MeasurementError:
    return MeasurementError(f"{path}: missing or damaged ({brief(fault)}); restore it, or begin in a new directory")
