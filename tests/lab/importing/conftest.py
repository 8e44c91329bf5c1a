from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path

from nnmeter.lab.importing.nasbench201 import nasbench201_nodes

DATA = Path(__file__).with_name("data")
EXCERPT = DATA / "nn-meter-26k"
FAMILIES = (
    "alexnet", "densenet", "mnasnet", "mobilenetv1", "mobilenetv2", "mobilenetv3", "nasbench201", "resnet",
    "shufflenetv2", "squeezenet", "vgg",
)  # fmt: skip


@cache
def excerpt(family: str) -> list[dict]:
    """The networks of a family in the excerpt of nn-Meter's benchmark, each with its nodes."""
    with gzip.open(EXCERPT / f"{family}.jsonl.gz", "rt") as lines:
        entries = [json.loads(line) for line in lines]
    for entry in entries:
        if "nodes" not in entry:
            p = entry["params"]
            entry["nodes"] = nasbench201_nodes(p["arch_str"], p["C"], p["N"], p["num_classes"])
    return entries
