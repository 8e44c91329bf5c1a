"""Reductions, and what is computed along an axis. See graphs_rules.py."""

from __future__ import annotations

from typing import Any

from graphs_elements import pairwise
from graphs_record import Recorder, integers
from graphs_rules import Arguments, Rule, input_of


def _axes(a: Arguments, x: Any, key: str = "dim") -> list[int]:
    dims = a.get(key)
    dims = [dims] if isinstance(dims, int) else list(dims or range(x.dim()))
    return sorted(d % x.dim() for d in dims)


def _reduction(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = input_of(a)
        axes, keeps = _axes(a, x), bool(a.get("keepdim"))
        if operator == "ReduceMean" and x.dim() == 4 and axes == [2, 3]:
            place = r.node("GlobalAveragePool", [r.reference(x)])
            r.note(y, place if keeps else r.node("Reshape", [place, integers(y.shape)]))
            return
        result = y[0] if isinstance(y, (tuple, list)) else y
        r.note(result, r.node(operator, [r.reference(x), integers(axes)], keepdims=None if keeps else 0))

    return rule


def _max(r: Recorder, a: Arguments, y: Any) -> None:
    (pairwise("Max") if "other" in a else _reduction("ReduceMax"))(r, a, y)


def _variance(with_mean: bool, root: bool) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        x = input_of(a)
        axes = integers(_axes(a, x))
        mean = r.node("ReduceMean", [r.reference(x), axes])
        apart = r.node("Sub", [r.reference(x), mean])
        keeps = bool(a.get("keepdim"))
        spread = r.node("ReduceMean", [r.node("Mul", [apart, apart]), axes], keepdims=None if keeps else 0)
        spread = r.node("Sqrt", [spread]) if root else spread
        if with_mean:
            r.note(y[0], spread)
            r.note(y[1], mean if keeps else r.node("Reshape", [mean, integers(y[1].shape)]))
        else:
            r.note(y, spread)

    return rule


def _norm(r: Recorder, a: Arguments, y: Any) -> None:
    x, order = input_of(a), a.get("p", a.get("ord"))
    if order not in (1, 2, None):
        raise ValueError(f"a norm of order {order}")
    operator = "ReduceL1" if order == 1 else "ReduceL2"
    r.note(y, r.node(operator, [r.reference(x), integers(_axes(a, x))], keepdims=None if a.get("keepdim") else 0))


def _softmax(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        axis = a["dim"] % a["self"].dim()
        r.emit(operator, [a["self"]], y, axis=axis if axis != a["self"].dim() - 1 else None)

    return rule


def _cumsum(r: Recorder, a: Arguments, y: Any) -> None:
    r.note(y, r.node("CumSum", [r.reference(a["self"]), f"k:{a['dim'] % a['self'].dim()}"]))


def _arg(operator: str) -> Rule:
    def rule(r: Recorder, a: Arguments, y: Any) -> None:
        r.emit(operator, [a["self"]], y, axis=a["dim"] % a["self"].dim(), keepdims=None if a["keepdim"] else 0)

    return rule


def _topk(r: Recorder, a: Arguments, y: Any) -> None:
    place = r.node("TopK", [r.reference(a["self"]), integers([a["k"]])], 2, axis=a["dim"] % a["self"].dim())
    r.note(y[0], [place, 0])
    r.note(y[1], [place, 1])


REDUCTIONS: dict[str, Rule] = {
    "mean": _reduction("ReduceMean"),
    "sum": _reduction("ReduceSum"),
    "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"),
    "max": _max,
    "logsumexp": _reduction("ReduceLogSumExp"),
    "var_mean": _variance(True, False),
    "std_mean": _variance(True, True),
    "var": _variance(False, False),
    "std": _variance(False, True),
    "norm": _norm,
    "linalg_vector_norm": _norm,
    "cumsum": _cumsum,
    "argmax": _arg("ArgMax"),
    "topk": _topk,
    **dict.fromkeys(("softmax", "_softmax"), _softmax("Softmax")),
    **dict.fromkeys(("log_softmax", "_log_softmax"), _softmax("LogSoftmax")),
}
