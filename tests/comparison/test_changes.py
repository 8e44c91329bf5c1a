"""What became of kernels: each kind of change, and that all of them add up."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from nnmeter.comparison.alignment import align, base_operator
from nnmeter.comparison.changes import Change, find_changes, group_by_kind
from nnmeter.prediction.predict import LatencyPredictor
from nnmeter.prediction.prediction import Prediction
from tests.comparison.conftest import make_chain


def changes_between(before: Prediction, after: Prediction) -> tuple[Change, ...]:
    changes = find_changes(before.kernels, after.kernels)
    assert sum(c.difference_ms for c in changes) + after.overhead_ms - before.overhead_ms == pytest.approx(
        after.latency_ms - before.latency_ms
    )
    assert Counter(k.name for c in changes for k in c.before) == Counter(k.name for k in before.kernels)
    assert Counter(k.name for c in changes for k in c.after) == Counter(k.name for k in after.kernels)
    return changes


def kinds(changes: tuple[Change, ...]) -> Counter[str]:
    return Counter(change.kind for change in changes)


def test_a_model_is_unchanged_to_itself(predictor: LatencyPredictor) -> None:
    prediction = predictor.predict(make_chain())
    changes = changes_between(prediction, prediction)
    assert kinds(changes) == {"unchanged": len(prediction.kernels)}
    assert all(change.detail == "" for change in changes)


def test_a_layer_more_is_added_and_the_others_stay(predictor: LatencyPredictor) -> None:
    """The exporter numbers layers, so that all names behind the new one are those of others."""
    before = predictor.predict(make_chain((16, 32, 64), names="conv_{}"))
    after = predictor.predict(make_chain((16, 16, 32, 64), names="conv_{}"))
    changes = changes_between(before, after)
    assert kinds(changes) == {"added": 1, "unchanged": len(before.kernels)}
    (added,) = (change for change in changes if change.kind == "added")
    assert added.after[0].signature is not None
    assert added.after[0].signature.outputs[0].shape[1] == 16
    assert added.difference_ms > 0
    backwards = changes_between(after, before)
    assert kinds(backwards) == {"removed": 1, "unchanged": len(before.kernels)}


def test_wider_layers_are_resized_one_by_one(predictor: LatencyPredictor) -> None:
    before, after = predictor.predict(make_chain((16, 32, 64))), predictor.predict(make_chain((16, 48, 64)))
    changes = [c for c in changes_between(before, after) if c.kind != "unchanged"]
    assert [c.before[0].name for c in changes] == ["/layer1/Relu", "/layer2/Relu"]
    assert [c.after[0].name for c in changes] == ["/layer1/Relu", "/layer2/Relu"]
    assert kinds(tuple(changes)) == {"resized": 2}
    assert changes[0].detail == "weights 32x16x3x3 -> 48x16x3x3, result 1x32x14x14 -> 1x48x14x14"


def test_another_stride_is_another_setting(predictor: LatencyPredictor) -> None:
    before, after = predictor.predict(make_chain((16,))), predictor.predict(make_chain((16,), stride=2))
    changes = changes_between(before, after)
    (conv,) = (c for c in changes if c.kernel.operator == "Conv")
    assert conv.kind == "other settings"
    assert "strides 1x1 -> 2x2" in conv.detail


def test_an_operator_that_is_not_absorbed_any_more_was_fused_otherwise(predictor: LatencyPredictor) -> None:
    """Of one model on two devices: one makes a kernel of what the other makes two of."""
    prediction = predictor.predict(make_chain((16,)))
    (conv,) = (k for k in prediction.kernels if k.operator == "Conv")
    assert set(conv.nodes) == {"/layer0/Conv", "/layer0/Relu"}
    apart = (
        replace(conv, type="Conv", nodes=("/layer0/Conv",), signature=None),
        replace(conv, type="Relu", operator="Relu", nodes=("/layer0/Relu",), signature=None, latency_ms=0.5),
    )
    after = tuple(part for k in prediction.kernels for part in (apart if k is conv else (k,)))
    (change,) = (c for c in find_changes(prediction.kernels, after) if c.kind != "unchanged")
    assert change.kind == "fused otherwise"
    assert (len(change.before), len(change.after)) == (1, 2)
    assert change.difference_ms == pytest.approx(0.5)
    assert change.detail == "nchwc.Conv+Relu -> Conv and Relu"


def test_another_precision_of_one_operator(predictor: LatencyPredictor) -> None:
    before = predictor.predict(make_chain((16,)))
    conv = next(k for k in before.kernels if k.operator == "Conv")
    quantized = replace(conv, operator="QLinearConv", type="QLinearConv", signature=None)
    after = tuple(quantized if k is conv else k for k in before.kernels)
    assert kinds(find_changes(before.kernels, after))["other precision"] == 1


def test_the_same_kernels_on_another_device_are_priced_otherwise(predictor: LatencyPredictor) -> None:
    before = predictor.predict(make_chain((16, 32)))
    after = tuple(replace(k, type=k.type.removeprefix("nchwc."), latency_ms=2 * k.latency_ms) for k in before.kernels)
    assert set(kinds(find_changes(before.kernels, after, same_device=False))) == {"priced otherwise"}


def test_equal_kernels_out_of_order_are_unchanged(predictor: LatencyPredictor) -> None:
    before = predictor.predict(make_chain((16, 32, 64)))
    after = before.kernels[2:] + before.kernels[:2]
    assert kinds(find_changes(before.kernels, after)) == {"unchanged": len(before.kernels)}


def test_long_sequences_are_aligned_in_pieces(predictor: LatencyPredictor, monkeypatch: pytest.MonkeyPatch) -> None:
    kernels = predictor.predict(make_chain((16, 32, 64, 32, 16))).kernels * 4
    whole = align(kernels, kernels)
    monkeypatch.setattr("nnmeter.comparison.alignment._MOST_CELLS", 50)
    assert align(kernels, kernels) == whole
    assert [(group.before, group.after) for group in whole] == [((i,), (i,)) for i in range(len(kernels))]


def test_nothing_is_aligned_with_nothing() -> None:
    assert align((), ()) == []


def test_groups_keep_the_order_of_kinds_and_the_sums(predictor: LatencyPredictor) -> None:
    before, after = predictor.predict(make_chain((16, 32))), predictor.predict(make_chain((16, 48, 48)))
    groups = group_by_kind(changes_between(before, after))
    assert [group.name for group in groups] == ["added", "resized", "unchanged"]
    assert sum(group.kernels_after for group in groups) == len(after.kernels)
    assert sum(group.difference_ms for group in groups) == pytest.approx(after.latency_ms - before.latency_ms)


@pytest.mark.parametrize(
    ("operator", "base"),
    [("Conv", "Conv"), ("QLinearConv", "Conv"), ("ConvInteger", "Conv"), ("QLinearMatMul", "MatMul"),
     ("MatMulNBits", "MatMul"), ("QLinearAdd", "Add"), ("Softmax", "Softmax")],
)  # fmt: skip
def test_an_operator_is_the_same_in_every_precision(operator: str, base: str) -> None:
    assert base_operator(operator) == base
