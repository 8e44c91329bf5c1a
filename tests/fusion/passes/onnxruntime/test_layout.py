"""Blocked channels: which operators take them, and the reorders at the borders."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.engine.rewriting import WorkingGraph
from tests.fusion.models import CONV
from tests.fusion.passes.applying import apply_pass, kinds, only, shape

FIELDS: dict[str, Any] = {
    "domain": "blocked", "block": "block", "alignment": 4, "reorder_input": "ReorderInput",
    "reorder_output": "ReorderOutput", "upsample": "Upsample", "convolutions": ["Conv"], "pools": ["MaxPool"],
    "sums": ["Add"], "products": ["Mul"], "activations": ["Relu", "HardSigmoid"], "fused_activations": ["Relu"],
    "concats": ["Concat"], "normalizations": ["BatchNormalization"], "transposes_out": ["Transpose"],
    "gates": {
        "HardSigmoid": {"activation": "HardSwish", "attributes": {"alpha": 0.25}, "defaults": {"alpha": 0.2}}
    },
}  # fmt: skip
IN, OUT = "blocked.ReorderInput", "blocked.ReorderOutput"
HEAD = "agraph (float[1,16,8,8] x) => (float[1,16,8,8] y) "
W = (16, 16, 3, 3)


def blocked(text: str, block: int = 8, **weights: Any) -> WorkingGraph:
    return apply_pass("layout", FIELDS, text, {"block": block}, **weights)


def test_a_convolution_is_surrounded_by_reorders_and_takes_its_activation() -> None:
    graph = blocked(HEAD + f"{{ a={CONV}(x,w) y=Relu(a) }}", w=W)
    assert kinds(graph) == [IN, "blocked.Conv", OUT]
    assert only(graph, "blocked.Conv").attributes["activation"] == "Relu"


def test_no_reorders_between_blocked_operators() -> None:
    graph = blocked(HEAD + f"{{ a={CONV}(x,w) y={CONV}(a,v) }}", w=W, v=W)
    assert kinds(graph) == [IN, "blocked.Conv", "blocked.Conv", OUT]


def test_few_channels_are_read_as_they_are_and_outputs_are_padded() -> None:
    graph = blocked(f"agraph (float[1,3,8,8] x) => (float[1,12,8,8] y) {{ y={CONV}(x,w) }}", w=(12, 3, 3, 3))
    assert kinds(graph) == ["blocked.Conv", OUT]
    conv = only(graph, "blocked.Conv")
    assert shape(graph, conv.outputs[0]) == (1, 16, 8, 8)
    assert shape(graph, conv.inputs[1]) == (16, 3, 3, 3)
    assert only(graph, OUT).attributes["channels"] == 12


def test_channels_out_of_alignment_stay_as_they_are() -> None:
    text = f"agraph (float[1,10,8,8] x) => (float[1,16,8,8] y) {{ y={CONV}(x,w) }}"
    assert kinds(blocked(text, w=(16, 10, 3, 3))) == ["Conv"]


def test_a_sum_goes_into_the_convolution_that_nobody_else_reads() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) b={CONV}(a,v) y=Add(a,b) }}"
    graph = blocked(text, w=W, v=W)
    assert kinds(graph) == [IN, "blocked.Conv", "blocked.Conv", OUT]
    second = graph.of_kinds(["blocked.Conv"])[1]
    assert len(second.inputs) == 4
    assert second.inputs[2] == ""


def test_a_gate_goes_into_its_convolution() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) g=HardSigmoid<alpha=0.25>(a) b=Mul(a,g) y=Exp(b) }}"
    graph = blocked(text, w=W)
    assert kinds(graph) == [IN, "blocked.Conv", OUT, "Exp"]
    assert only(graph, "blocked.Conv").attributes["activation"] == "HardSwish"
    text = HEAD + f"{{ a={CONV}(x,w) g=HardSigmoid(a) b=Mul(a,g) y=Exp(b) }}"
    assert "Mul" in kinds(blocked(text, w=W))


def test_a_normalization_becomes_a_depthwise_convolution() -> None:
    text = HEAD + f"{{ a={CONV}(x,w) y=BatchNormalization(a,s,b,m,v) }}"
    graph = blocked(text, w=W, s=(16,), b=(16,), m=(16,), v=(16,))
    assert kinds(graph) == [IN, "blocked.Conv", "blocked.Conv", OUT]
    assert graph.of_kinds(["blocked.Conv"])[1].attributes == {"group": 16}


def test_a_machine_without_blocks_changes_nothing() -> None:
    assert kinds(blocked(HEAD + f"{{ a={CONV}(x,w) y=Relu(a) }}", block=1, w=W)) == ["Conv", "Relu"]


def test_a_pool_with_the_attributes_that_have_no_blocked_kernel_stays_plain() -> None:
    pool = "MaxPool<kernel_shape=[2,2],strides=[2,2],{}>"
    fields = {**FIELDS, "plain_pools": {"MaxPool": {"ceil_mode": 1, "storage_order": 1}}}
    found = {}
    for attributes in ("ceil_mode=1", "ceil_mode=1,storage_order=1"):
        text = f"agraph (float[1,16,8,8] x) => (float[1,16,4,4] y) {{ y={pool.format(attributes)}(x) }}"
        found[attributes] = kinds(apply_pass("layout", fields, text, {"block": 8}))
    assert found == {
        "ceil_mode=1": [IN, "blocked.MaxPool", OUT],
        "ceil_mode=1,storage_order=1": ["MaxPool"],
    }
