"""Runtime adapters, found through the entry-point group `nnmeter.runtimes` and imported only when asked for.

Importing this package keeps runtimes from reporting to their makers, for which they look up a host and write under the
user's home: ONNX Runtime by its own variable, which counts as the user has set it; OpenVINO, which asks no variable, by
hiding its package for that, unless it is imported already. Both count where the runtime is imported after this package,
as all of nnmeter does.
"""

from __future__ import annotations

import os
import sys
from importlib.metadata import EntryPoint, entry_points

from nnmeter.errors import MeasurementError
from nnmeter.graph.input_sizes import Session
from nnmeter.lab.runtimes.base import CompiledModel, KeepsFree, RuntimeAdapter

__all__ = ["CompiledModel", "RuntimeAdapter", "list_runtimes", "load_runtime"]

ENTRY_POINT_GROUP = "nnmeter.runtimes"

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # importing it fails, and it is optional


def list_runtimes() -> list[str]:
    """Names of the runtimes that have an adapter, whether or not their library is installed."""
    return sorted(_entry_points())


def load_runtime(name: str, session: Session | None = None) -> RuntimeAdapter:
    """The adapter of a runtime.

    Args:
        name: as `list_runtimes` gives it.
        session: "free" for sessions that keep a model's free dimensions; else they are bound.

    Raises:
        MeasurementError: there is no such adapter, two packages claim the name, the runtime's library is absent, or it
            has no sessions of that kind.
    """
    adapter = _load(name)
    if session == "free":
        if not isinstance(adapter, KeepsFree):
            raise MeasurementError(f"runtime {name!r} binds all dimensions; leave --session free away")
        adapter.keeps_free = True
    return adapter


def _load(name: str) -> RuntimeAdapter:
    found = _entry_points()
    if name not in found:
        raise MeasurementError(f"runtime {name!r} is unknown; known are {', '.join(sorted(found)) or 'none'}")
    if len(found[name]) > 1:
        owners = ", ".join(point.value for point in found[name])
        raise MeasurementError(f"runtime {name!r} has several adapters ({owners}); uninstall all but one")
    try:
        adapter: RuntimeAdapter = found[name][0].load()()
        return adapter
    except ImportError as fault:
        missing = fault.name or name
        if missing.partition(".")[0] == "nnmeter":
            raise
        own = found[name][0].value.startswith("nnmeter.")
        remedy = f"'nnmeter[{name}]'" if own else missing.partition(".")[0]
        raise MeasurementError(
            f"runtime {name!r} needs {missing!r}, which is not installed; pip install {remedy}"
        ) from fault


def _entry_points() -> dict[str, list[EntryPoint]]:
    found: dict[str, dict[str, EntryPoint]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        # An editable install beside a checkout lists the same adapter twice: equal values are one adapter.
        found.setdefault(point.name, {})[point.value] = point
    return {name: list(points.values()) for name, points in found.items()}
