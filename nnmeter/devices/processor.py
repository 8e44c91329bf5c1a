"""What the system says of the processor, in the system's own ways; each takes about a millisecond.

Rules:

1. x86: vendor, family, model and stepping are those of CPUID, by `/proc/cpuinfo`, macOS's `machdep.cpu.*`, or Windows's
   registry (`Intel64 Family 6 Model 106 Stepping 6`).
2. Arm on Linux: the vendor is the implementer, the family the architecture version, the model the part, the stepping
   variant and revision. Where cores differ (big.LITTLE) all their parts are named, joined with `+`.
3. Apple's own processors: the family is `hw.cpufamily`, the model `hw.cpusubfamily`, the vendor `Apple`.
4. Caches are those of the first processor: size, and how many logical processors share it.
5. What the system does not tell is left out, never guessed. Windows tells of AVX-512 only whether there is its
   foundation; every processor that runs Windows and has that has the byte, word, double and vector-length parts too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

Sysctl = Callable[[str], "str | None"]

_AVX512 = ("avx512f", "avx512dq", "avx512bw", "avx512vl")
# winnt.h: PF_... of IsProcessorFeaturePresent -> flags in the words of cpuinfo.
_WINDOWS_FEATURES: dict[int, tuple[str, ...]] = {
    37: ("sse4_1",),
    39: ("avx",),
    40: ("avx2", "fma"),
    41: _AVX512,
    19: ("asimd",),
    43: ("asimddp",),
}
_APPLE_FEATURES: dict[str, str] = {"hw.optional.arm.FEAT_DotProd": "asimddp", "hw.optional.arm.FEAT_I8MM": "i8mm"}
_APPLE_CACHES: dict[str, str] = {"L1d": "hw.l1dcachesize", "L1i": "hw.l1icachesize", "L2": "hw.l2cachesize",
                                 "L3": "hw.l3cachesize"}  # fmt: skip


@dataclass(frozen=True)
class Processor:
    """What the system says of its processor; an empty text, or nothing, for what it does not say.

    Attributes:
        name: model, as it names itself.
        vendor, family, model, stepping: rules 1 to 3.
        flags: instruction sets, in the words of cpuinfo.
        caches: sizes by level, as `32K` (rule 4).
        sharing: logical processors that share each.
        virtual: whether a hypervisor is under it; None if unknown.
    """

    name: str = ""
    vendor: str = ""
    family: str = ""
    model: str = ""
    stepping: str = ""
    flags: frozenset[str] = frozenset()
    caches: Mapping[str, str] = field(default_factory=dict)
    sharing: Mapping[str, int] = field(default_factory=dict)
    virtual: bool | None = None


def read_processor(system: str) -> Processor:
    """The processor of this machine.

    Args:
        system: `sys.platform`.
    """
    if system == "darwin":
        return from_sysctl(_sysctl())
    if system == "win32":
        return _from_windows()
    return from_cpuinfo(read_text(CPUINFO) or "", *read_caches(CACHES))


def from_cpuinfo(
    text: str, caches: Mapping[str, str] | None = None, sharing: Mapping[str, int] | None = None
) -> Processor:
    """The processor that a `/proc/cpuinfo` text describes."""
    fields = cpuinfo_fields(text)
    flags = frozenset((fields.get("flags") or fields.get("features") or "").split())
    name = " ".join((fields.get("model name") or fields.get("cpu part") or "").split())
    rest = {"flags": flags, "caches": caches or {}, "sharing": sharing or {}}
    if "cpu part" in fields:
        parts = sorted(set(re.findall(r"^CPU part\s*:\s*(\S+)", text, re.MULTILINE)))
        variant, revision = fields.get("cpu variant", ""), fields.get("cpu revision", "")
        return Processor(
            name,
            fields.get("cpu implementer", ""),
            fields.get("cpu architecture", ""),
            "+".join(parts),
            f"{variant}.{revision}".strip("."),
            virtual=None,
            **rest,  # type: ignore[arg-type]
        )
    return Processor(
        name,
        fields.get("vendor_id", ""),
        fields.get("cpu family", ""),
        fields.get("model", ""),
        fields.get("stepping", ""),
        virtual="hypervisor" in flags if flags else None,
        **rest,  # type: ignore[arg-type]
    )


def cpuinfo_fields(text: str) -> dict[str, str]:
    """What the first block of a `/proc/cpuinfo` text says, by key in small letters."""
    fields: dict[str, str] = {}
    for line in text.split("\n\n", 1)[0].splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    return fields


def read_caches(folder: Path) -> tuple[dict[str, str], dict[str, int]]:
    """Sizes of the caches in a folder of sysfs, and how many logical processors share each (rule 4)."""
    sizes: dict[str, str] = {}
    sharing: dict[str, int] = {}
    for index in sorted(folder.glob("index*")):
        level, kind, size = (read_text(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            name = f"L{level}{'' if kind == 'Unified' else kind[0].lower()}"
            sizes[name] = size
            shared = read_text(index / "shared_cpu_list")
            if shared:
                sharing[name] = _count(shared)
    return sizes, sharing


def from_sysctl(sysctl: Sysctl) -> Processor:
    """The processor that macOS describes.

    Args:
        sysctl: value of a name as a text; None where there is no such name.
    """
    name = sysctl("machdep.cpu.brand_string") or ""
    found = {level: sysctl(key) for level, key in _APPLE_CACHES.items()}
    caches = {level: f"{int(size) // 1024}K" for level, size in found.items() if size and int(size) > 0}
    virtual = {"1": True, "0": False}.get(sysctl("kern.hv_vmm_present") or "")
    vendor = sysctl("machdep.cpu.vendor")
    if vendor:
        words = " ".join(sysctl(f"machdep.cpu.{key}") or "" for key in ("features", "leaf7_features")).lower()
        flags = frozenset(words.replace("avx1.0", "avx").replace(".", "_").split())
        family, model, stepping = (sysctl(f"machdep.cpu.{key}") or "" for key in ("family", "model", "stepping"))
        return Processor(name, vendor, family, model, stepping, flags, caches, virtual=virtual)
    arm = frozenset({"asimd", *(flag for key, flag in _APPLE_FEATURES.items() if sysctl(key) == "1")})
    family, model = sysctl("hw.cpufamily") or "", sysctl("hw.cpusubfamily") or ""
    return Processor(name, "Apple", family, model, "", arm, caches, virtual=virtual)


def from_identifier(identifier: str, vendor: str, name: str, has_feature: Callable[[int], bool]) -> Processor:
    """The processor that Windows describes.

    Args:
        identifier: `AMD64 Family 25 Model 17 Stepping 1, AuthenticAMD`, with or without the vendor.
        vendor: of the registry; that of the identifier if empty.
        name: model, as it names itself.
        has_feature: `IsProcessorFeaturePresent`.
    """
    numbers = re.search(r"Family (\w+) Model (\w+) (?:Stepping|Revision) +(\w+)(?:, *(\w+))?", identifier)
    flags = frozenset(flag for number, own in _WINDOWS_FEATURES.items() if has_feature(number) for flag in own)
    if numbers is None:
        return Processor(" ".join(name.split()), vendor, flags=flags)
    family, model, stepping, behind = numbers.groups()
    return Processor(" ".join(name.split()), vendor or behind or "", family, model, stepping, flags)


def _from_windows() -> Processor:
    import ctypes
    import winreg

    path = r"HARDWARE\DESCRIPTION\System\CentralProcessor\0"
    values = {"Identifier": os.environ.get("PROCESSOR_IDENTIFIER", "")}
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, path) as key:  # type: ignore[attr-defined]
            for name in ("Identifier", "VendorIdentifier", "ProcessorNameString"):
                values[name] = str(winreg.QueryValueEx(key, name)[0])  # type: ignore[attr-defined]
    except OSError:  # no such key for this user: the environment says the same
        pass
    present = ctypes.windll.kernel32.IsProcessorFeaturePresent  # type: ignore[attr-defined]
    return from_identifier(
        values["Identifier"],
        values.get("VendorIdentifier", ""),
        values.get("ProcessorNameString", ""),
        lambda number: bool(present(number)),
    )


def _sysctl() -> Sysctl:
    """`sysctlbyname` of the C library, without a process of its own."""
    import ctypes

    library = ctypes.CDLL(None)

    def read(name: str) -> str | None:
        size = ctypes.c_size_t(0)
        if library.sysctlbyname(name.encode(), None, ctypes.byref(size), None, 0) != 0 or not size.value:
            return None
        buffer = ctypes.create_string_buffer(size.value)
        if library.sysctlbyname(name.encode(), buffer, ctypes.byref(size), None, 0) != 0:
            return None
        raw = buffer.raw[: size.value]
        if name.startswith("machdep.cpu.") and not name.endswith(("family", "model", "stepping")):
            return raw.split(b"\0", 1)[0].decode("utf-8", "replace").strip()
        return str(int.from_bytes(raw, "little"))

    return read


def read_text(path: Path) -> str | None:
    """What is in a file of the system, None if it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _count(listed: str) -> int:
    """Processors in a list of sysfs: `0-3,8` are five."""
    total = 0
    for part in listed.split(","):
        first, _, last = part.partition("-")
        total += int(last or first) - int(first) + 1
    return total
