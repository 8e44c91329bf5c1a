"""The table of operators: complete, deliberate, and as its rules say."""

import pytest
from onnx import defs

from benchmarks import operators_page
from nnmeter.errors import ModelError
from nnmeter.graph.ir import TensorType
from nnmeter.kernels.features import FAMILIES, FEATURE_NAMES, kernel_family, kernel_features, signature_cost
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.kernels.naming import kernel_signature
from nnmeter.operators.cost import Cost, has_cost_rule, operator_cost
from nnmeter.operators.shape_rules import RULES
from nnmeter.operators.table import OPERATORS, REFUSED, refusal
from tests.binding.making import types_of

STANDARD = ("", "ai.onnx.ml")


def f32(*shape: int) -> TensorType:
    return TensorType("float32", shape)


def u8(*shape: int) -> TensorType:
    return TensorType("uint8", shape)


def test_every_operator_of_the_standard_is_in_the_table() -> None:
    schemas = {(s.domain, s.name) for s in defs.get_all_schemas_with_history()}
    assert len(schemas) > 220
    missing = {(d, name) for d, name in schemas if d in STANDARD and name not in OPERATORS}
    assert not missing
    others = {(d, name) for d, name in schemas if d not in STANDARD}
    assert all(refusal(name, domain) for domain, name in others)


