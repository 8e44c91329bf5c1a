"""A scorecard as a picture: predicted against measured, the errors by family, and their distribution.

1. Upper left: every model, predicted against measured latency on logarithmic axes, with its interval and the band of
   ±10 %. A dark ring marks a model whose measured latency lies outside of its interval.
2. Right: the error of every model by family, the worst family on top. It is the legend of the first panel too: colours
   are of the palette of Okabe and Ito, which the colour-blind tell apart, and shapes differ as well.
3. Lower left: the share of models within an error, for the predictor, the baselines and the noise floor.
4. The same scorecard gives the same bytes (with the same matplotlib): no date, no random names, no settings of a user.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError
from nnmeter.files import write_whole
from nnmeter.report.scorecard import BASELINE_NAMES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg")
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")
_INK, _FAINT, _GRID = "#222222", "#767676", "#E4E4E4"
_LINES: dict[str, tuple[str, Any, float]] = {  # colour, dashes, width
    "nnmeter": ("#0072B2", "-", 2.6),
    "noise floor": ("#222222", (0, (1, 1.2)), 1.6),
    "nearest_kernel": ("#009E73", (0, (6, 2)), 1.4),
    "flops_and_bytes": ("#E69F00", (0, (4, 1.5, 1, 1.5)), 1.4),
    "roofline": ("#CC79A7", (0, (3, 1.5)), 1.4),
    "flops": ("#D55E00", (0, (1.5, 1.5)), 1.4),
}
_OTHER_LINE = (_FAINT, "-", 1.0)
_WIDEST_ERROR = 60.0  # per cent; a model further off is drawn at the edge, with its error in numbers


def check_plot_file(path: Path) -> None:
    """Refuse what `plot_scorecard` could not write, before a long evaluation.

    Raises:
        NnmeterError: the suffix is none of `FORMATS`.
        ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib  # noqa: F401

    if path.suffix.lower() not in FORMATS:
        raise NnmeterError(f"{path}: a plot is a .png or .svg file; give it one of these suffixes")


def plot_scorecard(scorecard: Mapping[str, Any], path: Path) -> None:
    """Draw the scorecard that `Scorecard.to_dict` made into a file, whole or not at all; the suffix decides the format.

    Raises:
        NnmeterError: the suffix is none of `FORMATS`, or the scorecard holds no models.
        ModuleNotFoundError: matplotlib is not installed.
    """
    check_plot_file(path)
    models = scorecard.get("models") or ()
    if not models:
        raise NnmeterError(f"{path}: the scorecard holds no single models to draw; evaluate the pack again")
    import matplotlib

    kind = path.suffix.lower().removeprefix(".")
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        figure = _draw(scorecard, models)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else {"Software": None})
    write_whole(path, buffer.getvalue())


_SETTINGS: Any = {
    "svg.hashsalt": "nnmeter",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": _GRID,
    "grid.linewidth": 0.8,
    "xtick.color": _FAINT,
    "ytick.color": _FAINT,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
}


