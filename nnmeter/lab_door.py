"""The one door from the core to the lab: what the command line and `nnmeter.NAME` find there when it is asked for.

The core predicts and never imports the lab, which measures and trains and brings heavy packages. Two things stand in
front of both: the names of `import nnmeter`, and the verbs of the command line. They look here. `tests/test_layers.py`
holds that nothing else in the core names a module of the lab.
"""

from __future__ import annotations

import importlib
from typing import Any

# Verb -> module that holds its command.
LAB_VERBS: dict[str, str] = {
    verb: f"nnmeter.lab.cli.{module}"
    for verb, module in (
        ("setup", "setup"),
        ("measure", "measure"),
        ("profile", "profile"),
        ("import", "import_"),
        ("kit", "kit"),
        ("jobs", "jobs"),
        ("train", "train"),
        ("evaluate", "evaluate"),
        ("fusion", "fusion"),
        ("calibrate", "calibrate"),
    )
}

# Public name -> module that has it.
LAB_NAMES: dict[str, str] = {
    "Measurement": "nnmeter.lab.measuring.measurement",
    "calibrate": "nnmeter.lab.api",
    "discover_fusion": "nnmeter.lab.api",
    "evaluate": "nnmeter.lab.api",
    "measure": "nnmeter.lab.api",
    "profile": "nnmeter.lab.api",
    "read_measurements": "nnmeter.lab.frames",
    "train": "nnmeter.lab.api",
}

# What options of the core's verbs need -> module that has it.
_SERVICES: dict[str, str] = {
    "ask_runtime": "nnmeter.lab.runtimes.detection",
    "present_state": "nnmeter.lab.transfer.here",
}


def from_lab(name: str) -> Any:
    """A function of the lab, imported now.

    Raises:
        ModuleNotFoundError: a package is not installed that it needs; the command line names the extra.
        MeasurementError: the same, said by the lab itself.
    """
    return getattr(importlib.import_module({**LAB_NAMES, **_SERVICES}[name]), name)
