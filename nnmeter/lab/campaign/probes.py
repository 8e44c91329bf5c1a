"""The networks that every campaign begins with: those that tell most about a new machine in little time.

`probes.json` lists seed and recipe of each, the most telling first, so that any budget takes the first part of the
list. `benchmarks/design_probes.py` makes it, from packs that ship and from networks that people use; planning it anew
on the user's machine would take minutes.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

_FILE = Path(__file__).with_name("probes.json")


@lru_cache(maxsize=1)
def probes() -> tuple[tuple[int, str], ...]:
    """Seed and recipe of each probe, in order."""
    content = json.loads(_FILE.read_text(encoding="utf-8"))
    return tuple((int(seed), str(recipe)) for seed, recipe in content["probes"])
