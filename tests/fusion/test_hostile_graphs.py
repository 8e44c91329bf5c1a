"""Graphs on which a naive matcher is quadratic, and the limit of steps behind which the rest of them ends."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnmeter.errors import ModelError
from nnmeter.fusion.detect import detect_kernels, rewrite_graph
from nnmeter.fusion.engine import rewriting
from nnmeter.fusion.engine.readers import ManyReaders
from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.engine.rules import FusionRules
from nnmeter.fusion.loading import load_rules
from nnmeter.fusion.passes.openvino.elementwise import MOST_NODES
from nnmeter.graph.ir import Graph, Node, TensorType
from tests.fusion.models import make_graph
from tests.fusion.random_graphs import WEIGHTS, random_texts

RULES = {name: load_rules(name) for name in ("onnxruntime_cpu", "openvino_cpu", "mnn_cpu")}
KIND = TensorType("float32", (1, 8, 4, 4))


def graph_of(nodes: list[tuple[str, list[str], str]], outputs: list[str]) -> Graph:
    made = [Node(op, "", f"n{i}", tuple(read), (written,)) for i, (op, read, written) in enumerate(nodes)]
    types = {"x": KIND, **{written: KIND for _, _, written in nodes}}
    return Graph("hostile", made, ["x"], outputs, types, set(), {}, {"": 17})


def chain(count: int, *operators: str) -> Graph:
    nodes = [(operators[i % len(operators)], [f"t{i - 1}" if i else "x"], f"t{i}") for i in range(count)]
    return graph_of(nodes, [f"t{count - 1}"])


def hub(count: int, first: str, second: str) -> Graph:
    nodes = [(first, ["x"], f"a{i}") for i in range(count)]
    nodes += [(second, [f"a{i}"], f"b{i}") for i in range(count)]
    return graph_of(nodes, [f"b{i}" for i in range(count)])


def steps(graph: Graph, rules: str) -> int:
    """What detection spends."""
    work = rewrite_graph(graph, RULES[rules])
    return WorkingGraph(graph).effort - work.effort


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "make",
    [
        lambda count: chain(count, "Relu"),
        lambda count: chain(count, "Identity"),
        lambda count: chain(count, "Sigmoid", "Exp"),
        lambda count: hub(count, "Relu", "Neg"),
        lambda count: hub(count, "Identity", "Relu"),
    ],
    ids=["chain", "identities", "activations", "hub", "hub of identities"],
)
def test_steps_grow_with_the_size_of_long_chains_and_hubs(make, rules: str) -> None:
    few, many = steps(make(800), rules), steps(make(1600), rules)
    assert many < 2.5 * few + 1000


@pytest.mark.parametrize("rules", RULES)
def test_every_operator_of_a_long_chain_is_in_a_kernel(rules: str) -> None:
    kernels = detect_kernels(chain(1000, "Relu", "Sigmoid"), RULES[rules])
    assert sum(len(kernel.nodes) for kernel in kernels) == 1000
    assert max(len(kernel.nodes) for kernel in kernels) <= MOST_NODES


def test_a_graph_that_takes_too_many_steps_is_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "BASE_EFFORT", 0)
    monkeypatch.setattr(rewriting, "EFFORT_PER_NODE", 2)
    with pytest.raises(ModelError, match=r"do not come to an end on its graph .*; simplify the model"):
        detect_kernels(hub(50, "Identity", "Relu"), RULES["onnxruntime_cpu"])


def nested(depth: int, name: str, inner: Graph) -> Graph:
    """A graph in a Loop in a Loop ..., each of which runs twice."""
    for level in range(depth):
        loop = Node("Loop", "", f"{name}{level}", ("x",), ("y",), {"body": inner, "nested_graphs": ((inner, 2),)})
        inner = Graph("body", [loop], ["x"], ["y"], {"x": KIND, "y": KIND}, set(), {}, {"": 17})
    return inner


def test_names_of_kernels_in_nested_graphs_are_counted_before_they_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = nested(2, "loop", chain(50, "Tan"))
    names = [kernel.name for kernel in detect_kernels(graph, RULES["onnxruntime_cpu"])]
    assert names[2] == "loop1/loop0/n0"
    assert detect_kernels(graph, RULES["onnxruntime_cpu"])[2].count == 4
    monkeypatch.setattr("nnmeter.fusion.detect.MAX_EXPANDED_CHARACTERS", sum(map(len, names)))
    with pytest.raises(ModelError, match=r"node 'loop1/loop0': the kernels .* give the operators shorter names"):
        detect_kernels(graph, RULES["onnxruntime_cpu"])  # names of kernels and of what they stand for


def test_what_nested_graphs_read_is_looked_for_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    plain = rewriting._outer_reads
    monkeypatch.setattr(rewriting, "_outer_reads", lambda *a: looked.append(1) or plain(*a))
    detect_kernels(nested(20, "loop", chain(3, "Tan")), RULES["onnxruntime_cpu"])
    assert len(looked) < 3 * 20


def test_sources_that_are_copied_again_and_again_cost_steps() -> None:
    work = WorkingGraph(chain(4, "Tan"))
    before = work.effort
    work.types["new"] = KIND
    work.add_node("Tan", "new", ["x"], ["new"], {}, 9.0, tuple(map(str, range(100_000))))
    assert before - work.effort > 50_000


def test_nodes_that_stand_for_no_operator_cost_more_steps() -> None:
    spent = []
    for sources in (("n0",), ()):
        work = WorkingGraph(chain(4, "Tan"))
        before = work.effort
        work.types["new"] = KIND
        work.add_node("Tan", "new", ["x"], ["new"], {}, 9.0, sources)
        spent.append(before - work.effort)
    assert spent[1] > 5 * spent[0]


def test_equal_readers_of_one_tensor_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = graph_of([("Sum", ["x"] * 3000, "y")], ["y"])
    assert steps(graph, "onnxruntime_cpu") < 200_000


@given(st.lists(st.tuples(st.sampled_from(["append", "remove"]), st.integers(0, 5)), max_size=60))
def test_many_readers_count_as_a_list_does(changes: list[tuple[str, int]]) -> None:
    plain: list[int] = []
    many: ManyReaders[int] = ManyReaders(())
    for change, reader in changes:
        if change == "append":
            plain.append(reader)
            many.append(reader)
        elif reader in plain:
            plain.remove(reader)
            many.remove(reader)
        else:
            with pytest.raises(ValueError, match="does not read"):
                many.remove(reader)
        assert len(many) == len(plain)
        assert Counter(many) == Counter(plain)
        assert bool(many) == bool(plain)
        if plain:
            assert many[0] in plain
            assert many[:2] == list(many)[:2]


GRAPHS = random_texts().map(lambda text: make_graph(text, **WEIGHTS))


@given(GRAPHS)
@settings(max_examples=40, deadline=None)
def test_kernels_are_the_same_however_readers_are_kept(graph: Graph) -> None:
    usual = detect_kernels(graph, RULES["onnxruntime_cpu"])
    before = rewriting.LONG
    rewriting.LONG = 1
    try:
        assert detect_kernels(graph, RULES["onnxruntime_cpu"]) == usual
    finally:
        rewriting.LONG = before


@given(GRAPHS, st.sampled_from(["t{}", "~{}", "a/{}", "{}~1", "é{}"]))
@settings(max_examples=40, deadline=None)
def test_names_do_not_matter(graph: Graph, form: str) -> None:
    numbers = {name: form.format(i) for i, name in enumerate(graph.types)}
    numbers[""] = ""
    renamed = Graph(
        graph.name,
        [
            Node(n.op_type, n.domain, form.format(f"n{i}"), tuple(numbers[t] for t in n.inputs),
                 tuple(numbers[t] for t in n.outputs), n.attributes)
            for i, n in enumerate(graph.nodes)
        ],
        [numbers[name] for name in graph.inputs],
        [numbers[name] for name in graph.outputs],
        {numbers[name]: kind for name, kind in graph.types.items()},
        {numbers[name] for name in graph.initializers},
        {numbers[name]: value for name, value in graph.values.items()},
        graph.opsets,
    )  # fmt: skip
    found = [kernel.signature for kernel in detect_kernels(renamed, RULES["onnxruntime_cpu"])]
    assert found == [kernel.signature for kernel in detect_kernels(graph, RULES["onnxruntime_cpu"])]


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
@pytest.mark.parametrize("shape", ["0,16,8,8", "0,16,4,8"])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_batches_of_nothing_are_resized_behind_convolutions(rules: FusionRules, shape: str, mode: str) -> None:
    body = f'a=Conv(x,w) r=Resize<mode="{mode}",coordinate_transformation_mode="asymmetric",nearest_mode="floor">(a,,s)'
    text = f"agraph (float[{shape}] x) => (float[?,?,?,?] y) {{ {body} y=Conv(r,w) }}"
    scales = np.array([1, 1, 2, 2], np.float32)
    kernels = detect_kernels(make_graph(text, w=(16, 16, 1, 1), s=scales), rules)
    assert any("Conv" in kernel.signature.type for kernel in kernels)
