"""The trace of detection as a document: which rules fired where, and why one did not."""

from __future__ import annotations

from typing import Any

from nnmeter.fusion.trace import Trace, TracedNode


def trace_to_dict(trace: Trace) -> dict[str, Any]:
    """The trace as the JSON report of `nnmeter kernels --trace` has it, under `trace`."""
    return {
        "fired": [
            {
                "stage": firing.stage,
                "pass": firing.pass_name,
                "rule": firing.rule or None,
                "consumed": _nodes(firing.consumed),
                "produced": _nodes(firing.produced),
                "changed": _nodes(firing.changed),
            }
            for firing in trace.firings
        ],
        "rules": [{"name": rule.name, "why": rule.why or None, "source": rule.source or None} for rule in trace.rules],
        "not_fired": [
            {
                "stage": refusal.stage,
                "pass": refusal.pass_name,
                "rule": refusal.rule,
                "anchor": _nodes((refusal.anchor,))[0],
                "reason": refusal.reason,
            }
            for refusal in trace.refusals
        ],
        "idle": [{"pass": name, "reason": reason} for name, reason in trace.idle],
    }


def _nodes(nodes: tuple[TracedNode, ...]) -> list[dict[str, str]]:
    return [{"type": node.kind, "name": node.name} for node in nodes]
