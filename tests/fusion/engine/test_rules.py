"""Loading rule sets: round trip, parameters, and faults that name file, rule and fault."""

from __future__ import annotations

import copy
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import RULESETS, check_rules, load_rules, rules_to_dict, with_parameters

RULE: dict[str, Any] = {
    "name": "product and sum",
    "match": [
        {"id": "mul", "op": "Mul", "inputs": ["x", "w"], "outputs": ["a"]},
        {"id": "add", "op": "Add", "inputs": ["a", "b"], "outputs": ["y"]},
    ],
    "where": [["constant", "w"]],
    "replace": [{"op": "MulAdd", "inputs": ["x", "w", "b"], "outputs": ["y"]}],
}


def rule_set(rule: dict[str, Any]) -> dict[str, Any]:
    passes = [{"name": "products", "kind": "rewrite", "rules": [rule]}]
    return {
        "schema_version": 1,
        "name": "test",
        "runtime": "none",
        "parameters": {"block": 16},
        "stages": [{"name": "only", "repeat": 2, "passes": passes}],
    }


def test_rule_set_of_the_package_survives_a_round_trip(tmp_path: Path) -> None:
    rules = load_rules("onnxruntime_cpu")
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules_to_dict(rules)), encoding="utf-8")
    assert load_rules(path) == rules


def test_parameters_are_replaced_and_must_exist() -> None:
    rules = load_rules(rule_set(RULE))
    assert with_parameters(rules, block=8).parameters == {"block": 8}
    with pytest.raises(DeviceError, match="no parameter blok; there are block"):
        with_parameters(rules, blok=8)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda r: r["match"][1].update(inputs=["c", "b"], outputs=["d"]), "'add' shares no tensor"),
        (lambda r: r["match"][1].update(id="mul"), "are called 'mul'"),
        (lambda r: r["where"].append(["constant", "v"]), "'v' is not bound"),
        (lambda r: r["where"].append(["const", "w"]), "unknown function 'const'"),
        (lambda r: r["replace"][0]["inputs"].append("v"), "'v' is not bound"),
        (lambda r: r.pop("replace"), "needs 'replace' or 'forward'"),
        (lambda r: r["match"][0].pop("op"), "needs an 'op'"),
        (lambda r: r.update(tensors={"t": {"shape": 1}}), "tensor 't' needs"),
        (lambda r: r.update(unless=[{"match": [{"id": "z", "op": "Z", "inputs": ["q"]}]}]), "'z' shares no tensor"),
    ],
)
def test_fault_names_rule_and_fault(change: Any, fault: str) -> None:
    rule = copy.deepcopy(RULE)
    change(rule)
    with pytest.raises(DeviceError, match="rule 'product and sum'") as caught:
        load_rules(rule_set(rule))
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda d: d.update(schema_version=2), "schema_version 2"),
        (lambda d: d.pop("name"), "needs a 'name'"),
        (lambda d: d.update(stages={}), "'stages' is {}, not a list"),
        (lambda d: d["stages"][0]["passes"][0].update(kind="magic"), "unknown kind 'magic'"),
    ],
)
def test_fault_of_the_rule_set(change: Any, fault: str) -> None:
    data = copy.deepcopy(rule_set(RULE))
    change(data)
    with pytest.raises(DeviceError, match=fault):
        load_rules(data)


def test_file_that_is_missing_or_no_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"nowhere\.json: cannot read"):
        load_rules(tmp_path / "nowhere.json")
    damaged = tmp_path / "damaged.json"
    damaged.write_text("{", encoding="utf-8")
    with pytest.raises(DeviceError, match=r"damaged\.json: fusion rules are not valid JSON"):
        load_rules(damaged)


@pytest.mark.parametrize("name", sorted(path.stem for path in RULESETS.glob("*.json")))
def test_rule_sets_of_the_package_stand_the_checks_that_loading_spares_them(name: str) -> None:
    check_rules(load_rules(name))


def test_rules_of_strangers_are_checked_in_depth() -> None:
    source = deepcopy(rules_to_dict(load_rules("onnxruntime_cpu")))
    rule = next(r for s in source["stages"] for p in s["passes"] for r in p.get("rules", ()) if r.get("where"))
    rule["where"] = [["eq", ["rank", "nothing-of-the-pattern"], 4]]
    with pytest.raises(DeviceError, match="is not bound by the pattern"):
        load_rules(source)
