"""This machine's processor and runtimes, read in about a millisecond and without importing any runtime."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from nnmeter.devices.processor import Processor, read_processor
from nnmeter.fusion.ruleset_index import find_rule_set


@dataclass(frozen=True)
class Machine:
    """What identifies a machine to a device pack; `nnmeter.devices.identity` says which machines are the same.

    Attributes:
        cpu: model of the processor, as it names itself; "" if unknown.
        vendor: maker of the processor, as it names itself; "" if unknown.
        architecture: `x86_64`, `aarch64`, ...
        isa: the widest vector instructions that runtimes have kernels for: a key of `ISA_LEVELS`, or "".
        family, model, stepping: which core it is (`nnmeter.devices.processor`, rules 1 to 3); "" if unknown.
        caches: KiB of each, by level: `{"L1d": 32.0}`.
        sharing: logical processors that share each cache.
        cores: logical processors; 0 if unknown.
        virtual: whether a hypervisor is under it; None if unknown.
    """

    cpu: str
    vendor: str
    architecture: str
    isa: str
    family: str = ""
    model: str = ""
    stepping: str = ""
    caches: Mapping[str, float] = field(default_factory=dict, hash=False)
    sharing: Mapping[str, int] = field(default_factory=dict, hash=False)
    cores: int = 0
    virtual: bool | None = None

    @classmethod
    def of_fingerprint(cls, fingerprint: Mapping[str, Any]) -> Machine:
        """The machine that the fingerprint of a pack or of measurements describes."""
        text = {key: str(fingerprint.get(key) or "") for key in ("cpu", "vendor", "architecture", "isa")}
        number = {key: str(fingerprint.get(f"cpu_{key}") or "") for key in ("family", "model")}
        virtual = fingerprint.get("hypervisor")
        return cls(
            **text,
            **number,
            stepping=str(fingerprint.get("stepping") or ""),
            caches=_sizes(fingerprint.get("caches")),
            sharing=_numbers(fingerprint.get("cache_sharing")),
            cores=cores if isinstance(cores := fingerprint.get("cores"), int) else 0,
            virtual=virtual if isinstance(virtual, bool) else None,
        )


def _sizes(caches: object) -> dict[str, float]:
    """KiB of caches whose sizes are written as `32K` or `48M`."""
    found = {}
    for name, size in caches.items() if isinstance(caches, Mapping) else ():
        match = re.fullmatch(r"(\d+) ?([KMG])i?B?", str(size))
        if match:
            found[str(name)] = float(match[1]) * {"K": 1, "M": 2**10, "G": 2**20}[match[2]]
    return found


def _numbers(values: object) -> dict[str, int]:
    return {str(k): v for k, v in values.items() if isinstance(v, int)} if isinstance(values, Mapping) else {}


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


# Bits that one vector instruction works on.
VECTOR_BITS: dict[str, int] = {
    "sse4.1": 128, "avx": 256, "avx2": 256, "avx512": 512, "avx512-vnni": 512, "amx": 512,
    "neon": 128, "neon-dot": 128, "neon-i8mm": 128,
}  # fmt: skip


@lru_cache(maxsize=1)
def this_machine() -> Machine:
    """The machine that runs this process."""
    return machine_of(read_processor(sys.platform))


def machine_of(processor: Processor, architecture: str | None = None, cores: int | None = None) -> Machine:
    """The machine with this processor; architecture and number of logical processors are those here if not given."""
    if architecture is None:
        architecture = os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    plain = architecture.lower().replace("amd64", "x86_64").replace("arm64", "aarch64")
    return Machine(
        processor.name,
        processor.vendor,
        plain,
        isa_level(processor.flags),
        processor.family,
        processor.model,
        processor.stepping,
        _sizes(processor.caches),
        dict(processor.sharing),
        (os.cpu_count() or 0) if cores is None else cores,
        processor.virtual,
    )


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
