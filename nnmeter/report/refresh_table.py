"""What `nnmeter devices refresh` changed, for a person at a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nnmeter.prediction.refresh import ModelChange, Refresh
from nnmeter.report.devices import describe_hashes, describe_rules
from nnmeter.report.numbers import format_ms, format_share
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text


def render(refresh: Refresh, layout: Layout) -> str:
    """The rules and, model by model, the predictions before and after."""
    text = Text(layout.width, layout.colour)
    text.add(text.bold(refresh.device))
    text.add_wrapped(f"rules {describe_rules(refresh.rule_set, refresh.parameters)}")
    text.add_wrapped(describe_hashes(refresh.trained_with, refresh.after))
    if refresh.before == refresh.after:
        text.add_wrapped("the pack ran with these rules before: nothing changes")
    elif not refresh.before:
        text.add_wrapped(
            "the rules that the pack ran with before are not here, so that only the present predictions are shown; "
            "give a file of the former rules with --before"
        )
    for label, names in (("added", refresh.added), ("removed", refresh.removed), ("edited", refresh.edited)):
        if names:
            text.add()
            text.add(f"{len(names)} rules {label}:")
            for name in names:
                text.add(f"  {name}")
    if refresh.models:
        _add_models(text, refresh)
    return str(text)


def _add_models(text: Text, refresh: Refresh) -> None:
    shown = refresh.models if not refresh.before else [item for item in refresh.models if item.changed]
    text.add()
    if refresh.before:
        text.add(f"{len(shown)} of {len(refresh.models)} models have other kernels or another prediction")
    if not shown:
        return
    _add_types(text, shown)
    rows = []
    for item in shown:
        kernels, trained, latency = (str(sum(item.after.kernels.values())),), item.after.trained, item.after.latency_ms
        if item.before is None:
            rows.append((item.model, "-", *kernels, "-", format_share(trained), "-", format_ms(latency), "-"))
            continue
        earlier = item.before.latency_ms  # 0 where nothing was left to run
        change = f"{100 * (latency / earlier - 1):+.2f} %" if earlier else "-"
        rows.append(
            (
                item.model,
                str(sum(item.before.kernels.values())),
                *kernels,
                format_share(item.before.trained),
                format_share(trained),
                format_ms(earlier),
                format_ms(latency),
                change,
            )
        )
    headings = ("model", "kernels", "now", "trained", "now", "ms", "now", "change")
    text.add_table(headings, "n" + "r" * 7, [rows])


def _add_types(text: Text, models: Sequence[ModelChange]) -> None:
    """The kernels by type before and after, those whose number is another."""
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    for item in models:
        if item.before is not None:
            before.update(item.before.kernels)
            after.update(item.after.kernels)
    rows = [
        (name, str(before[name]), str(after[name])) for name in sorted(before | after) if before[name] != after[name]
    ]
    if rows:
        text.add_table(("kernels of these models", "before", "now"), "nrr", [rows])
