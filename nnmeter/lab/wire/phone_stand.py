"""Models of the user, timed on a phone that adb reaches: a kit of them alone, carried there and back.

1. The kit (`nnmeter.lab.kit.build.make_kit_of_models`) lies in a folder that is gone in the end; what carries and runs
   it is that of a campaign (`phone_campaign`).
2. Its large weights are random ones that the models share, as in every kit.
3. Times are corrected by the reference product that the kit runs beside them, to its own median. So they cannot be
   added to the file of an earlier session, which has another one.
4. What the phone says of itself is known when it has run: `fingerprint` has it from then on.
5. A model of which the runtime's program fails is refused with its last line.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import read_limited
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from nnmeter.lab.kit.build import make_kit_of_models
from nnmeter.lab.kit.runtimes import runtime_of_kit
from nnmeter.lab.measuring.interruption import MeasuringInterrupted
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import Progress
from nnmeter.lab.measuring.stand import Executed, Refused
from nnmeter.lab.measuring.store import part_files, read_measurements
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.phone_campaign import Phone

_MOST_TEXT = 1 << 16
_SILENT = "the kit brought no time of it back"


class PhoneStand:
    """A runtime's own program on a phone (`nnmeter.lab.measuring.stand.Stand`)."""

    def __init__(self, board: Board, directory: Path) -> None:
        self._board, self._directory = board, directory
        self._phone = Phone(board, directory)
        device = MeasuredDevice(name=self._phone.device_name(), runtime=self._phone.runtime, threads=board.threads or 1)
        self._fingerprint = device.fingerprint(["kit"], "", {})

    def fingerprint(self) -> dict[str, Any]:
        """Of the phone (rule 4)."""
        return dict(self._fingerprint)

    def reference_ms(self) -> float:
        """There is none that an earlier session could share (rule 3)."""
        raise MeasurementError(
            f"{self._board.shown}: times of a phone have the reference of their own kit; give another file"
        )

    def measure(
        self,
        models: Sequence[str | os.PathLike[str]],
        sizes: InputSizes,
        families: Mapping[str, str] | None,
        passes: int,
        seconds_per_pass: float,
        reference_ms: float | None,
        progress: Progress | None,
        refused: Refused,
        executed: Executed,
    ) -> Sequence[Measurement]:
        """There (rules 1 to 5)."""
        tell = progress or (lambda *_: None)
        paths = _names([Path(model) for model in models])
        kit = make_kit_of_models(
            self._directory / "kit",
            self._phone.runtime,
            paths,
            sizes,
            passes,
            seconds_per_pass,
            threads=self._board.threads or 1,
        )

        def show(latest: CampaignProgress) -> None:
            number = latest.network.removeprefix("row ")
            if number.isdecimal():
                tell(latest.network, int(number), kit.rows)

        reason = _SILENT
        interrupted = False
        try:
            self._phone.measure(kit.path, _budget_s(kit.path), show)
        except KeyboardInterrupt:
            interrupted = True
        except MeasurementError as fault:
            if not (kit.path / "results" / "rows").is_dir():
                raise
            reason = str(fault)
        rows = self._rows(paths, families or {})
        failed = _failures(kit.path)
        for name, path in paths.items():
            if name not in rows and not interrupted:
                refused(str(path), MeasurementError(f"{path}: {self._phone.runtime} on {self._board.shown}: "
                                                    f"{failed.get(name, reason)}"))  # fmt: skip
        for name, row in rows.items():  # rows have no names of kernels
            executed(
                paths[name], [Kernel(f"{row.network}:{i}", signature, ()) for i, signature in enumerate(row.kernels)]
            )
        if interrupted:
            raise MeasuringInterrupted(list(rows.values()))
        return list(rows.values())

    def _rows(self, paths: Mapping[str, Path], families: Mapping[str, str]) -> dict[str, Measurement]:
        """The measurements by their names in the kit, with their own names and families, in the order of models."""
        if not part_files(self._directory):
            return {}
        found, self._fingerprint = read_measurements(self._directory)
        by_name = {row.network: row for row in found if row.granularity == "model"}
        return {
            name: replace(by_name[name], id=f"model:{path.stem}", network=path.stem, family=families.get(path.name, ""))
            for name, path in paths.items()
            if name in by_name
        }


@contextmanager
def open_phone_stand(board: Board, keeps_free: bool = False, append: bool = False) -> Iterator[PhoneStand]:
    """A phone, and a folder for its kit.

    Args:
        board: the phone, with its runtime and threads.
        keeps_free: refused: the models of a kit have their sizes.
        append: refused, by rule 3.

    Raises:
        MeasurementError: it cannot be reached, or no kit is made for the runtime.
    """
    if keeps_free:
        raise MeasurementError(f"{board.shown}: the models of a kit have their sizes; leave --session free away")
    if append:
        raise MeasurementError(
            f"{board.shown}: times of a phone have the reference of their own kit and cannot be added to a file; "
            "give another one with --out"
        )
    runtime_of_kit(board.runtime or "onnxruntime")
    with tempfile.TemporaryDirectory(prefix="nnmeter-phone-") as folder:
        yield PhoneStand(board, Path(folder))


def _names(paths: Sequence[Path]) -> dict[str, Path]:
    """Each model by the name that the kit has for it, in letters that shells and phones take."""
    found: dict[str, Path] = {}
    for number, path in enumerate(paths, 1):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-._")[:100]
        found[plain if plain and plain not in found and plain != "reference" else f"{plain or 'model'}-{number}"] = path
    return found


def _budget_s(kit: Path) -> float:
    return float((kit / "budget").read_text())


def _failures(kit: Path) -> dict[str, str]:
    """Why the program failed, by network (rule 5)."""
    found: dict[str, str] = {}
    for line in (kit / "plan.txt").read_text(encoding="ascii").splitlines():
        number, _, network, _ = line.split()
        place = kit / "results" / "rows" / number / "failed"
        if place.is_file():
            said = read_limited(place, _MOST_TEXT, follow=False).decode("utf-8", "replace")
            found.setdefault(network, brief(" ".join(said.split()), 200))
    return found
