"""Parameters of rules that follow from the processor."""

from __future__ import annotations

from typing import Any

import pytest

from nnmeter.devices.machine import ISA_LEVELS
from nnmeter.errors import DeviceError
from nnmeter.fusion.for_machine import rules_for_machine
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.ruleset_index import rule_sets


@pytest.mark.parametrize(
    ("isa", "block", "signed"),
    [("sse4.1", 8, False), ("avx2", 8, False), ("avx512", 16, False), ("amx", 16, False), ("neon-dot", 1, True)],
)
def test_blocks_and_signs_of_onnxruntime_follow_from_the_instructions(isa: str, block: int, signed: bool) -> None:
    parameters = rules_for_machine(load_rules("onnxruntime_cpu"), isa).parameters
    assert parameters == {"block": block, "signed_activations": signed}


@pytest.mark.parametrize(
    ("isa", "signed", "attention"),
    [("avx2", False, False), ("avx512-vnni", False, True), ("amx", True, True), ("sve", True, True)],
)
def test_integers_of_openvino_follow_from_the_instructions(isa: str, signed: bool, attention: bool) -> None:
    parameters = rules_for_machine(load_rules("openvino_cpu"), isa).parameters
    assert parameters == {
        "signed_data_of_convolutions": signed,
        "residuals_of_another_type": signed,
        "attention_of_integers": attention,
    }


@pytest.mark.parametrize("isa", ["", "rvv"])
def test_an_unknown_processor_leaves_the_rules_as_they_are(isa: str) -> None:
    rules = load_rules("onnxruntime_cpu")
    assert rules_for_machine(rules, isa) is rules


def test_rules_of_a_runtime_that_is_the_same_everywhere_stay() -> None:
    rules = load_rules("tflite21_cpu")
    assert rules_for_machine(rules, "avx2") is rules


@pytest.mark.parametrize("name", rule_sets())
def test_what_is_declared_names_parameters_and_instruction_sets_and_says_why(name: str) -> None:
    info = rule_sets()[name]
    for entry in info.machine:
        assert entry["parameter"] in info.parameters
        assert set(entry["isa"]) == set(ISA_LEVELS), "an instruction set is missing"
        assert entry["why"].endswith(".")
        assert entry["source"]


@pytest.mark.parametrize("machine", [5, "x", [5], [{}], [{"parameter": "block"}], [{"parameter": 1, "isa": {}}], {}])
def test_a_declaration_of_a_stranger_that_is_none_is_refused(machine: Any) -> None:
    rules = {"schema_version": 1, "name": "odd", "runtime": "none", "stages": [], "machine": machine}
    with pytest.raises(DeviceError, match="odd: 'machine' must list"):
        rules_for_machine(load_rules(rules), "avx2")


def test_a_parameter_that_does_not_exist_is_refused() -> None:
    rules = {"schema_version": 1, "name": "odd", "runtime": "none", "stages": [],
             "machine": [{"parameter": "blok", "isa": {"avx2": 8}}]}  # fmt: skip
    with pytest.raises(DeviceError, match="odd: no parameter blok"):
        rules_for_machine(load_rules(rules), "avx2")