def test_every_contributed_operator_of_onnx_runtime_is_in_the_table_or_refused() -> None:
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")
    if not hasattr(state, "get_all_operator_schema"):
        pytest.skip("this ONNX Runtime does not list its operators")
    domains = ("com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
    schemas = {(s.domain, s.name) for s in state.get_all_operator_schema() if s.domain in domains}
    assert len(schemas) > 100
    assert not {(d, name) for d, name in schemas if name not in OPERATORS and not refusal(name, d)}


def test_every_entry_has_a_rule_in_words_a_source_and_a_family() -> None:
    for name, operator in OPERATORS.items():
        assert operator.flops.words, name
        assert operator.source, name
        assert operator.family in FAMILIES, name
        assert operator.family in FEATURE_NAMES, name
        assert has_cost_rule(name)
    assert not {name for _, name in REFUSED} & OPERATORS.keys()


def test_the_page_of_operators_is_up_to_date() -> None:
    page = operators_page.PAGE.read_text(encoding="utf-8")
    assert page == operators_page.updated(page)
    assert all(f"| {name}," in page or f" {name}," in page or f" {name} |" in page for name in OPERATORS)


def test_every_operator_with_a_shape_rule_is_in_the_table() -> None:
    assert not {op for rules in RULES.values() for op in rules if op not in OPERATORS}


@pytest.mark.parametrize("name", sorted(OPERATORS))
def test_every_operator_has_a_finite_cost_and_features_whatever_its_inputs(name: str) -> None:
    domain = (
        "" if any((s.domain, s.name) == ("", name) for s in defs.get_all_schemas_with_history()) else "com.microsoft"
    )
    several = [f32(2, 4, 8), f32(8, 8), None, f32(2, 3), f32(1), f32(4), f32(8), f32(3, 3), f32(2), f32(1, 9)]
    for inputs in (several, [f32(2, 4, 8, 8), f32(4, 4, 3, 3)], [f32(5)], [f32()], []):
        for outputs in ([f32(2, 4, 8)], [f32(2, 4, 8, 8), f32(2, 4, 4, 4)], [f32(3)]):
            cost = operator_cost(name, domain, {}, inputs, outputs)
            assert all(isinstance(number, int) and number >= 0 for number in cost)
    signature = KernelSignature(
        name, name, domain, (f32(2, 4, 8, 8), f32(4, 4, 3, 3)), (False, True), (f32(2, 4, 8, 8),)
    )
    features = kernel_features(signature)
    assert len(features.values) == len(FEATURE_NAMES[features.family])
    assert kernel_family(signature).endswith(OPERATORS[name].family)


@pytest.mark.parametrize(
    ("op", "inputs", "outputs", "attributes", "flops"),
    [
        ("Einsum", [f32(3, 4), f32(4, 5)], [f32(3, 5)], {"equation": "ij,jk"}, 2 * 3 * 4 * 5),
        ("Det", [f32(2, 6, 6)], [f32(2)], {}, 2 * 2 * 6**3 // 3),
        ("DFT", [f32(1, 8, 2)], [f32(1, 8, 2)], {}, 5 * 8 * 3),
        ("STFT", [f32(1, 64, 1), None, f32(8)], [f32(1, 10, 5, 2)], {}, 10 * 8 * (1 + 5 * 3)),
        ("CausalConvWithState", [f32(1, 6, 9), f32(6, 1, 4), f32(6)], [f32(1, 6, 9)], {}, 54 * 9),
        (
            "LinearAttention",
            [f32(1, 5, 32), f32(1, 5, 16), f32(1, 5, 16)],
            [f32(1, 5, 32)],
            {"q_num_heads": 4, "kv_num_heads": 2, "update_rule": "delta"},
            5 * 4 * 8 * 8 * 6,
        ),
        ("MoE", [f32(7, 8), f32(7, 4), f32(4, 16, 8), None, f32(4, 8, 16)], [f32(7, 8)], {"k": 2}, 7 * 2 * 2 * 256),
        (
            "QMoE",
            [f32(7, 8), f32(7, 4), u8(4, 16, 4), None, None, u8(4, 8, 8)],
            [f32(7, 8)],
            {"k": 2, "expert_weight_bits": 4},
            7 * 2 * 2 * 256,
        ),
        ("MatMulNBitsMlp", [f32(7, 64)], [f32(7, 96)], {"K": 64, "N": 96, "activation": "silu"},
         4 * 7 * 96 * 64 + 9 * 7 * 64),
        (
            "GroupQueryAttention",  # keys and values of 2 heads packed behind queries of 4
            [f32(1, 5, 64)],
            [f32(1, 5, 32), f32(1, 2, 5, 8), f32(1, 2, 5, 8)],
            {"num_heads": 4, "kv_num_heads": 2},
            5 * 5 * (4 * 32 + 13 * 4),
        ),
        ("PackedMultiHeadAttention", [f32(12, 8), None, None, None, None, f32(4)], [f32(12, 8)], {"num_heads": 2},
         12 * 4 * (4 * 8 + 13 * 2)),
        ("TopK", [f32(1024)], [f32(5)], {}, 1024 * 10),
        ("QLinearConvTranspose", [u8(1, 8, 4, 4), f32(), u8(), u8(8, 6, 2, 2)], [u8(1, 6, 8, 8)], {}, 2 * 128 * 24),
    ],
)  # fmt: skip
def test_flops(op: str, inputs: list, outputs: list, attributes: dict, flops: int) -> None:
    assert operator_cost(op, "", attributes, inputs, outputs).flops == flops
    signature = kernel_signature(op, "", attributes, inputs, [False] * len(inputs), outputs)
    fused = signature.type.count("+") * outputs[0].elements
    assert signature_cost(signature).flops - fused == flops  # the signature keeps the attributes that the rule reads


def test_classical_models_cost_what_their_attributes_hold() -> None:
    from onnx import helper

    from tests.binding.making import graph_of

    trees = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], "trees", domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0] * 7 + [1] * 7, nodes_nodeids=[*range(7)] * 2,
    )  # fmt: skip
    (node,) = graph_of([trees], {"x": (100, 5)}, ["y"]).nodes
    found = operator_cost("TreeEnsembleRegressor", "ai.onnx.ml", node.attributes, [f32(100, 5)], [f32(100, 1)])
    assert found == Cost(int(2 * 100 * 2 * 3.169925), 2000, 400)  # log2(7 + 2) levels


@pytest.mark.parametrize(
    ("op", "domain", "reason"),
    [
        ("FlexAttention", "ai.onnx.preview", "have no settled meaning yet; export the model with operators of ai.onnx"),
        ("Adam", "ai.onnx.preview.training", "train a model; export the model for inference"),
        ("BeamSearch", "com.microsoft", "predict that decoder as a model of its own"),
        ("EPContext", "com.microsoft", "predict the model that it was made of"),
    ],
)
def test_what_cannot_be_priced_is_refused_with_a_reason(op: str, domain: str, reason: str) -> None:
    with pytest.raises(ModelError, match=rf"node 'node' \({domain}.{op}\): .*{reason}"):
        types_of(op, [(2, 3)], domain=domain)
