"""The machine's fingerprint: all that a device's times may depend on, recorded beside every measurement."""

from __future__ import annotations

import datetime
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nnmeter.devices import processor
from nnmeter.devices.machine import machine_of

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

# Two fingerprints that agree on these are of one device; what both lack is no difference.
_IDENTITY = (
    "device", "cpu", "vendor", "architecture", "isa", "cpu_family", "cpu_model", "stepping",
    "runtime", "runtime_version", "threads", "precision",
)  # fmt: skip


def take_fingerprint(
    runtime: str, runtime_version: str, threads: int, settings: Mapping[str, Any], precision: str = "float32"
) -> dict[str, Any]:
    """The fingerprint of this machine with a runtime and its settings, as a JSON-ready dict.

    What the system does not tell is left out, never guessed.
    """
    own = processor.read_processor(sys.platform)
    machine = machine_of(own)
    found: dict[str, Any] = {
        "cpu": machine.cpu or platform.processor(),
        "vendor": machine.vendor,
        "architecture": machine.architecture,
        "isa": machine.isa,
        "cpu_family": machine.family,
        "cpu_model": machine.model,
        "stepping": machine.stepping,
        "flags": [flag for flag in _RELEVANT_FLAGS if flag in own.flags],
        "cores": machine.cores or None,
        "caches": dict(own.caches),
        "cache_sharing": dict(own.sharing),
        "max_mhz": _max_mhz(),
        "mhz_now": _mhz_now(),
        "memory_gib": _memory_gib(),
        "huge_pages": _selected(HUGE_PAGES),
        "hypervisor": machine.virtual,
        "system_vendor": processor.read_text(SYSTEM_VENDOR),
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
    """What two fingerprints must share to be of one device: core, instruction set, runtime, version, settings."""
    return tuple(fingerprint.get(key) for key in _IDENTITY)


def differences(fingerprint: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Where two fingerprints are of different devices, for people: `cpu A, not B; threads 1, not 2`; empty if not."""
    return "; ".join(
        f"{key.replace('_', ' ')} {fingerprint.get(key)}, not {other.get(key)}"
        for key in _IDENTITY
        if fingerprint.get(key) != other.get(key)
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _mhz_now() -> float | None:
    return _number(processor.cpuinfo_fields(processor.read_text(processor.CPUINFO) or "").get("cpu mhz"))


def _memory_gib() -> float | None:
    for line in (processor.read_text(MEMINFO) or "").splitlines():
        if line.startswith("MemTotal:"):
            return round(int(line.split()[1]) / 2**20, 1)
    return None


def _max_mhz() -> float | None:
    kilohertz = _number(processor.read_text(MAX_FREQUENCY))
    return kilohertz / 1e3 if kilohertz else None


def _selected(path: Path) -> str | None:
    text = processor.read_text(path) or ""
    return text.partition("[")[2].partition("]")[0] or None
