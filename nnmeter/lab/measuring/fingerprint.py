"""The machine's fingerprint: all that a device's times may depend on, recorded beside every measurement."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmeter.devices.machine import this_machine

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
MEMINFO = Path("/proc/meminfo")
MAX_FREQUENCY = Path("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq")
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
SYSTEM_VENDOR = Path("/sys/class/dmi/id/sys_vendor")

# Instruction sets that numeric kernels choose by; the rest of the processor's flags is noise in a record.
_RELEVANT_FLAGS = (
    "avx", "avx2", "fma", "f16c", "avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni", "avx_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve", "sve2",
)  # fmt: skip

# Two fingerprints that agree on these are of one device.
_IDENTITY = ("cpu", "vendor", "architecture", "isa", "runtime", "runtime_version", "threads", "precision")


def take_fingerprint(
    runtime: str, runtime_version: str, threads: int, settings: Mapping[str, Any], precision: str = "float32"
) -> dict[str, Any]:
    """The fingerprint of this machine with a runtime and its settings, as a JSON-ready dict.

    What the system does not tell is left out, never guessed.
    """
    machine = this_machine()
    cpuinfo = _cpuinfo()
    flags = set(cpuinfo.get("flags", cpuinfo.get("features", "")).split())
    found: dict[str, Any] = {
        "cpu": machine.cpu or platform.processor(),
        "vendor": machine.vendor,
        "architecture": machine.architecture,
        "isa": machine.isa,
        "cpu_family": cpuinfo.get("cpu family"),
        "cpu_model": cpuinfo.get("model"),
        "stepping": cpuinfo.get("stepping"),
        "flags": [flag for flag in _RELEVANT_FLAGS if flag in flags],
        "cores": os.cpu_count(),
        "caches": _caches(),
        "max_mhz": _max_mhz(),
        "mhz_now": _number(cpuinfo.get("cpu mhz")),
        "memory_gib": _memory_gib(),
        "huge_pages": _selected(HUGE_PAGES),
        "hypervisor": "hypervisor" in flags if flags else None,
        "system_vendor": _text(SYSTEM_VENDOR),
        "os": f"{platform.system()} {platform.release()}".strip(),
        "python": platform.python_version(),
        "runtime": runtime,
        "runtime_version": runtime_version,
        "settings": dict(settings),
        "threads": threads,
        "precision": precision,
        "date": datetime.date.today().isoformat(),
    }
    return {key: value for key, value in found.items() if value not in (None, "", [], {})}


def identity(fingerprint: Mapping[str, Any]) -> tuple[Any, ...]:
    """What two fingerprints must share to be of one device: processor, instruction set, runtime, version, settings."""
    return tuple(fingerprint.get(key) for key in _IDENTITY)


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _cpuinfo() -> dict[str, str]:
    first = (_text(CPUINFO) or "").split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _caches() -> dict[str, str]:
    found = {}
    for index in sorted(CACHES.glob("index*")):
        level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found[f"L{level}{'' if kind == 'Unified' else kind[0].lower()}"] = size
    return found


def _memory_gib() -> float | None:
    for line in (_text(MEMINFO) or "").splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20, 1)
    return None


def _max_mhz() -> float | None:
    kilohertz = _number(_text(MAX_FREQUENCY))
    return kilohertz / 1e3 if kilohertz else None


def _selected(path: Path) -> str | None:
    text = _text(path) or ""
    return text.partition("[")[2].partition("]")[0] or None
