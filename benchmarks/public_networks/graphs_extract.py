"""Makes data/public-networks: the networks of the public latency tables as graphs without weights.

    pip install torch timm transformers pytorchcv && pip install --no-deps torchvision
    python benchmarks/public_networks/graphs_extract.py record TABLES WORK [--seconds 100] [--names a,b]
    python benchmarks/public_networks/graphs_extract.py pack TABLES WORK data/public-networks [--keep]

TABLES is the directory of the tables (networks.csv, *.csv.gz, ncnn-param.tar.gz). `record` writes one file a network
and size to WORK and goes on where it was stopped: those first that most devices outside of timm's table have; then
networks that people time most (`graphs_common`). With --keep networks stay that the output has and WORK has not.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import re
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

from graphs_common import common_networks

from nnmeter.lab.importing.public_networks.stated_inputs import stated_inputs
from nnmeter.lab.importing.public_networks.timm_names import architecture_of


class Wanted(NamedTuple):
    """A network at a size."""

    name: str
    size: tuple[int, ...]  # without the batch
    devices: int  # outside of timm's table
    rows: int
    entry: str  # of timm, with its tag
    call: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["record", "pack", "list"])
    parser.add_argument("tables", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("output", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=1e9, help="stop after about so long")
    parser.add_argument("--names", default="", help="only these, separated by commas")
    parser.add_argument("--keep", action="store_true", help="keep what the output has and WORK has not")
    parser.add_argument("--again", action="store_true", help="also those that failed before")
    arguments = parser.parse_args()
    networks = wanted(arguments.tables)
    if arguments.names:
        networks = [w for w in networks if w.name in arguments.names.split(",")]
    if arguments.verb == "list":
        for w in networks:
            print(w.devices, w.rows, w.name, "x".join(map(str, w.size)), w.entry)
    elif arguments.verb == "record":
        record_all(networks, arguments.tables, arguments.work, arguments.seconds, arguments.again)
    else:
        from graphs_pack import pack

        pack(networks, arguments.tables, arguments.work, arguments.output, arguments.keep)


def wanted(tables: Path) -> list[Wanted]:
    """All networks and sizes of the tables that a call can rebuild, those of most devices first; then common ones."""
    with (tables / "networks.csv").open() as file:
        calls = {row["network"]: row["rebuild"] for row in csv.DictReader(file)}
    devices: dict[Any, set[str]] = defaultdict(set)
    rows: Counter[Any] = Counter()
    entries: dict[Any, Counter[str]] = defaultdict(Counter)
    for path in sorted(tables.glob("*.csv.gz")):
        with gzip.open(path, "rt") as file:
            for row in csv.DictReader(file):
                name, text = row.get("network"), row.get("input")
                if not name or not text:
                    continue
                key = name, tuple(map(int, text.split("x")[1:]))
                rows[key] += 1
                if row["source"] != "timm":
                    devices[key].add(row["device"])
                    devices[name].add(row["device"])
                else:
                    entry = row["framework_name"]
                    own = architecture_of(entry, name)
                    if own != name:
                        key = own, key[1]
                        rows[key] += 1
                        calls.setdefault(own, f"timm.create_model('{own}')")
                    entries[key][entry] += 1 + 1000 * (entry.split(".")[0] == key[0])
    for stated in stated_inputs():
        rows[stated.network, stated.input_shape[1:]] += 1
        devices[stated.network].add(stated.network)
        calls.setdefault(stated.network, "transformers")
    for name, size, call in common_networks():
        rows[name, size] += 0
        calls.setdefault(name, call)
    found = []
    for key in rows:
        name, size = key
        call = calls.get(name, "") or ("ncnn-param.tar.gz yolov4-tiny.param" if name == "yolov4_tiny" else "")
        if call:
            entry = entries[key].most_common(1)[0][0] if entries[key] else ""
            found.append(Wanted(name, size, len(devices[key]), rows[key], entry, call))
    return sorted(found, key=lambda w: (-len(devices[w.name]), w.name, -w.devices))


def refusals(tables: Path) -> dict[str, str]:
    """Why names of the tables have no graph, where none of its sizes can have one."""
    with (tables / "networks.csv").open() as file:
        return {row["network"]: "no public package has it" for row in csv.DictReader(file) if not row["rebuild"]}


def record_all(networks: list[Wanted], tables: Path, work: Path, seconds: float, again: bool) -> None:
    """Record what is not in `work` yet, until the time is over."""
    work.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()
    done = failed = 0
    left = [w for w in networks if not target(work, w).exists() and (again or not fault_of(work, w).exists())]
    for number, w in enumerate(left):
        if time.monotonic() - begin > seconds:
            print(f"{done} recorded, {failed} failed, {len(left) - number} left")
            return
        try:
            line = record(w, tables)
            target(work, w).write_text(json.dumps(line, separators=(",", ":")))
            fault_of(work, w).unlink(missing_ok=True)
            done += 1
        except Exception as fault:  # whatever goes wrong in a package is told with the network
            fault_of(work, w).write_text(f"{type(fault).__name__}: {str(fault)[:300]}")
            print(f"{w.name} {w.size}: {type(fault).__name__}: {str(fault)[:150]}", flush=True)
            failed += 1
    print(f"all done: {done} recorded, {failed} failed")


def target(work: Path, w: Wanted) -> Path:
    return work / f"{re.sub('[^A-Za-z0-9_.-]', '+', w.name)}@{'x'.join(map(str, w.size))}.json"


def fault_of(work: Path, w: Wanted) -> Path:
    return target(work, w).with_suffix(".fault")


def record(w: Wanted, tables: Path) -> dict[str, Any]:
    """The description of one network at one size, with the number of its parameters as the package has it."""
    if w.call.startswith("ncnn-param"):
        from nnmeter.lab.importing.public_networks.ncnn_param import read_param

        return read_param(w.name, tables, w.call.split()[1], w.size)
    import torch
    from graphs_architectures import network
    from graphs_operators import OPERATORS
    from graphs_record import BATCH, Recorder

    torch.backends.mha.set_fastpath_enabled(False)
    module = network(w.name, w.call, w.size, w.entry)
    joins_pads = not w.call.startswith("timm")
    size = (3, 16, 112, 112) if w.size == (48, 112, 112) else w.size
    recorder = Recorder(OPERATORS)
    with torch.inference_mode(), torch.device("meta"):
        x = torch.empty(BATCH, *size) if len(size) > 1 else torch.empty(BATCH, *size, dtype=torch.int64)
        recorder.add_input(x)
        with recorder:
            result = module(x)
    line = recorder.description(w.name, result, joins_pads)
    line["parameters"] = sum(p.numel() for p in module.parameters())
    return line


if __name__ == "__main__":
    main()
