"""Fusion rules from findings, in the format of `nnmeter.fusion.engine.rules`.

1. Every test that is fused, by its best source, becomes one rewrite rule: its operators, in a row, become one node.
   Longer patterns come first. Constants of the catalogue must be constants in the model, and numbers that a pattern is
   about must be those numbers.
2. The node is the *anchor* of the pattern: its convolution or matrix product, where it has one, otherwise its first
   operator. It keeps the anchor's inputs, then those of the others that are not constants. What is fused is named by
   its attribute `fused`, which `nnmeter.kernels.naming` appends to the type: `Conv+Relu`, `MatMul+Gelu`. An
   operator that can be folded into the anchor's constants leaves no name, so that other rules go on from there.
3. A pattern that has a name as a whole (`becomes`) becomes that operator.
4. A node that something was fused into takes nothing more: only what was tried together is stated.
5. Beside what was found, a rule set holds what needs no experiment: constants are folded, and `Identity` and `Dropout`
   do nothing. Rules of layouts, transposes and casts are not found by these experiments.
6. `evidence` says for each rule, and for each test that gave none, what every source said. `load_rules` ignores it.
"""

from __future__ import annotations

import re
from typing import Any

from nnmeter.lab.discovery.catalogue import SIZES, FusionTest, Integers, Scalar
from nnmeter.lab.discovery.counting import KernelCount
from nnmeter.lab.discovery.decision import Estimate, Verdict
from nnmeter.lab.discovery.findings import Discovery, Finding
from nnmeter.lab.discovery.models import operator_nodes

_ANCHORS = frozenset({"Conv", "ConvTranspose", "MatMul", "Gemm"})
_COMMUTATIVE = frozenset({"Add", "Mul", "Max", "Min"})
# Inputs that an operator may have or not: a rule holds in either case.
_OPTIONAL_INPUTS: dict[str, int] = {"Conv": 3, "ConvTranspose": 3, "Gemm": 3}
_FUSED_MARK = "fused"


def rules_of(discovery: Discovery) -> dict[str, Any]:
    """The rule set, ready to be written as JSON; `load_rules` reads it.

    Args:
        discovery: the findings of one device.
    """
    fused = [f for f in discovery.findings if f.best is not None and f.best[0] is Verdict.FUSED]
    rules = [fusion_rule(finding.test) for finding in fused]
    rules.sort(key=lambda rule: -len(rule["match"]))
    passes: list[dict[str, Any]] = [
        {"name": "constants", "kind": "fold_constants", "limit": 1 << 20},
        {
            "name": "no-ops",
            "kind": "eliminate",
            "operators": [{"op": "Identity", "outputs": True}, {"op": "Dropout", "outputs": True}],
        },
    ]
    if rules:
        passes.append({"name": "found", "kind": "rewrite", "rules": rules})
    return {
        "schema_version": 1,
        "name": f"{discovery.runtime}-found",
        "runtime": discovery.runtime,
        "runtime_version": discovery.runtime_version,
        "parameters": {},
        "stages": [{"name": "found", "repeat": 10, "passes": passes}],
        "evidence": {"threads": discovery.threads, "tests": [evidence_of(f) for f in discovery.findings]},
    }


def fusion_rule(test: FusionTest) -> dict[str, Any]:
    """The rewrite rule that a fused test amounts to (rules 1 to 4), as JSON data."""
    pattern = _Pattern(test)
    anchor = next((node for node in pattern.nodes if node["op"] in _ANCHORS), pattern.nodes[0])
    if test.becomes:
        kept = [name for node in pattern.nodes for name in node["inputs"] if name in pattern.outer]
        node: dict[str, Any] = {"op": test.becomes, "inputs": list(dict.fromkeys(kept)), "outputs": ["y"]}
    else:
        written = {name for node in pattern.nodes for name in node["outputs"]}
        inputs = ["x" if name in written else name for name in anchor["inputs"]]
        extra = [name for node in pattern.nodes for name in node["inputs"] if name in pattern.given]
        extra = [name for name in dict.fromkeys(extra) if name not in inputs]
        fused = [node["op"] for node in pattern.nodes if node is not anchor and node["id"] not in pattern.absorbed]
        node = {"op": anchor["op"], "inputs": inputs + extra, "outputs": ["y"]}
        node["attributes"] = {"from": anchor["id"]}
        if fused:
            node["attributes"]["set"] = {_FUSED_MARK: "+".join(fused)}
    return {"name": test.name, "match": pattern.nodes, "where": pattern.where, "replace": [node]}


