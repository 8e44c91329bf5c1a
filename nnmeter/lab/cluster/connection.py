"""The connection to a Dask cluster, from what a user has of it.

| given | what it is |
|---|---|
| `tcp://host:8786`, `tls://...` | address of the scheduler |
| `NAME.json` | a scheduler file, which `dask scheduler --scheduler-file` writes |
| `NAME.yaml` | settings of Dask that have `scheduler-address`, and whatever else belongs to it, such as certificates |
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import parse_json, read_limited
from nnmeter.limits import MAX_JSON_BYTES

PATIENCE_S = 20.0


def connect(cluster: str) -> Any:
    """A `distributed.Client`.

    Raises:
        MeasurementError: Dask is not installed, the file says no scheduler, or none answers.
    """
    if "://" not in cluster and not cluster.endswith((".json", ".yaml", ".yml")):
        raise MeasurementError(
            f"{cluster}: is no cluster; give tcp://HOST:PORT, a scheduler file (.json) or settings of Dask (.yaml)"
        )
    try:
        import dask
        import distributed
    except ImportError as fault:
        raise MeasurementError(
            "a cluster needs Dask, which is not installed; pip install 'nnmeter[cluster]'"
        ) from fault
    address: Any = cluster
    if "://" not in cluster:
        content = _read(Path(cluster))
        if cluster.endswith(".json"):
            address = content.get("address")
        else:
            dask.config.update(dask.config.config, content)
            address = content.get("scheduler-address")
        if not isinstance(address, str):
            key = "address" if cluster.endswith(".json") else "scheduler-address"
            raise MeasurementError(f"{cluster}: has no {key}; add it, or give tcp://HOST:PORT")
    try:
        return distributed.Client(address, timeout=PATIENCE_S, set_as_default=False, name="nnmeter")
    except (OSError, ValueError, TypeError) as fault:
        raise MeasurementError(
            f"{cluster}: no scheduler answers at {address} ({brief(fault)}); start one with `dask scheduler`"
        ) from fault


def _read(path: Path) -> dict[str, Any]:
    try:
        data = read_limited(path, MAX_JSON_BYTES)
        if path.suffix == ".json":
            content = parse_json(data)
        else:
            from dask.config import collect_yaml

            content = next(collect_yaml([os.fspath(path)]), None)  # of data that are small, as is known now
    except OSError as fault:
        raise MeasurementError(f"{path}: {fault.strerror or fault}; give tcp://HOST:PORT or a file") from fault
    except (ValueError, RecursionError) as fault:
        raise _damaged(path, fault) from fault
    if not isinstance(content, dict):
        raise _damaged(path, "it is no table of settings")
    return content


def _damaged(path: Path, fault: object) -> MeasurementError:
    return MeasurementError(f"{path}: cannot be understood ({brief(fault, 120)}); write it anew")
