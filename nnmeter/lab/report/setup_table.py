"""What `nnmeter setup` made, for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nnmeter.devices.catalog import packs_by_id
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

if TYPE_CHECKING:
    from nnmeter.lab.transfer.setup import SetupReport

RESTLESS = 0.1  # half the distance of the quartiles of the reference's runs, relative to their median


def render(report: SetupReport, layout: Layout) -> str:
    """What was measured, how good the pack is, and what a longer budget would bring."""
    tried = sorted(report.candidates.items(), key=lambda item: item[1])
    lines = [
        f"{report.pack.id}: {report.pack.path}",
        f"{report.networks} random networks, {report.kernels} kernels, in {report.elapsed_s:.0f} s",
        f"started from {report.prior}" + (f", the best of {len(tried)} starts" if tried[1:] else ""),
    ]
    if report.totals is not None:
        lines.append(
            f"on random networks left out: mean error {report.totals['mape']:.1f} %, "
            f"{report.totals['within_10']:.0f} % within ±10 %"
        )
    if report.coverage is not None:
        lines.append(
            f"90 % intervals are those of networks that people use, which err less than random ones: "
            f"±{100 * report.half_width:.0f} % in the median of these"
        )
    if report.foreseen:
        longer = ", ".join(f"{100 * error:.1f} % with {_minutes(s)}" for s, error in report.foreseen.items())
        lines.append(f"a longer budget would bring about: {longer} (now {100 * report.candidates[report.prior]:.1f} %)")
    if report.is_thin or report.restlessness > RESTLESS:
        why = "few networks were measured" if report.is_thin else "the machine was restless"
        lines.append(f"take it with care, {why}: let nothing else run, and say `nnmeter setup` again, which goes on")
    if packs_by_id().get(report.pack.id) != report.pack.path.absolute():
        lines.append(f"predictions for it: nnmeter predict MODEL --device {report.pack.path}")
    elif report.by_wire:
        lines.append(f"predictions for it: nnmeter predict MODEL --device {report.pack.id}")
    else:
        lines.append("predictions take this pack from now on: nnmeter predict MODEL")
    text = Text(layout.width, layout.colour)
    for line in lines:
        text.add(line)
    return str(text)


def _minutes(seconds: float) -> str:
    return f"--budget {seconds / 60:g}m"
