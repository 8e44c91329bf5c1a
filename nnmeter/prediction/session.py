"""Which session of a runtime is predicted for a model that leaves dimensions free.

ONNX Runtime makes another graph of a model whose dimensions it knows than of one whose it does not: it folds the
arithmetic of shapes, and makes one Gemm of a MatMul and an Add. A prediction is of the session that a program gets
which does no more than load the model, and says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from nnmeter.graph.input_sizes import InputSizes, Session
from nnmeter.graph.ir import Graph
from nnmeter.graph.notes import Note
from nnmeter.graph.unbound import UnboundModel

RUNTIMES = frozenset({"onnxruntime"})  # those whose rule sets tell the sessions apart

_WORDS: dict[Session, str] = {
    "free": "counted as in a session that does not know the sizes of free dimensions, as InferenceSession(model) makes "
    "it; --session bound counts one that does",
    "bound": "counted as in a session that knows the sizes of free dimensions, by add_free_dimension_override_by_name; "
    "--session free counts one that does not",
}


def with_session(sizes: InputSizes, runtimes: Iterable[str]) -> InputSizes:
    """Sizes that say which session is meant, for the runtimes of the devices that a model is predicted on."""
    if RUNTIMES.isdisjoint(runtimes):
        return replace(sizes, session="bound")
    return sizes if sizes.session is not None else replace(sizes, session="free")


def session_of(model: UnboundModel | None, graph: Graph, runtime: str) -> Session | None:
    """The session that a graph was bound for; None where there is but one."""
    if model is None or runtime not in RUNTIMES or all(declared.static is not None for declared in model.inputs):
        return None
    return "free" if graph.free else "bound"


def session_notes(session: Session | None) -> tuple[Note, ...]:
    """What is to be said of a session."""
    return () if session is None else (Note(_WORDS[session], "session"),)
