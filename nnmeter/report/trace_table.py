"""The trace of detection as text: a line a change, and of the rules asked for a line a refusal."""

from __future__ import annotations

from typing import Any

from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(document: dict[str, Any], layout: Layout) -> str:
    """The document of `kernels_to_dict` with its `trace`, as text."""
    text = Text(layout.width, layout.colour)
    trace = document["trace"]
    text.add(f"{text.bold(document['model'])} on {document['device']}: what the fusion rules did")
    heading = None
    for fired in trace["fired"]:
        if (fired["stage"], fired["pass"]) != heading:
            heading = fired["stage"], fired["pass"]
            text.add(f"{fired['stage']} / {fired['pass']}")
        name = f"{fired['rule']}: " if fired["rule"] else ""
        text.add(f"  {name}{_change(fired)}")
    if not trace["fired"]:
        text.add("nothing changed: every operator is a kernel")
    for rule in trace["rules"]:
        text.add()
        text.add(f"rule {text.bold(rule['name'])}")
        for key in ("why", "source"):
            if rule[key]:
                text.add(f"  {key}: {rule[key]}")
        where = [fired for fired in trace["fired"] if (fired["rule"] or fired["pass"]) == rule["name"]]
        text.add(f"  fired {len(where)} times" if where else "  never fired")
        for refused in trace["not_fired"]:
            if refused["rule"] == rule["name"]:
                text.add(f"  not at {_name(refused['anchor'])} ({refused['pass']}): {refused['reason']}")
    for idle in trace["idle"]:
        text.add(f"pass {idle['pass']} never ran: {idle['reason']}")
    return str(text)


def _name(node: dict[str, str]) -> str:
    return f"{node['type']} '{node['name']}'"


def _change(fired: dict[str, Any]) -> str:
    consumed, produced, changed = (", ".join(map(_name, fired[key])) for key in ("consumed", "produced", "changed"))
    if not consumed and not produced:
        return f"changed {changed}"
    return f"{consumed or 'nothing'} -> {produced or 'nothing'}{f'; changed {changed}' if changed else ''}"
