"""Packs that hold their rules, and packs that name them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nnmeter.devices import DevicePack, load_pack, save_pack
from nnmeter.devices.manifest import write_manifest
from nnmeter.devices.pack_rules import referenced_rules
from nnmeter.errors import DeviceError
from nnmeter.fusion import ruleset_index
from nnmeter.fusion.loading import load_rules, rules_to_dict
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.fusion.ruleset_index import rule_sets
from nnmeter.prediction.many import predict_many
from nnmeter.prediction.predict import LatencyPredictor
from tests.conftest import make_small_model, make_small_predictor
from tests.devices.conftest import CARD

OLD = "0" * 64
NOW = {"block": 8, "signed_activations": False}


def saved(tmp_path: Path, rules: dict[str, Any]) -> DevicePack:
    return save_pack(tmp_path / "packs" / CARD.id, CARD, rules, make_small_predictor())


def stored(pack: DevicePack) -> dict[str, Any]:
    return json.loads((pack.path / "rules.json").read_text())


def test_rules_that_a_pack_holds_say_that_it_was_trained_with_them(tmp_path: Path) -> None:
    rules = rules_to_dict(load_rules("onnxruntime_cpu"))
    pack = saved(tmp_path, rules)
    assert stored(pack) == {**rules, "trained_with": rules_hash(rules)}
    assert pack.rules == load_rules("onnxruntime_cpu")
    source = pack.rules_source
    assert (source.is_reference, source.changed, pack.warnings) == (False, False, ())
    assert source.trained_with == source.runs_with == rules_hash(rules)


def test_a_pack_that_names_its_rules_has_them_with_its_parameters(tmp_path: Path) -> None:
    pack = saved(tmp_path, referenced_rules("onnxruntime_cpu", NOW, OLD))
    assert (pack.path / "rules.json").stat().st_size < 1000
    assert pack.rules.name == "onnxruntime-cpu"
    assert pack.rules.parameters == NOW
    source = pack.rules_source
    assert (source.is_reference, source.changed, pack.warnings) == (True, False, ())
    assert source.trained_with == OLD
    assert source.runs_with == rules_hash(rules_to_dict(pack.rules))


def test_packs_that_name_the_same_rules_share_them(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", referenced_rules("onnxruntime_cpu", NOW, OLD))
    other = saved(tmp_path / "other", referenced_rules("onnxruntime_cpu", NOW, "1" * 64))
    wide = saved(tmp_path / "wide", referenced_rules("onnxruntime_cpu", {**NOW, "block": 16}, OLD))
    assert one.rules is other.rules
    assert one.rules_key == other.rules_key != wide.rules_key


@pytest.fixture
def changed(small_pack: Path, tmp_path: Path) -> DevicePack:
    """The small pack, of a rule set that has changed since it was seen to work with it."""
    pack = load_pack(small_pack)
    rules = referenced_rules("onnxruntime_cpu", {"block": 16, "signed_activations": False}, OLD)
    return save_pack(tmp_path / pack.id, pack.card, {**rules, "runs_with": "2" * 64}, pack.predictor)


def test_rules_that_changed_are_no_secret(changed: DevicePack) -> None:
    assert changed.rules_source.changed
    prediction = LatencyPredictor(changed).predict(make_small_model())
    assert (
        "the fusion rules 'onnxruntime_cpu' have changed since this pack was last seen to work with them: "
        f"`nnmeter devices refresh {changed.id}` shows what that changes"
    ) in prediction.warnings


def test_a_rule_set_that_changes_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = saved(tmp_path, referenced_rules("onnxruntime_cpu", NOW, OLD))
    edited = replace(rule_sets()["onnxruntime_cpu"], stages_hash="3" * 64)
    monkeypatch.setattr(ruleset_index, "rule_sets", lambda: {"onnxruntime_cpu": edited})
    monkeypatch.setattr("nnmeter.devices.pack_rules.rule_sets", lambda: {"onnxruntime_cpu": edited})
    assert load_pack(pack.path).warnings


def test_packs_by_name_and_by_copy_predict_alike(small_pack: Path, tmp_path: Path) -> None:
    held = load_pack(small_pack)
    reference = referenced_rules("onnxruntime_cpu", held.rules.parameters, held.rules_source.trained_with)
    named = save_pack(tmp_path / held.id, held.card, reference, held.predictor)
    one, other = predict_many([make_small_model()], [LatencyPredictor(held), LatencyPredictor(named)])
    assert replace(one, advice=()) == replace(other, advice=()), "advice names the packs by their paths"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "unknown set": ({"rule_set": "no_such"}, "there is no rule set 'no_such'; update nnmeter"),
    "a path": ({"rule_set": "../../etc/passwd"}, "there is no rule set"),
    "no name": ({"rule_set": 3}, "field 'rule_set' is 3"),
    "unknown parameter": ({"parameters": {"blok": 8}}, "has no parameter 'blok'; `nnmeter devices refresh`"),
    "parameters no object": ({"parameters": [1]}, "field 'parameters' is"),
    "parameter is a list": ({"parameters": {"block": [8]}}, "field 'parameters' is"),
    "no hash": ({"trained_with": "abc"}, "field 'trained_with' is 'abc'"),
    "hash is a number": ({"runs_with": 7}, "field 'runs_with' is 7"),
    "newer": ({"schema_version": 2}, "field 'schema_version' is 2"),
    "rules as well": ({"stages": []}, "unknown field 'stages'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_reference_that_is_none_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    change, words = BAD[name]
    pack = saved(tmp_path, referenced_rules("onnxruntime_cpu", NOW, OLD))
    (pack.path / "rules.json").write_text(json.dumps({**stored(pack), **change}))
    write_manifest(pack.path)
    with pytest.raises(DeviceError) as caught:
        _ = load_pack(pack.path).rules
    assert words in str(caught.value)
    assert f"{CARD.id}/rules.json" in str(caught.value)
    assert "\n" not in str(caught.value)
