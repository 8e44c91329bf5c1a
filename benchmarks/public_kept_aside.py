"""How good packs of published tables are on networks, devices and transformers that were kept aside.

    python benchmarks/public_kept_aside.py TABLES [--part networks|devices|transformers]... [--rows FOLDER]

Each part is a module of benchmarks/kept_aside, which says what is kept aside and how. Rows are written to FOLDER as
they come, and sums are printed after each step, so that a run that is cut is not lost.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from kept_aside import devices, networks, transformers
from public_tables import public_devices

PARTS = {"networks": networks.judge, "devices": devices.judge, "transformers": transformers.judge}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path)
    parser.add_argument("--part", action="append", choices=list(PARTS), default=[])
    parser.add_argument("--only", action="append", default=[], help="a table, without .csv.gz; repeatable")
    parser.add_argument("--rows", type=Path, help="folder that the rows are written to")
    parser.add_argument("--jobs", type=int, default=2)
    arguments = parser.parse_args()
    start = time.monotonic()

    def say(line: str) -> None:
        print(f"{time.monotonic() - start:6.0f} s  {line}", file=sys.stderr, flush=True)

    found, _ = public_devices(arguments.tables, arguments.only)
    say(f"{len(found)} devices")
    for part in arguments.part or PARTS:
        PARTS[part](found, arguments.jobs, arguments.rows, say)
    return 0


if __name__ == "__main__":
    sys.exit(main())
