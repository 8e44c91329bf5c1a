"""Files that are made to be slow or to fill the memory, and what `nnmeter predict` takes of them.

    python benchmarks/hostile_files.py [--device ID_OR_PATH] [--scale 1.0] [--under BYTES] [NAME ...]

Each file is made by a few lines of `hostile_kinds.py`, written to a temporary directory, and predicted by a process of
its own. Printed are its size, seconds of the processor, peak memory, exit code, and the last line that the process
said. With `--under`, each is cut to nearly that many bytes. Exit code 1 if a file of less than 1 MB took more than 5 s
or 1 GB, or one ended with another code than 0 or 2.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from hostile_kinds import FILES

MB = 1_000_000
SLOWEST_S, MOST_MB = 5.0, 1000.0


def run(path: Path, device: str, seconds: int) -> tuple[float, float, int, str]:
    """Seconds of the processor, peak megabytes, exit code and last line of a process that predicts a file."""
    command = [sys.executable, "-m", "nnmeter", "predict", str(path), "--device", device, "--format", "json"]
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=told,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds)),
        )
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        lines = told.read().decode("utf-8", "replace").splitlines()
    said = lines[-1].replace(str(path), path.name) if lines else ""
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / MB, child.returncode, said


def cut(maker: Callable[[float], bytes], under: int) -> bytes:
    """The largest file of its kind with less than so many bytes, nearly."""
    scale = 0.01
    data = maker(scale)
    while not 0.9 * under < len(data) < under and scale < 1:
        scale = min(scale * 0.97 * under / len(data), 1.0)
        data = maker(scale)
    return data if len(data) < under else maker(0.5 * scale)


@click.command()
@click.option("--device", default="epyc-genoa-onnxruntime1.32-1t", help="Device pack, by id or directory.")
@click.option("--scale", default=1.0, help="Make each file so many times as large.")
@click.option("--under", type=int, help="Cut each file to less than so many bytes.")
@click.option("--seconds", default=120, help="End what takes more seconds of the processor.")
@click.argument("names", nargs=-1, type=click.Choice(list(FILES)))
def main(device: str, scale: float, under: int | None, seconds: int, names: tuple[str, ...]) -> None:
    """Predict files that are made to be slow or large."""
    faults = 0
    with tempfile.TemporaryDirectory(prefix="nnmeter-") as directory:
        for name in names or FILES:
            path = Path(directory) / f"{name}.onnx"
            path.write_bytes(FILES[name](scale) if under is None else cut(FILES[name], under))
            size = path.stat().st_size
            seconds_taken, memory, code, said = run(path, device, seconds)
            bad = code not in (0, 2) or (size < MB and (seconds_taken > SLOWEST_S or memory > MOST_MB))
            faults += bad
            click.echo(
                f"{'FAULT ' * bad}{name:26} {size / MB:8.2f} MB {seconds_taken:7.2f} s {memory:7.0f} MB  "
                f"code {code}  {said[:110]}"
            )
            path.unlink()
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
