"""Packs of sparse kernels, made for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from nnmeter.predictor.trees import ARRAYS
from nnmeter.sparsity.measured import FEATURES

NANOSECONDS = {"dense": 0.1, "csr": 0.3, "bsr": 0.2}  # of a unit of work


def write_pack(folder: Path, **changes: Any) -> Path:
    """A pack whose kernels take a fixed time for a unit of work: there are no trees."""
    folder.mkdir(exist_ok=True)
    document: dict[str, Any] = {
        "schema_version": 1, "id": "made", "runtime": "made 1.0", "hardware": "none", "threads": 1,
        "date": "2026-01-01", "features": list(FEATURES), "errors": {"csr": 0.1},
        "measured": {"rows": [8, 4096], "columns": [8, 4096], "data": [1, 65536], "zeros": [0.5, 0.98]},
        "ensembles": {name: {"trees": 0, "nodes": 0, "bias": log(ns * 1e-6)} for name, ns in NANOSECONDS.items()},
    }  # fmt: skip
    (folder / "sparse.json").write_text(json.dumps({**document, **changes}))
    arrays: Mapping[str, Any] = {name: np.zeros(0, dtype) for name, dtype in ARRAYS.items()}
    np.savez_compressed(folder / "trees.npz", **arrays)
    return folder
