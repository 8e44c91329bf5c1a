"""The builder: expressions and patterns as they are compiled, and faults that name the rule."""

import pytest

from nnmeter.fusion.rulesets.builder import (
    ANY,
    Around,
    Create,
    Expr,
    Op,
    Procedure,
    Rule,
    all_of,
    any_of,
    choose,
    compile_rule,
    concat,
    constant,
    maybe,
    no_op,
    opset,
    param,
    tensor,
    tensors,
    weight,
)

X, W = tensors("x w")
CONV = Op("Conv", X, W)
SAID = {"why": "It does.", "source": "file.cc, 1.0"}


def compiled(condition: Expr) -> object:
    """The JSON of a condition on a convolution of x by w."""
    rule = Rule("rule", [CONV], where=[condition], replace=Create("Conv", X, W, into=CONV), **SAID)
    return compile_rule(rule)["where"][0]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (X.rank == 2, ["eq", ["rank", "x"], 2]),
        (X.elements != W.dim(0), ["ne", ["elements", "x"], ["dim", "w", 0]]),
        (CONV.uses <= 1, ["le", ["uses", "conv_out"], 1]),
        (CONV.attr("group", 1) > 1, ["gt", ["attr", "conv", "group", 1], 1]),
        (CONV.attr("pads") == [0, 0], ["eq", ["attr", "conv", "pads"], ["list", 0, 0]]),
        (X.dtype.one_of("float32", "int8"), ["in", ["dtype", "x"], "float32", "int8"]),
        (X.scalar.near(2), ["near", ["scalar", "x"], 2]),
        (X.scalar.near(2, 0.1), ["near", ["scalar", "x"], 2, 0.1]),
        (1 - X.rank < 0, ["lt", ["sub", 1, ["rank", "x"]], 0]),
        (2 * X.rank >= W.rank + 1, ["ge", ["mul", 2, ["rank", "x"]], ["add", ["rank", "w"], 1]]),
        (X.shape[:-1] == W.shape[1:], ["eq", ["slice", ["shape", "x"], 0, -1], ["drop", ["shape", "w"], 1]]),
        (X.shape[1:3] == W.shape[0], ["eq", ["slice", ["shape", "x"], 1, 3], ["at", ["shape", "w"], 0]]),
        (W.is_absent, ["not", ["present", "w"]]),
        (
            all_of(W.is_constant, any_of(param("fast"), ~X.is_output)),
            ["and", ["constant", "w"], ["or", ["param", "fast"], ["not", ["output", "x"]]]],
        ),
        (choose(opset() >= 13, 1, 2) == 1, ["eq", ["where", ["ge", ["opset", ""], 13], 1, 2], 1]),
        (concat([1], X.shape).length == 3, ["eq", ["len", ["concat", ["list", 1], ["shape", "x"]]], 3]),
    ],
)
def test_expressions_are_compiled_to_calls(condition: Expr, expected: object) -> None:
    assert compiled(condition) == expected


def test_a_condition_has_no_truth_of_its_own() -> None:
    with pytest.raises(TypeError, match="all_of, any_of, ~"):
        bool(X.rank == 2)
    with pytest.raises(TypeError, match="all_of"):
        assert 1 < X.rank < 3


