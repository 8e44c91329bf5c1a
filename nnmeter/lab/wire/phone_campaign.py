"""A campaign on a phone that adb reaches, where there is no Python: a kit that is carried there and back by itself.

1. The directory of the campaign has the kit in `kit` (`nnmeter.lab.kit`), made for the budget when the campaign begins.
   The kit is pushed to a folder of its own below `/data/local/tmp`, its manifest last: that says that it is whole.
2. The runtime's program is pushed from the folder `bin`, or is on the phone already: `program` in `devices.toml`, or in
   its path.
3. The kit's script runs there. When the wire is cut it is started again, and goes on behind its last row. A lock on the
   phone, that of the script, lets one campaign run at a time.
4. Results are pulled whole beside the old ones, which they replace, and imported as the part of all seeds of the kit.
   So a campaign goes on in another call, and no row is lost or there twice.
5. The phone must be the one of before, by a name that is made up for it and kept there.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shlex
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from nnmeter.errors import MeasurementError
from nnmeter.files import parse_json, read_limited
from nnmeter.lab.campaign.bench import BenchLost
from nnmeter.lab.campaign.campaign import CampaignProgress
from nnmeter.lab.campaign.shards import Shard
from nnmeter.lab.importing.profiles.run import import_profiles
from nnmeter.lab.importing.profiles.setting import MeasuredDevice
from nnmeter.lab.kit.build import MOST_NETWORKS, make_kit
from nnmeter.lab.kit.runtimes import runtime_of_kit
from nnmeter.lab.measuring.lock import DirectoryLock
from nnmeter.lab.measuring.store import part_files, part_path, read_measurements
from nnmeter.lab.wire.adb import LONG_S, Adb, Done
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.claims import Claim, claim_of_campaign, note_machine
from nnmeter.lab.wire.connection import Cut
from nnmeter.lab.wire.cores import cores_of
from nnmeter.limits import MAX_JSON_BYTES

PLACE = "/data/local/tmp/nnmeter"
LOST_S, FIRST_PAUSE_S, LONGEST_PAUSE_S = 300.0, 1.0, 15.0
HELD = 75  # exit code of the kit's script where another one runs
_PARTS = ("plan.txt", "runtime.sh", "threads", "budget", "run.sh", "models")

T = TypeVar("T")
Tell = Callable[[CampaignProgress], None]


def run_phone_campaign(
    out_dir: str | os.PathLike[str],
    board: Board,
    budget_s: float = 600.0,
    seed: int = 0,
    progress: Tell | None = None,
    resume: bool = True,
    until: float | None = None,
    like: Mapping[str, Any] | None = None,
    shard: Shard | None = None,
) -> CampaignProgress:
    """`nnmeter.lab.campaign.supervisor.run_supervised_campaign` on a phone.

    Args:
        out_dir: directory of the campaign, here.
        board: the phone.
        budget_s: seconds that the phone measures in this call.
        seed: first seed of a new campaign.
        progress: called every couple of rows.
        resume: whether the directory may hold a campaign already.
        until: refused, as `like` and `shard`: the plan of a kit is made before.
        like: as `until`.
        shard: as `until`.

    Raises:
        MeasurementError: the phone cannot be reached, is held by another campaign or is another one; `BenchLost` where
            it was lost, with all that was pulled until then kept.
    """
    if until is not None or like or shard:
        raise MeasurementError("--until, --like and --shard need a device with Python; leave them out with adb://")
    directory = Path(out_dir)
    directory.mkdir(parents=True, exist_ok=True)
    with DirectoryLock(directory):
        kit = directory / "kit"
        if not resume and (kit.exists() or part_files(directory)):
            raise MeasurementError(f"{directory}: holds a campaign already; give another directory, or --resume it")
        phone = Phone(board, directory)
        if not kit.exists():
            make_kit(kit, phone.runtime, max(budget_s, 10.0), threads=board.threads or 1, seed=seed, models=[])
        return phone.measure(kit, budget_s, progress or (lambda latest: None))


class Phone:
    """Rules 1 to 5, for one call. `directory` has the claim, and gets the results."""

    def __init__(self, board: Board, directory: Path) -> None:
        self.runtime = board.runtime or "onnxruntime"
        self._program = runtime_of_kit(self.runtime).program
        self._board, self._directory = board, directory
        self._adb = Adb(board.host)
        if board.bin is not None and not (board.bin / self._program).is_file():
            raise MeasurementError(f"{board.bin}: has no {self._program}; put it there, built for the phone")
        self._claim: Claim = claim_of_campaign(directory)
        self._folder = f"{PLACE}/{hashlib.sha256(self._claim.token.encode()).hexdigest()[:16]}"
        try:
            self._check_machine(self._adb)
        except Cut as fault:
            raise MeasurementError(f"{board.shown}: cannot be reached ({fault}); see what `adb devices` says") from None

    def measure(self, kit: Path, budget_s: float, tell: Tell) -> CampaignProgress:
        """Carries, runs, pulls and imports."""
        began = time.monotonic()
        self._persist(lambda: self._carry(kit))
        spent_s = self._persist(self._spent_s)

        def listen(line: str) -> None:
            words = line.split()
            if line.startswith("nnmeter kit: row ") and words[3].rstrip(",").isdecimal():
                elapsed_s = time.monotonic() - began
                tell(CampaignProgress(0, 0, 0, elapsed_s, budget_s, f"row {words[3].rstrip(',')}"))

        try:
            self._persist(lambda: self._run(int(spent_s + budget_s), listen))
        except KeyboardInterrupt:
            self._stop()
            self._take_home(kit)
            raise
        networks, kernels, refused = self._take_home(kit)
        done = CampaignProgress(networks, kernels, refused, time.monotonic() - began, budget_s, "")
        tell(done)
        return done

    def _stop(self) -> None:
        """Ends the script, if it is ours."""
        lock, who = f"{PLACE}/lock", shlex.quote(self._claim.who)
        with contextlib.suppress(Cut):
            self._adb.shell(f'[ "$(cat {lock}/who)" = {who} ] && kill "$(cat {lock}/pid)"; sleep 1')

    def _take_home(self, kit: Path) -> tuple[int, int, int]:
        """Pulls and imports; numbers of networks, kernels and failed rows (rule 4)."""
        self._persist(lambda: self._pull(kit))
        return self._import(kit)

    def _check_machine(self, adb: Adb) -> None:
        """Rule 5."""
        fresh = secrets.token_hex(8)
        known = f"{{ [ -f machine ] || echo {fresh} >machine; }}"
        made = adb.shell(f"mkdir -p {PLACE} && cd {PLACE} && {known} && cat machine")
        name = made.said.split("\n")[-1]
        if made.code or not 8 <= len(name) <= 32 or not name.isalnum():
            raise MeasurementError(f"{self._board.shown}: cannot write to {PLACE} ({made.said[:200]})")
        if self._claim.machine is None:
            note_machine(self._directory, self._claim, name)
            self._claim = Claim(self._claim.token, self._claim.who, name)
        elif self._claim.machine != name:
            raise MeasurementError(
                f"{self._board.shown}: is another machine than the one that was measured before; give another directory"
            )

    def _carry(self, kit: Path) -> None:
        """Rules 1 and 2."""
        folder = shlex.quote(self._folder)
        there = self._adb.shell(f"cat {folder}/kit.json 2>/dev/null | wc -c").said.split("\n")[-1].strip()
        if there == str((kit / "kit.json").stat().st_size):
            return
        self._adb.shell(f"mkdir -p {folder}/bin")
        if self._board.bin is not None:
            self._adb.copy("push", sorted(self._board.bin.iterdir()), f"{self._folder}/bin/")
            self._adb.shell(f"chmod 755 {folder}/bin/*")
        self._adb.copy("push", [kit / part for part in _PARTS], f"{self._folder}/")
        self._adb.copy("push", [kit / "kit.json"], f"{self._folder}/")

    def _spent_s(self) -> int:
        said = self._adb.shell(f"cat {shlex.quote(self._folder)}/results/spent 2>/dev/null").said.split("\n")[-1]
        return int(said) if said.isdecimal() and len(said) < 9 else 0

    def _run(self, seconds: int, listen: Callable[[str], None]) -> None:
        """Rule 3; returns when the script has ended by itself."""
        folder = shlex.quote(self._folder)
        given = {"LOCK": f"{PLACE}/lock", "WHO": self._claim.who, "LD_LIBRARY_PATH": f"{self._folder}/bin"}
        if self._board.program:
            given["PROGRAM_PATH"] = self._board.program
        environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in given.items())
        cores = f"taskset {_mask(self._board.cores)} " if self._board.cores else ""
        command = f"cd {folder} && {environment} {cores}sh run.sh {seconds}"
        while True:
            done: Done = self._adb.shell(command, listen, LONG_S + seconds)
            if done.code == 0:
                return
            if done.code == HELD and self._claim.who in done.said:
                time.sleep(FIRST_PAUSE_S)  # ours, of a wire that was cut; it ends with it, or by its budget
                continue
            said = done.said.split("\n")[-1].removeprefix("nnmeter kit: ")
            if done.code == HELD:
                raise MeasurementError(f"{self._board.shown}: {said}; wait for it, or measure another device")
            raise MeasurementError(f"{self._board.shown}: the kit ended with code {done.code} ({said})")

    def _pull(self, kit: Path) -> None:
        """Rule 4."""
        fresh, old = kit / "results.part", kit / "results"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        self._adb.copy("pull", [f"{self._folder}/results"], fresh)
        shutil.rmtree(old, ignore_errors=True)
        os.replace(fresh / "results", old)
        fresh.rmdir()

    def _import(self, kit: Path) -> tuple[int, int, int]:
        """Numbers of networks, kernels and failed rows (rule 4)."""
        manifest = parse_json(read_limited(kit / "kit.json", MAX_JSON_BYTES))
        target = part_path(self._directory, manifest["seed"], manifest["seed"] + MOST_NETWORKS)
        device = MeasuredDevice(name=self.device_name(), runtime=self.runtime, threads=self._board.threads or 1)
        import_profiles([kit / "results"], target, device)
        rows, _ = read_measurements(target)
        failed = sum(1 for _ in (kit / "results" / "rows").glob("*/failed"))
        return len(rows), sum(len(row.kernels) for row in rows), failed

    def device_name(self) -> str:
        """An id for the device: what the user calls it, or the serial number."""
        own = self._board.host if "://" in self._board.name else self._board.name
        plain = "".join(c if c.isalnum() and c.isascii() else "-" for c in own.lower()).strip("-") or "phone"
        return f"{plain}-{self.runtime}-{self._board.threads or 1}t"

    def _persist(self, step: Callable[[], T]) -> T:
        """A step that is tried again when the wire was cut."""
        end, pause = time.monotonic() + LOST_S, FIRST_PAUSE_S
        again = False
        while True:
            try:
                if again:
                    self._check_machine(self._adb)
                return step()
            except Cut as fault:
                if again and time.monotonic() > end:
                    raise BenchLost(
                        f"{self._board.shown}: could not be reached for {LOST_S:g} s ({fault}); go on with --resume"
                    ) from None
                if not again:
                    end = time.monotonic() + LOST_S
                again = True
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE_S)


def _mask(cores: str) -> str:
    """As Android's taskset takes cores: a hexadecimal mask."""
    return f"{sum(1 << core for core in cores_of(cores)):x}"
