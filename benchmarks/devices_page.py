"""Writes the table of all device packs that ship into docs/devices.md, where a test compares it with the packs.

    python benchmarks/devices_page.py [--check]

With --check nothing is written; it exits with 1 if the page is not up to date.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, find_device, in_groups
from nnmeter.report.devices_table import group_of

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "devices.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
_COLUMNS = "device|hardware|runtime|precision|tested on|±5 %|±10 %|±20 %|MAPE|tau|intervals|source".split("|")
_HEAD = (f"| {' | '.join(_COLUMNS)} |", f"|{'---|' * 4}{'--:|' * 7}---|")


def table() -> str:
    """A section for each group of devices, a row for each pack."""
    packs = in_groups(find_device(path) for path in sorted((REPOSITORY / "predictors").iterdir()) if path.is_dir())
    kinds = [list(members) for _, members in groupby(packs, key=lambda device: group_of(device.card))]
    lines = [f"{len(packs)} devices: {', '.join(f'{len(k)} {group_of(k[0].card)}' for k in kinds)}.", ""]
    for members in kinds:
        lines += [f"### {group_of(members[0].card)}", "", *_HEAD, *map(_row, members), ""]
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with the packs of today."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


def _row(device: DeviceInfo) -> str:
    card, score = device.card, device.scorecard or {}
    runtime = card.runtime if card.version == "unknown" else f"{card.runtime} {card.version}"
    cells = [f"`{device.id}`", card.hardware, runtime, card.precision, *_figures(score), _source(card)]
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _figures(score: Mapping[str, Any]) -> Iterator[str]:
    overall = score.get("overall") or {}
    yield str(overall.get("models", "-"))
    yield _percent(overall.get("within_5"))
    yield _percent(overall.get("within_10"))
    yield _percent(overall.get("within_20", _within(score, 0.2)))
    yield _percent(overall.get("mape"))
    tau = overall.get("kendall_tau")
    yield "-" if tau is None else f"{tau:.3f}"
    yield _percent(score.get("interval_coverage"))


def _within(score: Mapping[str, Any], bound: float) -> float | None:
    """The share of models whose prediction is that near, in per cent."""
    errors = [abs(m["predicted_ms"] / m["measured_ms"] - 1) for m in score.get("models", ())]
    return 100 * sum(error <= bound for error in errors) / len(errors) if errors else None


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} %"


def _source(card: Card) -> str:
    published = card.fingerprint.get("published")
    if not published:
        return "measured by nnmeter"
    return f"[{published['name']}]({published['url']}), {published['license']}"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is not up to date.")
def main(check: bool) -> None:
    """Write docs/devices.md anew."""
    page = PAGE.read_text(encoding="utf-8")
    if check and page != updated(page):
        raise SystemExit(f"{PAGE} is not up to date; run benchmarks/devices_page.py")
    if not check:
        PAGE.write_text(updated(page), encoding="utf-8")


if __name__ == "__main__":
    main()
