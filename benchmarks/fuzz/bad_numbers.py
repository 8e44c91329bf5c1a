"""Measurements that cannot be right, given to every verb that reads some: what each verb makes of each of them.

    python benchmarks/fuzz/bad_numbers.py [--measure] [--flips 1200] [--only VERB] [NAME ...]

Each file is a sound one changed in one way (`bad_measurements.py`); a verb runs in a process of its own. Looked for:

1. Another exit code than 0 or 2 (1 of `--verify`), more than one line on stderr beside it, or more than 60 s.
2. "nan" or "inf" in a report.
3. A pack that `nnmeter predict` refuses, or by which a network takes twice or half of what it takes by the sound one.
4. Verbs that disagree: one takes what another refuses.

With `--measure` come `setup` and `measure --append`, which need ONNX Runtime and some seconds for each file. With
`--flips N`, N files with flipped bits, holes, doubled blocks and cut ends are read: as what they were, or not at all.
Exit code 1 if anything was found.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click
from bad_measurements import BYTES, CHANGES, damage, flipped, networks

from nnmeter.devices.machine import runtime_version
from nnmeter.lab.campaign.directory import write_state
from nnmeter.lab.campaign.shards import SHARD_SEEDS
from nnmeter.lab.measuring.fingerprint import take_fingerprint
from nnmeter.lab.measuring.store import part_path, read_measurements, write_measurements

LONGEST_S = 60
NETWORKS = 40
MODEL = Path(__file__).parents[2] / "data" / "zoo" / "resnet18-224.onnx"
_NO_NUMBER = re.compile(r"(?<![\w.-])[+-]?(nan|inf|infinity)(?![\w-])", re.IGNORECASE)

# What may differ between verbs: the name -> verbs that refuse what others take, and why that is right.
_OWN_REASONS = {
    "no-rows": {"train", "calibrate", "evaluate", "kit", "setup", "merge"},  # nothing to do anything with
    "kernel-no-inputs": {"calibrate"},  # too far from what the operator takes to be explained by a correction
    "kernel-texts": {"calibrate"},
    "half_a_ms-zero": {"merge"},  # of a campaign, where both halves are timed
    "another-machine": {"append", "taken", "setup", "merge"},  # adds to one machine's
    "fingerprint-isa": {"append", "taken", "setup", "merge"},
    "fingerprint-threads": {"append", "taken", "setup", "merge"},
    "fingerprint-fusion_rules": {"train"},  # reads no file that a file names
    "fingerprint-fusion_parameters": {"train"},
}


class Ran(NamedTuple):
    """How a verb ended."""

    code: int
    out: str
    err: str
    seconds: float


def run(arguments: Sequence[object], home: Path) -> Ran:
    """The command line in a process of its own, forked from this one, which has imported what takes long."""
    from nnmeter.cli.main import run as run_here

    began = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.environ["XDG_DATA_HOME"] = str(home)
            os.chdir(home)
            resource.setrlimit(resource.RLIMIT_CPU, (LONGEST_S, LONGEST_S))
            code = 99
            try:
                code = run_here([str(argument) for argument in arguments])
                sys.stdout.flush()
                sys.stderr.flush()
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Ran(code, texts[0], texts[1], time.monotonic() - began)


class Bench:
    """Sound files, a pack that was trained on them, and the verbs."""

    def __init__(self, folder: Path, measure: bool) -> None:
        self.folder, self.sound = folder, folder / "sound"
        self.sound.mkdir()
        version = runtime_version("onnxruntime") or "1.32.0"
        fingerprint = {**take_fingerprint("onnxruntime", version, 1, {}), "reference_ms": 1.25}
        write_measurements(self.sound / "blocks.parquet", networks("block", 0, NETWORKS), fingerprint)
        write_measurements(self.sound / "models.parquet", networks("model", 100, NETWORKS // 2), fingerprint)
        for shard in (1, 2):
            first = (shard - 1) * SHARD_SEEDS
            place = self.sound / f"shard-{shard}"
            place.mkdir()
            write_state(place, 0 if shard == 1 else first, fingerprint, (shard, 2))
            write_measurements(part_path(place, first, first + 20), networks("block", first, 20), fingerprint)
        self._setup = self.sound / "data" / "nnmeter" / "setup" / self._name(fingerprint)
        self._setup.mkdir(parents=True)
        write_state(self._setup, 0, fingerprint)
        for first in (0, 20):
            part = part_path(self._setup, first, first + 20)
            write_measurements(part, networks("block", first, 20), fingerprint)
        self.verbs: dict[str, Callable[[Path], tuple[Path, list[object]]]] = {
            "verify": lambda place: (place / "blocks.parquet", ["profile", "--verify", place / "blocks.parquet"]),
            "train": lambda place: (
                place / "blocks.parquet", ["train", place / "blocks.parquet", "--out", place / "pack-out"],
            ),
            "calibrate": lambda place: (
                place / "models.parquet",
                ["calibrate", place / "pack", "--measurements", place / "models.parquet", "--out", place / "pack-out"],
            ),
            "evaluate": lambda place: (
                place / "models.parquet", ["evaluate", place / "pack", "--measurements", place / "models.parquet"],
            ),
            "evaluate-training": lambda place: (
                place / "blocks.parquet",
                ["evaluate", place / "pack", "--measurements", place / "models.parquet", "--training",
                 place / "blocks.parquet", "--format", "json"],
            ),
            "merge": lambda place: (
                part_path(place / "shard-2", SHARD_SEEDS, SHARD_SEEDS + 20),
                ["profile", "--merge", place / "shard-1", "--merge", place / "shard-2", "--out", place / "merged"],
            ),
            "taken": lambda place: (
                place / "blocks.parquet",
                ["measure", MODEL, "--taken", "9", "--on", place / "pack", "--append", "--out",
                 place / "blocks.parquet"],
            ),
            "kit": lambda place: (
                place / "blocks.parquet",
                ["kit", "--runtime", "onnxruntime", "--budget", "20s", "--no-models", "--max-mib", "8", "--after",
                 place / "blocks.parquet", "--out", place / "kit"],
            ),
        }  # fmt: skip
        if measure:
            self.verbs["append"] = lambda place: (
                place / "blocks.parquet",
                ["measure", MODEL, "--append", "--passes", 1, "--seconds", 0.01, "--out", place / "blocks.parquet"],
            )
            self.verbs["setup"] = lambda place: (
                part_path(place / "data" / "nnmeter" / "setup" / self._setup.name, 0, 20),
                ["setup", "--budget", "30s", "--out", place / "pack-out"],
            )
        trained = run(["train", self.sound / "blocks.parquet", "--out", self.sound / "pack"], folder)
        if trained.code:
            raise click.ClickException(f"the sound file cannot be trained on: {trained.err}")
        self.usual_ms = self._predicted(self.sound / "pack") or math.nan

    def _name(self, fingerprint: dict[str, object]) -> str:
        from nnmeter.lab.training.build import default_id

        return default_id(fingerprint)

    def _predicted(self, pack: Path) -> float | None:
        done = run(["predict", MODEL, "--device", pack, "--format", "json"], self.folder)
        return None if done.code else float(json.loads(done.out)["latency_ms"])

    def faults(self, verb: str, name: str) -> tuple[int, list[str]]:
        """The exit code of a verb with a changed file, and what is wrong with that (1 to 3)."""
        place = self.folder / "tried"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.sound, place)
        file, arguments = self.verbs[verb](place)
        if name != "nothing":
            damage(name, file)
        done = run(arguments, place / "data")
        found = []
        if done.code not in (0, 2, *([1] if verb == "verify" else [])):
            found.append(f"exit code {done.code}: {done.err[-200:]}")
        if done.code == 2 and len([line for line in done.err.splitlines() if line.startswith("nnmeter: ")]) != 1:
            found.append(f"not one line: {done.err[-300:]}")
        if "Traceback" in done.err or "Warning" in done.err:
            found.append(f"a warning or traceback: {done.err[:300]}")
        if done.code == 0 and _NO_NUMBER.search(done.out):
            found.append(f"a report with {_NO_NUMBER.search(done.out)}")
        if done.seconds > LONGEST_S:
            found.append(f"{done.seconds:.0f} s")
        pack = place / "pack-out"
        if done.code == 0 and pack.exists():
            latency_ms = self._predicted(pack)
            if latency_ms is None:
                found.append("a pack that predict refuses")
            elif verb != "setup" and not 0.5 < latency_ms / self.usual_ms < 2:
                found.append(f"a pack that says {latency_ms:.4g} ms in place of {self.usual_ms:.4g}")
        if done.code and pack.exists():
            found.append("a pack in spite of the error")
        return done.code, found


def disagreeing(name: str, codes: dict[str, int]) -> list[str]:
    """Verbs that refuse what `--verify` finds sound, or take what it does not (4)."""
    sound = codes.get("verify", 0) == 0
    own = _OWN_REASONS.get(name, set())
    return [verb for verb, code in codes.items() if (code == 0) != sound and not (sound and verb in own)]


def flips(sound: Path, count: int) -> Iterator[str]:
    """How many damaged files are refused, and which read as other numbers."""
    data = sound.read_bytes()
    expected = read_measurements(sound)
    outcomes: Counter[str] = Counter()
    path = sound.with_name("flipped.parquet")
    for number in range(count):
        path.write_bytes(flipped(data, number))
        child = os.fork()
        if not child:
            signal.alarm(30)
            try:
                same = read_measurements(path) == expected
                os._exit(0 if same else 1)
            except ValueError:  # an NnmeterError
                os._exit(2)
            finally:
                os._exit(3)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        outcomes[{0: "read as it was", 1: "read as other numbers", 2: "refused"}.get(code, f"ended with {code}")] += 1
        if code not in (0, 2):
            yield f"damage {number}: {dict(outcomes)}"
    click.echo(f"{count} damaged files: {', '.join(f'{n} {what}' for what, n in sorted(outcomes.items()))}")


@click.command()
@click.option("--measure", is_flag=True, help="With the verbs that measure.")
@click.option("--flips", "count", default=1200, help="Files with damaged bytes.")
@click.option("--only", multiple=True, metavar="VERB", help="These verbs only.")
@click.argument("names", nargs=-1, type=click.Choice(["nothing", *CHANGES, *BYTES]))
def main(measure: bool, count: int, only: tuple[str, ...], names: tuple[str, ...]) -> None:
    """Give measurements that cannot be right to every verb that reads some."""
    import lightgbm  # noqa: F401 - each verb would import these anew
    import pyarrow.parquet  # noqa: F401
    import sklearn.ensemble  # noqa: F401

    faults = 0
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as folder:
        bench = Bench(Path(folder), measure)
        for name in names or ("nothing", *CHANGES, *BYTES):
            codes = {}
            for verb in only or bench.verbs:
                codes[verb], found = bench.faults(verb, name)
                for line in found:
                    faults += 1
                    click.echo(f"FOUND {name}, {verb}: {line}")
            apart = disagreeing(name, codes)
            faults += bool(apart)
            click.echo(f"{'FOUND ' * bool(apart)}{name:28} {' '.join(f'{v} {c}' for v, c in codes.items())}")
        for line in flips(bench.sound / "blocks.parquet", count):
            faults += 1
            click.echo(f"FOUND {line}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
