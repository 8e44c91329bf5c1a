"""A machine is known by its core, never by its name alone; one verdict says what a pack is to it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from nnmeter.devices import list_devices
from nnmeter.devices.card import Card
from nnmeter.devices.identity import Verdict, compare_machines, match_measurements, match_this_machine
from nnmeter.devices.machine import Machine

from .conftest import CARD

GENOA = Machine(
    "AMD EPYC", "AuthenticAMD", "x86_64", "avx512-vnni", "25", "17", "1",
    {"L1d": 32.0, "L2": 1024.0, "L3": 32768.0}, {"L3": 2}, 2, True,
)  # fmt: skip
MILAN = replace(GENOA, isa="avx2", model="1", caches={"L1d": 32.0, "L2": 512.0, "L3": 32768.0})
TURIN = replace(GENOA, family="26", model="2", caches={"L1d": 48.0, "L2": 1024.0, "L3": 32768.0})
PLAIN = Machine("Intel(R) Xeon(R) Processor @ 2.80GHz", "GenuineIntel", "x86_64", "avx512-vnni", "6", "106", "6")


@pytest.fixture(scope="module")
def cards() -> dict[str, Card]:
    """Cards of the packs that ship."""
    return {device.id: device.card for device in list_devices()}


GENOA_FINGERPRINT = {
    "cpu": "AMD EPYC", "vendor": "AuthenticAMD", "architecture": "x86_64", "isa": "avx512-vnni", "cpu_family": "25",
    "cpu_model": "17",
}  # fmt: skip


def installed(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    monkeypatch.setattr("nnmeter.devices.identity.runtime_version", lambda _: version)


@pytest.mark.parametrize(
    ("machine", "verdict", "difference"),
    [
        (GENOA, Verdict.THIS_MACHINE, ""),
        (MILAN, Verdict.ANOTHER_MACHINE, "family 25 model 17 there, family 25 model 1 here"),
        (TURIN, Verdict.ANOTHER_MACHINE, "family 25 model 17 there, family 26 model 2 here"),
        (PLAIN, Verdict.ANOTHER_MACHINE, "AuthenticAMD family 25 model 17 there, GenuineIntel family 6 model 106 here"),
    ],
)
def test_the_zen_4_pack_is_of_zen_4_though_zen_3_and_zen_5_have_its_name(
    cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch, machine: Machine, verdict: Verdict, difference: str
) -> None:
    installed(monkeypatch, "1.32.0")
    match = match_this_machine(cards["epyc-genoa-onnxruntime1.32-1t"], machine)
    assert match.verdict is verdict
    assert match.difference.startswith(difference)
    assert match.needs_transfer is (verdict is Verdict.ANOTHER_MACHINE)
    assert match.same_reference is (verdict is Verdict.THIS_MACHINE)


@pytest.mark.parametrize(
    ("version", "difference"),
    [("1.31.0", "onnxruntime 1.32.0 there, 1.31.0 here"), (None, "onnxruntime 1.32.0 there, not installed here")],
)
def test_the_same_core_with_another_runtime_is_this_machine_with_other_settings(
    cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch, version: str | None, difference: str
) -> None:
    installed(monkeypatch, version)
    match = match_this_machine(cards["epyc-genoa-onnxruntime1.32-1t"], GENOA)
    assert (match.verdict, match.differences) == (Verdict.OTHER_SETTINGS, (difference,))
    assert not match.needs_transfer
    assert not match.same_reference, "another version may have another product of matrices"


def test_phones_and_accelerators_are_other_machines(cards: dict[str, Card], monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "1.32.0")
    own = [card for card in cards.values() if match_this_machine(card, GENOA).verdict is not Verdict.ANOTHER_MACHINE]
    assert [card.id for card in own] == ["epyc-genoa-onnxruntime1.32-1t"]
    assert match_this_machine(cards["pixel4-gpu-tflite"], GENOA).differences == ("a phone GPU",)


def test_a_pack_that_was_named_needs_no_transfer(cards: dict[str, Card]) -> None:
    match = match_this_machine(cards["epyc-genoa-onnxruntime1.32-1t"], MILAN, named=True)
    assert match.verdict is Verdict.ANOTHER_MACHINE
    assert not match.needs_transfer


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"stepping": "2"}, True),
        ({"cores": 64}, True),
        ({"sharing": {"L3": 16}}, True),
        ({"caches": {"L3": 262144.0}}, True),
        ({"caches": {"L2": 512.0}}, False),
        ({"caches": {}, "sharing": {}}, True),
        ({"isa": "avx2"}, False),
        ({"vendor": "HygonGenuine"}, False),
        ({"family": "", "model": ""}, False),
        ({"architecture": "aarch64"}, False),
        ({"cpu": "AMD EPYC 9654 96-Core Processor"}, True),
    ],
)
def test_what_hypervisors_hide_does_not_decide_and_what_kernels_run_on_does(change: dict[str, Any], same: bool) -> None:
    assert compare_machines(GENOA, replace(GENOA, **change)).same is same
    assert compare_machines(replace(GENOA, **change), GENOA).same is same


def test_the_last_cache_decides_where_no_hypervisor_is() -> None:
    bare = replace(GENOA, virtual=False)
    large = replace(bare, caches={**GENOA.caches, "L3": 98304.0})
    found = compare_machines(bare, large)
    assert not found.same
    assert found.differences == ("L3 32 MiB there, 96 MiB here",)


@pytest.mark.parametrize(
    ("there", "here", "same"),
    [
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7313 16-Core Processor", False),
        ("AMD EPYC 7763 64-Core Processor", "AMD EPYC 7763 64-Core Processor", True),
        ("AMD EPYC-Milan Processor", "AMD EPYC 7763 64-Core Processor", True),
        ("Intel(R) Xeon(R) Processor @ 2.80GHz", "Intel(R) Xeon(R) Processor @ 3.10GHz", False),
        ("Intel(R) Xeon(R) Processor @ 2.80GHz", "Intel(R) Xeon(R) Platinum 8375C CPU", True),
        ("Apple M2", "Apple M2 Max", False),
    ],
)
def test_names_tell_models_of_one_core_apart_where_both_name_one(there: str, here: str, same: bool) -> None:
    assert compare_machines(replace(PLAIN, cpu=there), replace(PLAIN, cpu=here)).same is same


def test_where_neither_says_the_family_all_else_must_agree() -> None:
    old = Machine("Test CPU", "Test", "x86_64", "avx2")
    assert compare_machines(old, old).same
    assert not compare_machines(old, replace(old, cpu="Test CPU II")).same
    assert not compare_machines(old, replace(old, family="6", model="106")).same
    assert not compare_machines(Machine("", "", "x86_64", ""), Machine("", "", "x86_64", "")).same


def test_measurements_are_judged_by_their_fingerprint() -> None:
    fingerprint = {"cpu": "AMD EPYC", "vendor": "AuthenticAMD", "architecture": "x86_64", "isa": "avx2",
                   "cpu_family": "25", "cpu_model": "1", "runtime": "onnxruntime", "runtime_version": "1.0.0",
                   "threads": 1}  # fmt: skip
    card = replace(CARD, fingerprint=fingerprint)
    assert match_measurements(card, fingerprint).verdict is Verdict.THIS_MACHINE
    threads = match_measurements(card, {**fingerprint, "threads": 2})
    assert (threads.verdict, threads.same_reference) == (Verdict.OTHER_SETTINGS, True)
    version = match_measurements(card, {**fingerprint, "runtime_version": "2.0.0"})
    assert (version.verdict, version.same_reference) == (Verdict.OTHER_SETTINGS, False)
    other = match_measurements(card, {**fingerprint, "cpu_model": "17"})
    assert (other.verdict, other.same_reference) == (Verdict.ANOTHER_MACHINE, False)
    assert match_measurements(card, {}).verdict is Verdict.ANOTHER_MACHINE


def test_a_reference_that_ran_otherwise_is_another_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kit's runs in a program of its own, and imported profiles have none: no time is brought to it, or from it."""
    fingerprint = {**GENOA_FINGERPRINT, "runtime": "onnxruntime", "runtime_version": "1.0.0", "threads": 1}
    kit = {**fingerprint, "reference": "a product of matrices in a program of its own"}
    own, imported = (replace(CARD, fingerprint=facts) for facts in (fingerprint, kit))
    for card, measured in ((own, kit), (imported, fingerprint)):
        match = match_measurements(card, measured)
        assert (match.verdict, match.same_reference) == (Verdict.THIS_MACHINE, False)
    assert match_measurements(imported, kit).same_reference
    for card in (own, imported):
        match = match_this_machine(card, GENOA, version=card.version)
        assert (match.verdict, match.same_reference) == (Verdict.THIS_MACHINE, card is own)


def test_published_measurements_are_of_the_device_that_they_name(cards: dict[str, Card]) -> None:
    card = cards["pixel4-gpu-tflite"]
    assert match_measurements(card, card.fingerprint).verdict is Verdict.THIS_MACHINE
    assert match_measurements(card, cards["s10-gpu-tflite"].fingerprint).verdict is Verdict.ANOTHER_MACHINE
