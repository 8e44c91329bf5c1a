"""How good packs of published tables are on networks, devices and transformers that were kept aside.

    python benchmarks/public_kept_aside.py TABLES [--part networks|devices|transformers]... [--rows FOLDER]
                                           [--fifth 0|1|2|3|4]...

Each part is a module of benchmarks/kept_aside, which says what is kept aside and how. Rows are written to FOLDER as
they come, and sums are printed after each step, so that a run that is cut is not lost.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from kept_aside import devices, networks, transformers
from public_tables import public_devices

PARTS = ("networks", "devices", "transformers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--part", action="append", choices=PARTS, default=[])
    parser.add_argument(
        "--fifth",
        action="append",
        type=int,
        choices=range(networks.KEPT_PARTS),
        default=[],
        help="which fifth of the networks to keep aside; repeatable, 0 if not given",
    )
    parser.add_argument("--only", action="append", default=[], help="a table, without .csv.gz; repeatable")
    parser.add_argument("--rows", type=Path, help="folder that the rows are written to")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {line}", file=sys.stderr, flush=True)

    found, _ = public_devices(arguments.tables, arguments.only)
    say(f"{len(found)} devices")
    judges: dict[str, Callable[..., None]] = {
        "networks": partial(networks.judge, parts=arguments.fifth or (0,)),
        "devices": devices.judge,
        "transformers": transformers.judge,
    }
    for part in arguments.part or PARTS:
        judges[part](found, arguments.jobs, arguments.rows, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
