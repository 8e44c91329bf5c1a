"""Comparisons as `nnmeter compare` reports them, and how their numbers are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Literal

from nnmeter.report.columns import format_dims
from nnmeter.report.numbers import TOP_KERNELS, format_interval, format_ms
from nnmeter.wording import format_probability

if TYPE_CHECKING:
    from nnmeter.comparison.changes import Change, ChangeGroup
    from nnmeter.comparison.comparison import Comparison
    from nnmeter.prediction.prediction import Prediction

By = Literal["type", "operator", "module"]

_NO_MODULE = "(no module)"
_LEAST_SHOWN_MS = 5e-7


@dataclass(frozen=True, slots=True)
class ComparisonReport:
    """What is reported.

    Attributes:
        comparisons: each with the first subject, on one device or several.
        by: what the difference is attributed to beside the kinds of change; None for nothing.
        depth: levels of modules to tell apart.
        top: how many changes are shown; None for the usual number.
    """

    comparisons: Sequence[Comparison]
    by: By | None = None
    depth: int = 2
    top: int | None = None

    @property
    def in_detail(self) -> bool:
        """Whether each of several comparisons is shown with its changes, below all in a row each."""
        return self.by is not None or self.top is not None

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that models are compared on; none where one model is compared on several."""
        if any(c.before.device != c.after.device for c in self.comparisons):
            return ()
        return tuple(dict.fromkeys(c.after.device for c in self.comparisons))

    def greatest(self, comparison: Comparison) -> list[Change]:
        """The changes that make most of a difference, those that make none left out."""
        changed = [c for c in comparison.changes if c.kind != "unchanged" and abs(c.difference_ms) > _LEAST_SHOWN_MS]
        return sorted(changed, key=lambda change: -abs(change.difference_ms))[: self.top or TOP_KERNELS]

    def groups(self, comparison: Comparison) -> Sequence[ChangeGroup]:
        """The difference as `by` asks for it; equal groups left out."""
        groups = {
            None: tuple,
            "type": comparison.by_type,
            "operator": comparison.by_operator,
            "module": lambda: comparison.by_module(self.depth),
        }[self.by]()
        return [group for group in groups if abs(group.difference_ms) > _LEAST_SHOWN_MS]

    def label(self, group: ChangeGroup) -> str:
        """What a person reads as the group's name."""
        return group.name or _NO_MODULE


def heading_of(comparison: Comparison) -> tuple[str, str, str]:
    """What is compared: the labels of both, and ` on DEVICE` where it is one."""
    before, after = comparison.before, comparison.after
    where = f" on {before.device}" if before.device == after.device else ""
    return label_of(before, after), label_of(after, before), where


def label_of(prediction: Prediction, other: Prediction) -> str:
    """What tells a prediction from another: the model's name, sizes, the device."""
    words = [_short_name(prediction.model, other.model if prediction.model != other.model else "")]
    if dict(prediction.dims) != dict(other.dims) and prediction.dims:
        words.append(format_dims(prediction.dims))
    if prediction.device != other.device:
        words.append(f"on {prediction.device}")
    return " ".join(words)


def _short_name(model: str, other: str) -> str:
    """The name of a file without its folder, unless both have that name."""
    name = PurePath(model).name or model
    return model if name == (PurePath(other).name or other) else name


def format_change(difference_ms: float) -> str:
    """A difference in milliseconds with its sign: `+1.23`, `-0.0123`, `0`."""
    if abs(difference_ms) <= _LEAST_SHOWN_MS:
        return "0"
    return f"{'+' if difference_ms > 0 else '-'}{format_ms(abs(difference_ms))}"


def format_percent(ratio: float) -> str:
    """A ratio of two times as a change: `+12.3 %`; as a factor from 2 on."""
    if ratio >= 2:
        return f"x {ratio:.3g}"
    return f"{100 * (ratio - 1):+.1f} %" if abs(ratio - 1) >= 0.0005 else "0 %"


def verdict_of(comparison: Comparison) -> str:
    """Who is faster, with which probability, or that it cannot be told: a sentence without its full stop."""
    first = label_of(comparison.before, comparison.after)
    second = label_of(comparison.after, comparison.before)
    if comparison.verdict == "equal":
        return f"both execute the same kernels: {first} and {second} take the same time"
    slower = comparison.probability_slower
    if comparison.verdict == "cannot tell":
        leaning, sure = ("slower", slower) if slower >= 0.5 else ("faster", 1 - slower)
        return (
            f"cannot tell which is faster: {second} is {leaning} with a probability of {format_probability(sure)} only"
        )
    sure = max(slower, 1 - slower)
    return f"{second} is {comparison.verdict}, with a probability of {format_probability(sure)}"


def difference_of(comparison: Comparison) -> str:
    """The difference in milliseconds and as a share, with its interval."""
    confidence = round(100 * comparison.confidence)
    low, high = comparison.difference_interval_ms
    low_ratio, high_ratio = comparison.ratio_interval
    return (
        f"{format_change(comparison.difference_ms)} ms ({format_percent(comparison.ratio)}), {confidence} % interval "
        f"{format_change(low)} to {format_change(high)} ms "
        f"({format_percent(low_ratio)} to {format_percent(high_ratio)})"
    )


def times_of(comparison: Comparison) -> list[tuple[str, ...]]:
    """A row for each side: its label, time, interval, and number of kernels."""
    before, after = comparison.before, comparison.after
    return [
        (label_of(one, other), format_ms(one.latency_ms), format_interval(one.interval_ms), str(len(one.kernels)))
        for one, other in ((before, after), (after, before))
    ]


@dataclass(frozen=True, slots=True)
class Overview:
    """Several comparisons with one subject, in a row each.

    Attributes:
        subject: the label of what all are compared with.
        where: ` on DEVICE` where all are on one device.
        headings: of the columns.
        rows: the label, the device where there are several, both times, the difference with its interval, and the
            change in per cent.
    """

    subject: str
    where: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def overview_of(report: ComparisonReport) -> Overview:
    """All comparisons of a report in a table; its renderers add the verdicts."""
    first, devices = report.comparisons[0], report.devices
    several = len(devices) > 1
    interval = f"{round(100 * first.confidence)} % interval"
    return Overview(
        label_of(first.before, first.after),
        f" on {devices[0]}" if len(devices) == 1 else "",
        ("", *(("on",) if several else ()), "before ms", "after ms", "difference", interval, ""),
        tuple(_overview_row(comparison, several) for comparison in report.comparisons),
    )


def _overview_row(comparison: Comparison, several_devices: bool) -> tuple[str, ...]:
    low, high = comparison.difference_interval_ms
    return (
        label_of(comparison.after, comparison.before),
        *((comparison.after.device,) if several_devices else ()),
        format_ms(comparison.before.latency_ms),
        format_ms(comparison.after.latency_ms),
        format_change(comparison.difference_ms),
        f"{format_change(low)} to {format_change(high)}",
        format_percent(comparison.ratio),
    )