def test_a_rule_is_compiled_to_what_the_engine_reads() -> None:
    x, w, b, c = tensors("x w b c")
    conv = Op("Conv", x, w, maybe(b))
    add = Op("Add", conv, c, commutative=True)
    bias = weight(dtype=w.dtype, shape=[w.dim(0)], name="bias")
    rule = Rule(
        "sum",
        [add, conv],
        where=[c.is_constant],
        unless=[Around([Op("Relu", add, outputs=[...])])],
        replace=Create("Conv", x, w, bias, attributes=conv.attributes(drop=["auto_pad"], group=1), into=add),
        **SAID,
    )
    assert compile_rule(rule) == {
        "name": "sum",
        "why": "It does.",
        "source": "file.cc, 1.0",
        "match": [
            {"id": "add", "op": "Add", "inputs": ["conv_out", "c"], "outputs": ["add_out"], "commutative": True},
            {"id": "conv", "op": "Conv", "inputs": ["x", "w", "b?"], "outputs": ["conv_out"]},
        ],
        "where": [["constant", "c"]],
        "unless": [{"match": [{"id": "relu", "op": "Relu", "inputs": ["add_out"], "outputs": ["..."]}]}],
        "replace": [
            {
                "op": "Conv",
                "inputs": ["x", "w", "bias"],
                "outputs": ["add_out"],
                "attributes": {"from": "conv", "drop": ["auto_pad"], "set": {"group": 1}},
            }
        ],
        "tensors": {"bias": {"dtype": ["dtype", "w"], "shape": ["list", ["dim", "w", 0]], "constant": True}},
    }


def test_operators_of_one_type_get_numbers_and_new_tensors_names_of_their_own() -> None:
    x, c = tensors("x c")
    first = Op(("Mul", "Div"), x, c, shared=True)
    second = Op("Mul", first, ANY, ...)
    made = Create("Mul", x, constant([1, 2]), None, like=x)
    rule = Rule("two", [second, first], replace=[made, Create("Exp", made, into=second, main=True)], **SAID)
    data = compile_rule(rule)
    assert [node["id"] for node in data["match"]] == ["mul", "mul2"]
    assert data["match"][0]["inputs"] == ["mul2_out", "_", "..."]
    assert data["match"][1] | {"shared": True} == data["match"][1]
    assert data["replace"][0] == {"op": "Mul", "inputs": ["x", "constant", ""], "outputs": ["mul3"]}
    assert data["tensors"] == {"constant": {"value": ["list", 1, 2]}, "mul3": {"like": "x"}}


def test_a_no_op_forwards_its_input() -> None:
    data = compile_rule(no_op("Identity", tensor("x"), ..., renames_outputs=True, **SAID))
    assert (data["forward"], data["outputs"]) == ({"y": "x"}, True)
    assert data["where"] == [["le", ["results", "identity"], 1]]


@pytest.mark.parametrize("missing", ["why", "source"])
def test_a_rule_says_why_and_where_it_is_from(missing: str) -> None:
    said = {**SAID, missing: " "}
    with pytest.raises(ValueError, match=f"rule 'r': needs a '{missing}'"):
        Rule("r", [CONV], replace=Create("Conv", X, W, into=CONV), **said)
    with pytest.raises(ValueError, match="pass 'p': needs 'why' and 'source'"):
        Procedure("p", "unshare", fields={}, **said)


def test_faults_name_the_rule() -> None:
    stranger = Op("Relu", X)
    with pytest.raises(ValueError, match=r"rule 'r': .*; list its operator in `match`"):
        compile_rule(Rule("r", [CONV], replace=Create("Conv", stranger, into=CONV), **SAID))
    with pytest.raises(ValueError, match=r"rule 'r': an operator \('Relu',\) is not in `match`"):
        compile_rule(Rule("r", [CONV], where=[stranger.arity == 1], forward={CONV: X}, **SAID))
    with pytest.raises(ValueError, match="rule 'r': two things are called 'x'"):
        compile_rule(Rule("r", [Op("Add", X, tensor("x"), outputs=[CONV])], forward={CONV: X}, **SAID))
    made = Create("Exp", X)
    with pytest.raises(ValueError, match="rule 'r': a new tensor needs"):
        compile_rule(Rule("r", [CONV], replace=[made, Create("Exp", made, into=CONV, main=True)], **SAID))
    with pytest.raises(TypeError, match="rule 'r': x is no value of a rule"):
        compile_rule(Rule("r", [CONV], where=[X.rank == X], forward={CONV: X}, **SAID))
