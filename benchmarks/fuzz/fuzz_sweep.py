"""Mutated inputs by the hundred thousand, in process and without a fuzzer: what is changed follows from a number.

    python benchmarks/fuzz/fuzz_sweep.py KIND [--first 0] [--count 20000]

Kinds: models, graphs (of nn-Meter), packs, measurements, imports (tables and profiles). Input number n is a seed
(`fuzz_seeds.py`), changed one to six times in a way that n decides (`fuzz_mutations.py`): any of them can be had again
with `--first n --count 1`.

All seeds must be taken, and it is said how many inputs were: what refuses every input tries nothing. A find is an
exception that is no `NnmeterError`, an input of less than 1 MB that takes more than 5 s of the processor or 1 GB (4 GB
of addresses where Parquet is read, which sets some aside), or the end of the process. Finds are printed with their
number; exit code 1 if there are any. The process that tries them is started again behind an input that ends it.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from fuzz_imports import import_files, mutate_import
from fuzz_mutations import change_bytes, mutate_measurements, mutate_model, mutate_part
from fuzz_seeds import PARTS, measurement_files, models, pack_parts
from fuzz_targets import TARGETS

LONGEST = 65_536
SLOWEST_S, MEMORY_BYTES = 5.0, 1 << 30

Mutator = Callable[[bytes, int], bytes]


class _TooSlow(BaseException):
    """No `Exception`, so that nothing on the way takes it for a fault of the input."""


def prepared(kind: str, directory: Path) -> tuple[list[bytes], Mutator]:
    """The seeds of a kind, and what changes one of them by a number."""
    if kind == "packs":
        trees = PARTS.index("trees.npz")
        return list(pack_parts(directory)), lambda data, n: mutate_part(data, LONGEST, n, change_bytes, trees)
    if kind == "imports":
        return list(import_files()), lambda data, n: mutate_import(data, n, change_bytes)
    if kind == "measurements":
        return list(measurement_files(directory)), lambda data, n: mutate_measurements(data, LONGEST, n, change_bytes)
    seeds = [data for data in models() if (data[:1] == b"{") == (kind == "graphs")]
    return seeds, lambda data, n: mutate_model(data, LONGEST, n, change_bytes)


def made(seeds: list[bytes], mutate: Mutator, number: int) -> bytes:
    """Input number n."""
    chance = random.Random(number)
    data = chance.choice(seeds)
    for _ in range(chance.randint(1, 6)):
        data = mutate(data, chance.randrange(2**32))
    return data


def _sweep(kind: str, first: int, last: int, progress: int) -> None:
    """Try inputs and write each one's number before it; what is found goes to stdout."""
    # What reads Parquet sets addresses of more than 1 GiB aside, and takes none of the memory with them.
    most = MEMORY_BYTES * (4 if kind in ("imports", "measurements") else 1)
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    signal.signal(signal.SIGPROF, _too_slow)
    slowest = (0.0, first)
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as directory:
        (Path(directory) / "seeds").mkdir()
        (Path(directory) / "tried").mkdir()
        seeds, mutate = prepared(kind, Path(directory) / "seeds")
        run = TARGETS[kind](Path(directory) / "tried")
        if not all(map(run, seeds)):
            click.echo(f"FOUND {kind}: a sound input is refused, so that nothing would be tried")
            return
        taken = 0
        for number in range(first, last):
            os.pwrite(progress, f"{number:12}".encode(), 0)
            data = made(seeds, mutate, number)
            start = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, SLOWEST_S)
            try:
                taken += run(data)
            except _TooSlow:
                click.echo(f"FOUND {kind} {number}: more than {SLOWEST_S:g} s")
            except Exception as fault:  # to be shown is what it is caught for
                place = traceback.extract_tb(fault.__traceback__)[-1]
                click.echo(
                    f"FOUND {kind} {number}: {type(fault).__name__}: {fault!s:.200} ({place.name}, {place.lineno})"
                )
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
            slowest = max(slowest, (time.process_time() - start, number))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(
        f"done {kind} {first} to {last - 1}: {taken} taken, the others refused; slowest {slowest[0]:.2f} s "
        f"({slowest[1]}), peak {peak_mb:.0f} MB"
    )


def _too_slow(number: int, frame: object) -> None:
    raise _TooSlow


@click.command()
@click.argument("kind", type=click.Choice(list(TARGETS)))
@click.option("--first", default=0, help="Number of the first input.")
@click.option("--count", default=20_000, help="How many inputs.")
def main(kind: str, first: int, count: int) -> None:
    """Try mutated inputs of a kind."""
    last, found = first + count, False
    with TemporaryDirectory() as directory:
        progress = os.open(Path(directory) / "progress", os.O_RDWR | os.O_CREAT)
        while first < last:
            reading, writing = os.pipe()
            child = os.fork()
            if not child:
                os.dup2(writing, 1)
                os.close(reading)
                _sweep(kind, first, last, progress)
                sys.stdout.flush()
                os._exit(0)
            os.close(writing)
            with os.fdopen(reading) as lines:
                for line in lines:
                    found |= line.startswith("FOUND")
                    click.echo(line, nl=False)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if not status:
                break
            tried = os.pread(progress, 12, 0)
            if not tried:
                raise click.ClickException(f"the process ended with {status} before it tried an input")
            first = int(tried) + 1
            found = True
            click.echo(f"FOUND {kind} {first - 1}: the process ended with {status}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
