"""The page that lies in a kit."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.lab.kit.runtimes import KitRuntime

_TEXT = """# A kit for {runtime}

This folder measures how fast {runtime} runs {count} random networks{real}
on a device. The device needs no Python: a POSIX shell and `{program}`, {runtime}'s own program.
({program}: {where}.) It takes {minutes} at most, and {size:.0f} MB.

## Run it

1. Copy the folder to the device. Put `{program}` into the path, or into `bin/` of this folder with the
   libraries that it needs, or name it: `PROGRAM_PATH=/where/it/is`.
2. Let nothing else run. Plug it in; a phone in flight mode, screen on or off, but the same all along.
3. `sh run.sh` - it says how far it is. End it with a key, a kill or the power switch when you like: the next
   `sh run.sh` goes on, no row is lost or done twice. `sh run.sh 600` stops after 600 seconds in all.

Over adb from a computer: put the phone's program into `bin/`, then `sh run-adb.sh [SERIAL]`.
On Windows: in Git Bash, or in WSL.
Above 80 degrees by the system's own sensors it waits until the device has cooled (`MAX_CELSIUS=95` for another limit).

## Use it

Carry the folder `results` back to where the kit was made, beside `models`, and there:

    nnmeter import profile KIT/results --out measured.parquet --device NAME
    nnmeter train measured.parquet --out NAME --prior PACK     # the pack of a like device, or without --prior
    nnmeter predict model.onnx --device ./NAME

A second round, for what is still uncertain:

    nnmeter kit --runtime {runtime} --budget {budget} --after measured.parquet --out KIT2
    nnmeter train measured.parquet measured2.parquet --out NAME

## What is in it

`plan.txt` lists the rows: what is run, in which order, how often. `results/rows` gets a folder for each, with what
`{program}` wrote, when it ran, and the temperature and frequency where the system tells. `results/device.txt` and
`cpuinfo.txt` say what the system says of itself; nothing else of the device is read, and nothing is sent anywhere.
"""


def readme_text(runtime: KitRuntime, budget_s: float, networks: int, real: Sequence[str], size_bytes: int) -> str:
    """The page of a kit.

    Args:
        runtime: that it is for.
        budget_s: seconds that the device has.
        networks: number of random ones.
        real: names of the others.
        size_bytes: of the kit.
    """
    minutes = f"{budget_s / 60:.0f} minutes" if budget_s >= 90 else f"{budget_s:.0f} seconds"
    return _TEXT.format(
        runtime=runtime.name,
        program=runtime.program,
        where=runtime.where,
        count=networks,
        real=f" and {len(real)} real ones ({', '.join(real)})" if real else "",
        minutes=minutes,
        size=size_bytes / 1e6,
        budget=f"{int(budget_s)}s",
    )
