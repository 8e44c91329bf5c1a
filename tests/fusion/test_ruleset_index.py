"""The index of rule sets, and what general code asks it of runtimes."""

from __future__ import annotations

import json

import pytest

from nnmeter.errors import DeviceError
from nnmeter.fusion.loading import load_rules, rules_to_dict, with_parameters
from nnmeter.fusion.ruleset_hash import rules_hash
from nnmeter.fusion.ruleset_index import (
    INDEX,
    extra_of,
    find_rule_set,
    make_index,
    rule_set_named,
    rule_set_of,
    rule_sets,
)


def test_the_index_says_what_the_rule_sets_say() -> None:
    assert json.loads(INDEX.read_text(encoding="utf-8")) == make_index(), "run python -m nnmeter.fusion.ruleset_index"


@pytest.mark.parametrize("name", rule_sets())
def test_the_hash_is_that_of_the_loaded_rules(name: str) -> None:
    rules = load_rules(name)
    assert rule_sets()[name].hash_of({}) == rules_hash(rules_to_dict(rules))


def test_the_hash_is_of_the_parameters_too() -> None:
    narrow = with_parameters(load_rules("onnxruntime_cpu"), block=8)
    assert rule_sets()["onnxruntime_cpu"].hash_of({"block": 8}) == rules_hash(rules_to_dict(narrow))


@pytest.mark.parametrize(
    ("runtime", "rule_set", "place", "kind"),
    [
        ("onnxruntime", "onnxruntime_cpu", "server", "cpu"),
        ("openvino", "openvino_cpu", "server", "cpu"),
        ("mnn", "mnn_cpu", "server", "cpu"),
        ("tract", "tract_cpu", "server", "cpu"),
        ("onnxruntime-basic", "onnxruntime_basic", "server", "cpu"),
        ("tensorrt", "tensorrt_cuda", "server", "gpu"),
        ("tflite", "tflite21_cpu", "phone", "cpu"),
        ("tflite-gpu", "tflite_gpu", "phone", "gpu"),
        ("openvino-myriad", "openvino2019r2_myriad", "stick", "vpu"),
    ],
)
def test_a_runtime_has_one_rule_set_that_says_what_it_is_of(runtime: str, rule_set: str, place: str, kind: str) -> None:
    found = rule_set_of(runtime)
    assert (found.id, found.place, found.kind) == (rule_set, place, kind)


def test_of_two_rule_sets_of_a_runtime_one_is_the_default() -> None:
    for runtime in {info.runtime for info in rule_sets().values()}:
        sets = [info for info in rule_sets().values() if info.runtime == runtime]
        assert len(sets) == 1 or sum(info.default for info in sets) == 1, runtime


def test_a_runtime_without_a_rule_set_is_an_error_that_names_the_remedy() -> None:
    assert find_rule_set("ncnn") is None
    with pytest.raises(DeviceError, match="ncnn: no fusion rules of this runtime ship; give some with --rules"):
        rule_set_of("ncnn")


def test_a_rule_set_is_found_by_id_and_by_what_it_calls_itself() -> None:
    assert rule_set_named("onnxruntime_cpu") is rule_set_named("onnxruntime-cpu") is rule_sets()["onnxruntime_cpu"]
    assert rule_set_named("found by timings") is None


def test_extras_of_runtimes_are_those_of_the_package() -> None:
    from importlib.metadata import metadata

    assert (extra_of("onnxruntime"), extra_of("openvino"), extra_of("numpy")) == ("onnxruntime", "openvino", "")
    declared = set(metadata("nnmeter").get_all("Provides-Extra") or ())
    assert {info.extra for info in rule_sets().values() if info.extra} <= declared