def _draw(scorecard: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = _families_by_error(models)
    styles = {
        family: (_COLOURS[i % len(_COLOURS)], _MARKERS[(i // len(_COLOURS) + i) % len(_MARKERS)])
        for i, family in enumerate(families)
    }
    height = max(8.6, 0.25 * len(families) + 2.2)
    figure = Figure(figsize=(12.5, height), facecolor="white")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        2, 2, width_ratios=(1.55, 1.0), height_ratios=(1.75, 1.0), left=0.06, right=0.985,
        bottom=0.5 / height, top=1 - 1.25 / height, wspace=0.3, hspace=0.28,
    )  # fmt: skip
    lower = grid[1, 0].subgridspec(1, 2, width_ratios=(1.0, 0.36), wspace=0.0)  # the right of it is for labels
    overall = scorecard["overall"]
    figure.text(0.06, 1 - 0.42 / height, str(scorecard.get("device", "")), size=14, weight="bold", va="center")
    figure.text(
        0.06,
        1 - 0.74 / height,
        f"{overall['models']} models:  ±5 %  {overall['within_5']:.1f} %    ±10 %  {overall['within_10']:.1f} %    "
        f"MAPE  {overall['mape']:.1f} %    Kendall's tau  {overall['kendall_tau']:.3f}    "
        f"{round(100 * scorecard.get('confidence', 0.9))} % intervals hold {scorecard['interval_coverage']:.1f} %, "
        f"mean half width {scorecard['interval_half_width']:.1f} %",
        size=9.5,
        va="center",
    )
    _draw_scatter(figure.add_subplot(grid[0, 0]), models, styles)
    _draw_families(figure.add_subplot(grid[:, 1]), models, families, styles)
    _draw_distribution(figure.add_subplot(lower[0, 0]), scorecard, models)
    return figure


def _draw_scatter(axes: Axes, models: Sequence[Mapping[str, Any]], styles: Mapping[str, tuple[str, str]]) -> None:
    """Panel 1."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    values = [value for m in models for value in (_compared_ms(m), m["low_ms"], m["high_ms"])]
    low, high = 0.8 * min(values), 1.25 * max(values)
    ends = [low, high]
    axes.fill_between(ends, [0.9 * x for x in ends], [1.1 * x for x in ends], color="#0072B2", alpha=0.13, linewidth=0)
    axes.plot(ends, ends, color=_FAINT, linewidth=0.9)
    for model in models:
        colour, marker = styles[model["family"]]
        x, y = _compared_ms(model), model["predicted_ms"]
        missed = not model["low_ms"] <= x <= model["high_ms"]
        axes.plot([x, x], [model["low_ms"], model["high_ms"]], color=colour, linewidth=1.1, alpha=0.55, zorder=2)
        axes.plot(
            [x], [y], marker=marker, color=colour, markersize=5.5, zorder=3, linestyle="none",
            markeredgecolor=_INK if missed else "white", markeredgewidth=1.3 if missed else 0.5,
        )  # fmt: skip
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="measured, ms", ylabel="predicted, ms")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())
    axes.set_title("Predicted against measured latency")
    axes.text(
        0.02, 0.975, "bars: prediction intervals\nband: ±10 %\ndark ring: measured outside of the interval",
        transform=axes.transAxes, va="top", size=8, color=_FAINT, linespacing=1.5,
    )  # fmt: skip


def _draw_families(
    axes: Axes,
    models: Sequence[Mapping[str, Any]],
    families: Sequence[str],
    styles: Mapping[str, tuple[str, str]],
) -> None:
    """Panel 2."""
    errors = [_error(m) for m in models]
    limit = min(max(16.0, 1.15 * max(map(abs, errors))), _WIDEST_ERROR)
    axes.axvspan(-10, 10, color="#0072B2", alpha=0.10, linewidth=0)
    axes.axvspan(-5, 5, color="#0072B2", alpha=0.10, linewidth=0)
    axes.axvline(0, color=_FAINT, linewidth=0.9)
    for row, family in enumerate(families):
        colour, marker = styles[family]
        axes.axhline(row, color=_GRID, linewidth=0.8, zorder=1)
        for error in (e for m, e in zip(models, errors, strict=True) if m["family"] == family):
            shown = min(max(error, -limit), limit)
            axes.plot([shown], [row], marker=marker, color=colour, markersize=6, linestyle="none", alpha=0.85,
                      markeredgecolor="white", markeredgewidth=0.5, clip_on=False, zorder=3)  # fmt: skip
            if shown != error:
                axes.annotate(f"{error:+.0f} %", (shown, row), (0, 6), textcoords="offset points",
                              ha="center", size=7)  # fmt: skip
    axes.set_yticks(range(len(families)), [f"{family} ({_count(models, family)})" for family in families])
    axes.set(xlim=(-limit, limit), ylim=(len(families) - 0.4, -0.6), xlabel="error of the prediction, %")
    marks = [mark for mark in (5, 10, 20, 30, 40, 50, 60) if mark <= limit and (mark != 5 or limit < 25)]
    axes.set_xticks([-m for m in reversed(marks)] + [0, *marks])
    axes.grid(False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title("Error by family (number of models)")


def _draw_distribution(axes: Axes, scorecard: Mapping[str, Any], models: Sequence[Mapping[str, Any]]) -> None:
    """Panel 3."""
    from matplotlib.ticker import MultipleLocator

    curves = error_curves(models)
    limit = min(max(20.0, _quantile(curves["nnmeter"], 0.98)), _WIDEST_ERROR)
    ends: dict[str, float] = {}
    for name, errors in reversed(curves.items()):
        colour, dashes, width = _LINES.get(name, _OTHER_LINE)
        within = [e for e in errors if e <= limit]
        x = [0.0, *within, limit]
        y = [0.0, *(100 * (i + 1) / len(errors) for i in range(len(within))), 100 * len(within) / len(errors)]
        axes.step(x, y, where="post", color=colour, linestyle=dashes, linewidth=width)
        ends[name] = y[-1]
    for mark in (5, 10):
        share = 100 * sum(e <= mark for e in curves["nnmeter"]) / len(models)
        axes.axvline(mark, color=_FAINT, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            f"{share:.0f} %", (mark, share), (-5, 4), textcoords="offset points", ha="right", color="#0072B2", size=9,
            weight="bold", bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "alpha": 0.85, "linewidth": 0},
        )  # fmt: skip
        axes.text(mark, 101, f"±{mark} %", ha="center", va="bottom", size=8, color=_FAINT)
    for name, height in _spread(ends, 7.5, 100.0).items():
        colour = _LINES.get(name, _OTHER_LINE)[0]
        mean = sum(curves[name]) / len(curves[name])
        axes.annotate(
            f"{BASELINE_NAMES.get(name, name)}, MAPE {mean:.1f} %", (limit, height), (6, 0), annotation_clip=False,
            textcoords="offset points", va="center", size=8, color=colour, weight="bold" if name == "nnmeter" else None,
        )  # fmt: skip
    axes.xaxis.set_major_locator(MultipleLocator(5))
    axes.set(xlim=(0, limit), ylim=(0, 100), xlabel="error at most, %", ylabel="share of the models, %")
    axes.set_title("How many models lie within an error", pad=16)


def error_curves(models: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    """The sorted absolute errors in per cent of the predictor, the noise floor and each baseline, that order."""
    curves = {"nnmeter": sorted(abs(_error(m)) for m in models)}
    halves = [m["halves_ms"] for m in models if m.get("halves_ms")]
    if halves:
        curves["noise floor"] = sorted(100 * abs(a / b - 1) for a, b in halves)
    baselines = {
        name: sorted(100 * abs(m["baselines_ms"][name] / _compared_ms(m) - 1) for m in models)
        for name in models[0].get("baselines_ms", {})
    }
    return curves | dict(sorted(baselines.items(), key=lambda item: sum(item[1])))


def _error(model: Mapping[str, Any]) -> float:
    return 100 * (model["predicted_ms"] / _compared_ms(model) - 1)


def _compared_ms(model: Mapping[str, Any]) -> float:
    """What the prediction is compared with: the time in the pack's state of its machine, else as measured."""
    return float(model.get("state_ms") or model["measured_ms"])


def _families_by_error(models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Families by their mean absolute error, the worst first."""
    errors: dict[str, list[float]] = {}
    for model in models:
        errors.setdefault(model["family"], []).append(abs(_error(model)))
    return sorted(errors, key=lambda family: (-sum(errors[family]) / len(errors[family]), family))


def _count(models: Sequence[Mapping[str, Any]], family: str) -> int:
    return sum(m["family"] == family for m in models)


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def _spread(heights: Mapping[str, float], gap: float, top: float) -> dict[str, float]:
    """Heights of labels, moved as little as needed for neighbours to be `gap` apart, from `top` downwards."""
    placed: dict[str, float] = {}
    ceiling = top
    for name in sorted(heights, key=lambda n: -heights[n]):
        placed[name] = min(heights[name], ceiling)
        ceiling = placed[name] - gap
    return placed
