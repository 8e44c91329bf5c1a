"""The processor is read as each system describes it."""

from __future__ import annotations

from pathlib import Path

from nnmeter.devices.machine import Machine, machine_of
from nnmeter.devices.processor import from_cpuinfo, from_identifier, from_sysctl, read_caches

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu avx avx2 fma hypervisor

processor\t: 1
vendor_id\t: Other
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1

processor\t: 1
CPU part\t: 0xd05
"""


def test_x86_is_known_by_what_cpuid_says() -> None:
    found = from_cpuinfo(X86)
    assert (found.vendor, found.family, found.model, found.stepping) == ("AuthenticAMD", "25", "17", "1")
    assert found.virtual is True
    assert {"avx2", "fma"} <= found.flags


def test_arm_is_known_by_implementer_parts_and_variant() -> None:
    found = from_cpuinfo(ARM)
    assert (found.vendor, found.family, found.model, found.stepping) == ("0x41", "8", "0xd05+0xd0c", "0x3.1")
    assert machine_of(found, "aarch64", 2).isa == "neon-dot"


def test_a_system_that_tells_nothing_gives_a_machine_with_its_architecture() -> None:
    assert machine_of(from_cpuinfo(""), "riscv64", 0) == Machine("", "", "riscv64", "")


def test_apple_is_known_by_its_family_of_cores() -> None:
    values = {
        "machdep.cpu.brand_string": "Apple M2", "hw.cpufamily": "3660830781", "hw.cpusubfamily": "2",
        "hw.l1dcachesize": "65536", "hw.l2cachesize": "4194304", "hw.optional.arm.FEAT_DotProd": "1",
        "hw.optional.arm.FEAT_I8MM": "1", "kern.hv_vmm_present": "0",
    }  # fmt: skip
    found = machine_of(from_sysctl(values.get), "arm64", 8)
    assert (found.vendor, found.family, found.model) == ("Apple", "3660830781", "2")
    assert (found.architecture, found.isa, found.virtual) == ("aarch64", "neon-i8mm", False)
    assert found.caches == {"L1d": 64.0, "L2": 4096.0}


def test_an_intel_mac_is_known_as_any_intel() -> None:
    values = {
        "machdep.cpu.brand_string": "Intel(R) Core(TM) i9-9880H CPU @ 2.30GHz", "machdep.cpu.vendor": "GenuineIntel",
        "machdep.cpu.family": "6", "machdep.cpu.model": "158", "machdep.cpu.stepping": "13",
        "machdep.cpu.features": "FPU SSE4.1 AVX1.0 FMA", "machdep.cpu.leaf7_features": "AVX2",
    }  # fmt: skip
    found = machine_of(from_sysctl(values.get), "x86_64", 16)
    assert (found.family, found.model, found.stepping, found.isa) == ("6", "158", "13", "avx2")


def test_windows_is_known_by_its_identifier() -> None:
    features = {37, 39, 40, 41}
    text = "Intel64 Family 6 Model 106 Stepping 6, GenuineIntel"
    found = from_identifier(text, "", "Intel(R) Xeon(R)  Platinum", features.__contains__)
    assert (found.vendor, found.family, found.model, found.stepping) == ("GenuineIntel", "6", "106", "6")
    assert found.name == "Intel(R) Xeon(R) Platinum"
    assert machine_of(found, "AMD64", 8).isa == "avx512"
    arm = from_identifier("ARMv8 (64-bit) Family 8 Model D4B Revision   0, Qualcomm", "", "", {19, 43}.__contains__)
    assert (arm.vendor, arm.family, arm.model) == ("Qualcomm", "8", "D4B")
    assert from_identifier("", "", "", lambda _: False).family == ""


def test_caches_have_their_sizes_and_who_shares_them(tmp_path: Path) -> None:
    for number, facts in enumerate([("1", "Data", "32K", "0"), ("3", "Unified", "48M", "0-3,8")]):
        index = tmp_path / f"index{number}"
        index.mkdir()
        for name, text in zip(("level", "type", "size", "shared_cpu_list"), facts, strict=True):
            (index / name).write_text(text + "\n")
    assert read_caches(tmp_path) == ({"L1d": "32K", "L3": "48M"}, {"L1d": 1, "L3": 5})
    assert read_caches(tmp_path / "none") == ({}, {})
