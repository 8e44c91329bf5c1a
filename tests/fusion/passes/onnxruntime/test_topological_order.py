"""The order in which ONNX Runtime sorts operators, as its dumps show it."""

from nnmeter.fusion.engine.rewriting import WorkingGraph
from nnmeter.fusion.passes.onnxruntime.topological_order import topological_order
from tests.fusion.models import make_graph


def order(body: str, outputs: str = "float[?,?] y") -> str:
    graph = WorkingGraph(make_graph(f"agraph (float[4,4] x) => ({outputs}) {{ {body} }}"))
    places = topological_order(graph)
    return " ".join(node.kind for node in sorted(places, key=places.__getitem__))


def test_what_comes_last_in_the_graph_runs_first_with_all_that_it_needs() -> None:
    assert order("q=Relu(x) k=Exp(x) l=Neg(k) y=MatMul(q,l)") == "Exp Neg Relu MatMul"


def test_the_last_result_comes_first() -> None:
    assert order("y=Relu(x) z=Exp(x)", "float[?,?] y, float[?,?] z") == "Exp Relu"


def test_what_several_read_runs_once_before_the_first_of_them() -> None:
    assert order("a=Relu(x) b=Exp(a) c=Neg(a) y=Add(b,c)") == "Relu Neg Exp Add"
