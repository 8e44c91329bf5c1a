"""This machine's processor and runtimes, read in about a millisecond and without importing any runtime."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from nnmeter.fusion.ruleset_index import find_rule_set

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Machine:
    """What identifies a machine to a device pack.

    Attributes:
        cpu: model of the processor, as it names itself; "" if unknown.
        vendor: maker of the processor, as it names itself; "" if unknown.
        architecture: `x86_64`, `aarch64`, ...
        isa: the widest vector instructions that runtimes have kernels for: a key of `ISA_LEVELS`, or "".
    """

    cpu: str
    vendor: str
    architecture: str
    isa: str


# Vector instruction sets from the narrowest to the widest, with the cpuinfo flags that each needs. The steps are those
# at which ONNX Runtime's MLAS picks other kernels (onnxruntime/core/mlas/lib/platform.cpp).
ISA_LEVELS: dict[str, frozenset[str]] = {
    "sse4.1": frozenset({"sse4_1"}),
    "avx": frozenset({"avx"}),
    "avx2": frozenset({"avx2", "fma"}),
    "avx512": frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"}),
    "avx512-vnni": frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512_vnni"}),
    "amx": frozenset({"avx512f", "avx512_vnni", "amx_tile", "amx_int8"}),
    "neon": frozenset({"asimd"}),
    "neon-dot": frozenset({"asimd", "asimddp"}),
    "neon-i8mm": frozenset({"asimd", "asimddp", "i8mm"}),
    "sve": frozenset({"asimd", "asimddp", "sve"}),
}


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine that runs this process."""
    import platform

    try:
        text = CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return machine_from_cpuinfo(text, platform.machine())


def machine_from_cpuinfo(text: str, architecture: str) -> Machine:
    """The machine that a `/proc/cpuinfo` text describes; an empty text gives one with only its architecture."""
    first = text.split("\n\n", 1)[0]
    fields: dict[str, str] = {}
    for line in first.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = frozenset((fields.get("flags") or fields.get("features") or "").split())
    vendor = fields.get("vendor_id") or fields.get("cpu implementer") or ""
    cpu = fields.get("model name") or fields.get("cpu part") or ""
    return Machine(" ".join(cpu.split()), vendor, architecture.lower().replace("amd64", "x86_64"), isa_level(flags))


def isa_level(flags: frozenset[str]) -> str:
    """The widest of `ISA_LEVELS` that these cpuinfo flags have; "" if none."""
    return next((name for name, needed in reversed(ISA_LEVELS.items()) if needed <= flags), "")


def installed_version(distribution: str) -> str | None:
    """Version of an installed distribution, None if it is not there.

    Reads the name of its `.dist-info` directory: importlib.metadata would answer the same, 30 ms later.
    """
    pattern = re.compile(re.escape(distribution).replace("\\-", "[-_]") + r"-(\d[^-]*)\.dist-info", re.IGNORECASE)
    for place in sys.path:
        try:
            names = os.listdir(place or ".")
        except OSError:
            continue
        for name in names:
            match = pattern.fullmatch(name)
            if match:
                return match[1]
    return None


def runtime_version(runtime: str) -> str | None:
    """Version of a runtime as installed here; None if it is not, or no rule set says how it is installed."""
    rule_set = find_rule_set(runtime)
    versions = map(installed_version, rule_set.distributions if rule_set else ())
    return next((version for version in versions if version), None)
