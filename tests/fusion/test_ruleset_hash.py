"""The hash of a rule set is of what it does, not of what it is called or says of itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import load_rules, rules_to_dict, with_parameters
from nnmeter.fusion.ruleset_hash import rules_hash


@pytest.fixture
def rules() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "some",
        "runtime": "none",
        "parameters": {"block": 8},
        "stages": [
            {
                "name": "stage",
                "repeat": 2,
                "passes": [
                    {"name": "no-ops", "kind": "eliminate", "operators": [{"name": "identity", "op": "Identity"}]},
                    {
                        "name": "pass",
                        "kind": "rewrite",
                        "rules": [
                            {
                                "name": "rule",
                                "match": [{"id": "n", "op": "Relu", "inputs": ["x"], "outputs": ["y"]}],
                                "where": [["eq", ["rank", "x"], 4]],
                                "unless": [{"match": [{"id": "m", "op": "Abs", "inputs": ["y"]}]}],
                                "replace": [{"op": "Abs", "inputs": ["x"], "outputs": ["y"]}],
                            }
                        ],
                    },
                ],
            }
        ],
    }


def place(rules: dict[str, Any], *path: Any) -> dict[str, Any]:
    found: Any = rules
    for key in path:
        found = found[key]
    return found


STAGE = ("stages", 0)
PASS = (*STAGE, "passes", 1)
RULE = (*PASS, "rules", 0)


@pytest.mark.parametrize(
    "path", [STAGE, PASS, RULE, (*STAGE, "passes", 0), (*STAGE, "passes", 0, "operators", 0), (*RULE, "unless", 0)]
)
def test_names_reasons_and_sources_do_not_count(rules: dict[str, Any], path: tuple[Any, ...]) -> None:
    other = copy.deepcopy(rules)
    place(other, *path).update(name="other", why="because", source="a file")
    assert rules_hash(other) == rules_hash(rules)


def test_what_a_rule_set_is_of_does_not_count(rules: dict[str, Any]) -> None:
    assert rules_hash({**rules, "name": "x", "device": {}, "machine": [], "runtime_version": "2"}) == rules_hash(rules)


@pytest.mark.parametrize(
    ("path", "key", "value"),
    [
        (STAGE, "repeat", 3),
        (PASS, "only_if", "block"),
        (RULE, "where", [["eq", ["rank", "x"], 3]]),
        (RULE, "outputs", True),
        ((*RULE, "match", 0), "op", "Elu"),
        ((*RULE, "unless", 0, "match", 0), "op", "Elu"),
        (("parameters",), "block", 16),
        (("parameters",), "more", 1),
    ],
)
def test_what_a_rule_does_counts(rules: dict[str, Any], path: tuple[Any, ...], key: str, value: Any) -> None:
    other = copy.deepcopy(rules)
    place(other, *path)[key] = value
    assert rules_hash(other) != rules_hash(rules)


def test_the_order_of_keys_does_not_count_and_that_of_rules_does(rules: dict[str, Any]) -> None:
    assert rules_hash(dict(reversed(rules.items()))) == rules_hash(rules)
    other = copy.deepcopy(rules)
    other["stages"][0]["passes"].reverse()
    assert rules_hash(other) != rules_hash(rules)


def test_included_stages_count() -> None:
    whole = rules_to_dict(load_rules("tflite21_cpu"))
    assert all("include" not in stage for stage in whole["stages"])
    assert rules_hash(whole) != rules_hash({**whole, "stages": whole["stages"][1:]})


def test_parameters_of_a_loaded_set_count() -> None:
    rules = load_rules("onnxruntime_cpu")
    narrow = with_parameters(rules, block=8)
    assert rules_hash(rules_to_dict(narrow)) != rules_hash(rules_to_dict(rules))
    assert rules_hash(rules_to_dict(with_parameters(narrow, block=16))) == rules_hash(rules_to_dict(rules))


def test_what_json_cannot_hold_is_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(DeviceError, match="not what JSON can hold"):
        rules_hash({**rules, "parameters": {"block": float("nan")}})