class _Pattern:
    """The nodes of a test as a pattern.

    Attributes:
        nodes: pattern nodes in order; the first reads `x`, the last writes `y`.
        where: conditions.
        given: tensors that are neither constants nor written by the pattern.
        outer: those and the weights, without numbers that the pattern is about.
        absorbed: ids of nodes that leave no name.
    """

    def __init__(self, test: FusionTest) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.where: list[Any] = []
        self.given: set[str] = {"x"}
        self.outer: set[str] = {"x"}
        self.absorbed: set[str] = set()
        operators = test.operators
        tensor = "x"
        for place, operator in enumerate(operators):
            names = {"x": tensor, "o": "x", "": f"absent{place}?"}
            ids = {}
            result = "y" if place == len(operators) - 1 else f"between{place}"
            for step, node in enumerate(operator_nodes(operator.body.format_map(SIZES[0]))):
                inputs = []
                for name in node.input:
                    if name not in names:
                        names[name] = f"{name}{place}"
                        weight = operator.weights.get(name)
                        if weight is None:
                            self.given.add(names[name])
                            self.where.append(["not", ["constant", names[name]]])
                        elif isinstance(weight, Scalar) and weight.exact:
                            self.where.append(["near", ["scalar", names[name]], weight.value])
                        else:
                            known = isinstance(weight, Integers | Scalar)
                            self.where.append(["known" if known else "constant", names[name]])
                        if weight is None or not isinstance(weight, Scalar):
                            self.outer.add(names[name])
                    inputs.append(names[name])
                for name in node.output:
                    names[name] = result if name == "y" else f"{name}{place}"
                key = ids[f"n{step}"] = f"n{place}_{step}"
                inputs += [f"more{k}_{place}?" for k in range(len(inputs), _OPTIONAL_INPUTS.get(node.op_type, 0))]
                pattern: dict[str, Any] = {"id": key, "op": node.op_type, "inputs": inputs}
                pattern["outputs"] = [names[name] for name in node.output]
                if node.op_type in _COMMUTATIVE:
                    pattern["commutative"] = True
                self.nodes.append(pattern)
                self.where.append(["eq", ["attr", key, _FUSED_MARK, ""], ""])
                if operator.absorbed:
                    self.absorbed.add(key)
            renamed = {**{name: new for name, new in names.items() if name}, **ids}
            renamed["y"] = result
            self.where += [_rename(expression, renamed) for expression in operator.where]
            tensor = result
        self.nodes = _connected(self.nodes)


def evidence_of(finding: Finding) -> dict[str, Any]:
    """What every source said about a test, as JSON data."""
    best = finding.best
    found: dict[str, Any] = {"test": finding.test.name, "size": finding.size + 1}
    if best is not None:
        found["verdict"], found["source"] = best[0].value, best[1]
    if finding.fault:
        found["fault"] = finding.fault
    if finding.estimate is not None:
        found["timings"] = _of_estimate(finding.estimate)
    if finding.executed is not None:
        found["executed_graph"] = _of_count(finding.executed)
    if finding.foreseen is not None:
        found["shipped_rules"] = _of_count(finding.foreseen)
    return found


def _of_estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "verdict": estimate.verdict.value,
        "share": round(estimate.share, 3),
        "interval": [round(value, 3) for value in estimate.interval],
        "saved_ms": round(estimate.saved_ms, 6),
        "saved_interval_ms": [round(value, 6) for value in estimate.saved_interval_ms],
        "head_ms": round(estimate.head_ms, 6),
        "tail_ms": round(estimate.tail_ms, 6),
        "sweeps": estimate.sweeps,
        "too_small": estimate.too_small,
    }


def _of_count(count: KernelCount) -> dict[str, Any]:
    return {
        "verdict": count.verdict.value,
        "kernels_saved": round(count.saved, 2),
        "head": round(count.head, 2),
        "tail": round(count.tail, 2),
        "kernels": list(count.kernels),
    }


def _connected(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The nodes of a pattern in an order in which each shares a tensor with one before it."""
    ordered, left = nodes[:1], nodes[1:]
    while left:
        known = {name for node in ordered for name in (*node["inputs"], *node["outputs"])}
        index = next(i for i, node in enumerate(left) if known & {*node["inputs"], *node["outputs"]})
        ordered.append(left.pop(index))
    return ordered


def _rename(expression: Any, names: dict[str, str]) -> Any:
    """An expression on the names of one operator, on the names of the pattern."""
    if isinstance(expression, list | tuple):
        head, *rest = expression
        return [head, *(_rename(item, names) for item in rest)]
    if isinstance(expression, str) and re.fullmatch(r"[a-z]\d*", expression):
        return names.get(expression, expression)
    return expression
