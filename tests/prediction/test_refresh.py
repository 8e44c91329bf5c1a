"""Moving a pack to the present rules, and what is said of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.pack_rules import referenced_rules
from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import load_rules, rules_to_dict
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.refresh import refresh_pack
from tests.cli.conftest import cli as cli

RULES = rules_to_dict(load_rules("onnxruntime_cpu"))


def older_rules() -> tuple[dict[str, Any], str]:
    """Today's rules without the pass that brings channels into blocks, and the name of that pass."""
    rules = copy.deepcopy(RULES)
    del rules["parameters"]["signed_activations"]
    (stage,) = (stage for stage in rules["stages"] if any(item["kind"] == "layout" for item in stage["passes"]))
    (lost,) = (item for item in stage["passes"] if item["kind"] == "layout")
    stage["passes"].remove(lost)
    return rules, f"{stage['name']} / {lost['name']}"


@pytest.fixture
def old_pack(small_pack: Path, tmp_path: Path) -> DevicePack:
    """The small pack, with older rules of its own."""
    pack = load_pack(small_pack)
    return save_pack(tmp_path / pack.id, pack.card, older_rules()[0], pack.predictor)


def test_a_pack_gets_the_present_rules_and_says_what_it_was_trained_with(
    old_pack: DevicePack, small_model: Path
) -> None:
    old, lost = older_rules()
    before = LatencyPredictor(old_pack).predict(str(small_model))
    refreshed, found = refresh_pack(old_pack, [str(small_model)])
    assert refreshed.path == old_pack.path
    assert rules_to_dict(refreshed.rules) == RULES
    assert refreshed.rules_source.trained_with == found.trained_with == found.before == rules_hash(old)
    assert refreshed.rules_source.runs_with == found.after == rules_hash(RULES)
    assert (found.added, found.removed, found.edited) == ((lost,), (), ())
    after = LatencyPredictor(refreshed).predict(str(small_model))
    (change,) = found.models
    assert change.changed
    assert change.before is not None
    assert (change.before.latency_ms, change.after.latency_ms) == (before.latency_ms, after.latency_ms)
    assert change.before.kernels == {"Conv+Relu": 1, "GlobalAveragePool": 1, "Flatten": 1, "Gemm": 1}
    blocked = {"ReorderInput": 1, "nchwc.Conv+Relu": 1, "nchwc.GlobalAveragePool": 1, "ReorderOutput": 1}
    assert change.after.kernels == {**blocked, "Flatten": 1, "Gemm": 1}
    assert change.after.trained < change.before.trained < 1.0, "the pack knows no reorders"


def test_all_else_stays_as_it_is(old_pack: DevicePack, small_model: Path, tmp_path: Path) -> None:
    refreshed, _ = refresh_pack(old_pack, [str(small_model)], tmp_path / "other" / old_pack.id)
    assert load_pack(old_pack.path).rules_source.runs_with == rules_hash(older_rules()[0]), "the first is as it was"
    for name in ("card.json", "predictor.json", "trees.npz"):
        assert (refreshed.path / name).read_bytes() == (old_pack.path / name).read_bytes()


def test_parameters_are_the_packs_own_and_new_ones_the_machines(old_pack: DevicePack, small_model: Path) -> None:
    rules = {**older_rules()[0], "parameters": {"block": 8}}
    pack = save_pack(old_pack.path, old_pack.card, rules, old_pack.predictor)
    _, found = refresh_pack(pack, [str(small_model)])
    assert found.parameters == {"block": 8, "signed_activations": False}


def test_a_second_time_nothing_changes(old_pack: DevicePack, small_model: Path) -> None:
    first, one = refresh_pack(old_pack, [str(small_model)])
    _, two = refresh_pack(first, [str(small_model)])
    assert two.before == two.after == one.after
    assert two.trained_with == one.trained_with
    assert not any(change.changed for change in two.models)


def stale(pack: DevicePack, directory: Path) -> DevicePack:
    reference = referenced_rules("onnxruntime_cpu", RULES["parameters"], "1" * 64)
    return save_pack(directory, pack.card, {**reference, "runs_with": "2" * 64}, pack.predictor)


def test_a_pack_that_names_its_rules_still_does(small_pack: Path, small_model: Path, tmp_path: Path) -> None:
    pack = stale(load_pack(small_pack), tmp_path / "pack")
    refreshed, found = refresh_pack(pack, [str(small_model)])
    assert refreshed.rules_source.is_reference
    assert not refreshed.rules_source.changed
    assert refreshed.rules_source.trained_with == "1" * 64
    assert found.before == "", "the rules that it ran with are not here"
    assert [change.before for change in found.models] == [None]


def test_former_rules_may_be_given(small_pack: Path, small_model: Path, tmp_path: Path) -> None:
    pack = stale(load_pack(small_pack), tmp_path / "pack")
    file = tmp_path / "former.json"
    file.write_text(json.dumps(older_rules()[0]))
    _, found = refresh_pack(pack, [str(small_model)], before=file)
    assert found.models[0].changed


def test_rules_that_are_the_packs_own_are_not_replaced(old_pack: DevicePack, small_model: Path) -> None:
    pack = save_pack(old_pack.path, old_pack.card, {**RULES, "name": "found by timings"}, old_pack.predictor)
    with pytest.raises(DeviceError, match="its fusion rules 'found by timings' are its own"):
        refresh_pack(pack, [str(small_model)])


def test_the_command_says_what_changed(cli: Callable, old_pack: DevicePack, small_model: Path) -> None:
    table = cli("devices", "refresh", old_pack.path, small_model)
    assert table.code == 0
    for words in (
        "rules onnxruntime_cpu (block 16, signed_activations false)",
        f"trained with rules {rules_hash(older_rules()[0])[:12]}, runs with {rules_hash(RULES)[:12]}",
        "1 rules added:",
        "1 of 1 models have other kernels or another prediction",
        "nchwc.Conv+Relu",
    ):
        assert words in table.out
    document = json.loads(cli("devices", "refresh", old_pack.path, small_model, "--format", "json").out)
    assert document["before"] == document["after"] == rules_hash(RULES)
    assert document["models"][0]["changed"] is False
    shown = cli("devices", "show", old_pack.path).out
    assert f"trained with rules {rules_hash(older_rules()[0])[:12]}" in shown
    described = json.loads(cli("devices", "show", old_pack.path, "--format", "json").out)["fusion_rules"]
    assert described["runs_with"] == rules_hash(RULES)
    assert described["rule_set"] is None
    assert described["name"] == "onnxruntime-cpu"
