"""The directory of a campaign: everything that lets it be killed at any moment and go on.

| file | what it holds |
|---|---|
| `part-<first>-<next>.parquet` | the measured networks of a range of seeds (`nnmeter.lab.measuring.store`) |
| `campaign.json` | first seed and fingerprint, written before anything is measured |
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
from pathlib import Path
from types import TracebackType
from typing import Any

from nnmeter.errors import MeasurementError
from nnmeter.files import write_whole
from nnmeter.lab.measuring.fingerprint import identity, take_fingerprint
from nnmeter.lab.measuring.lock import DirectoryLock
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import Stopwatch
from nnmeter.lab.measuring.store import part_files, read_measurements
from nnmeter.lab.runtimes.base import RuntimeAdapter

STATE_FILE, REFUSED_FILE, IN_HAND_FILE = "campaign.json", "refused.jsonl", "in_hand"
_SCHEMA_VERSION = 1


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
        self, runtime: RuntimeAdapter, threads: int, seed: int, resume: bool, stopwatch: Stopwatch
    ) -> dict[str, Any]:
        """The campaign's first seed, and its fingerprint with the nominal reference time; made if there is none.

        Raises:
            MeasurementError: there is a campaign and `resume` is false, or one of another device, or a damaged one.
        """
        path = self.path / STATE_FILE
        fingerprint = take_fingerprint(runtime.name, runtime.version(), threads, runtime.device_settings(threads))
        if path.exists() or part_files(self.path):
            if not resume:
                raise MeasurementError(
                    f"{self.path}: holds a campaign already; give another directory, or resume it (--resume)"
                )
            state = _read_state(path)
            if identity(state["fingerprint"]) != identity(fingerprint):
                raise MeasurementError(
                    f"{self.path}: its campaign was measured on another device; give another directory"
                )
            self._skip_seed_in_hand()
            return state
        fingerprint["reference_ms"] = stopwatch.nominal_ms()
        state = {"schema_version": _SCHEMA_VERSION, "seed": seed, "fingerprint": fingerprint}
        write_whole(path, json.dumps(state, indent=2) + "\n")
        return state

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
        with open(self.path / REFUSED_FILE, "ab+") as stream:
            torn = stream.tell() > 0 and stream.seek(-1, os.SEEK_END) >= 0 and stream.read(1) != b"\n"
            line = json.dumps({"seed": seed, "reason": reason})
            stream.write(f"{chr(10) if torn else ''}{line}\n".encode())

    def refused_seeds(self) -> set[int]:
        """The seeds that are not to be tried again."""
        return refused_seeds(self.path)

    def _skip_seed_in_hand(self) -> None:
        path = self.path / IN_HAND_FILE
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return
        if text.isdigit() and int(text) not in self.refused_seeds():
            self.log_refused(int(text), "died: the process ended while it was measured")
        path.unlink()


def refused_seeds(directory: Path) -> set[int]:
    """The seeds in a campaign's `refused.jsonl`; lines that were cut off are passed over."""
    try:
        lines = (directory / REFUSED_FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    found = set()
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            found.add(int(json.loads(line)["seed"]))
    return found


def _read_state(path: Path) -> dict[str, Any]:
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        if state["schema_version"] != _SCHEMA_VERSION:
            raise MeasurementError(
                f"{path}: schema {state['schema_version']}, this version reads {_SCHEMA_VERSION}; update nnmeter"
            )
        if not isinstance(state["seed"], int) or not state["fingerprint"]["reference_ms"] > 0:
            raise ValueError("seed or reference_ms")
    except (OSError, ValueError, KeyError, TypeError) as fault:
        if isinstance(fault, MeasurementError):
            raise
        raise MeasurementError(
            f"{path}: missing or damaged ({fault}); restore it, or begin in a new directory"
        ) from fault
    return dict(state)
