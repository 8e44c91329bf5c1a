"""Time by module as an icicle: each module below the one that it is in, as wide as its share of the time.

A module that is chosen filters the table of kernels. Where the file says nothing of modules, operators take their
place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nnmeter.prediction.modules import module_path
from nnmeter.report.numbers import format_ms, format_share
from nnmeter.report.page.markup import escape, figure, number

if TYPE_CHECKING:
    from nnmeter.report.page.content import Subject
    from nnmeter.report.page.operators import Colours

_WIDTH, _ROW = 1000.0, 26.0
_DEPTH = 6  # levels of modules
_NARROWEST = 1.0  # what is drawn
_CHARACTER = 6.6
_CHOSEN = 14.0  # as wide as a module has to be to be chosen by keyboard


@dataclass
class _Module:
    name: str
    path: str
    latency_ms: float = 0.0
    children: dict[str, _Module] = field(default_factory=dict)
    colours: dict[str, float] = field(default_factory=dict)


def icicle(subject: Subject, colours: Colours) -> str:
    """The picture of one prediction."""
    root, by = _tree(subject, colours)
    levels = 0
    body = []
    for module, depth, left, width in _layout(root, 0, 0.0, _WIDTH):
        levels = max(levels, depth + 1)
        body.append(_box(module, depth, left, width, root.latency_ms))
    caption = f"Time by {by}, as wide as its share; a click filters the kernels below"
    return figure(caption, f"Time by {by}", _WIDTH, levels * _ROW, "".join(body), interactive=True)


def _tree(subject: Subject, colours: Colours) -> tuple[_Module, str]:
    kernels = subject.prediction.kernels
    has_modules = any(module_path(kernel.place)[0] for kernel in kernels)
    root = _Module("all", "")
    for kernel in kernels:
        parts, join = module_path(kernel.place) if has_modules else ((kernel.operator,), "")
        module = root
        _add(module, kernel.latency_ms, colours.of(kernel))
        path: list[str] = []
        for part in parts[:_DEPTH]:
            path.append(part)
            module = module.children.setdefault(part, _Module(part, join.join(path)))
            _add(module, kernel.latency_ms, colours.of(kernel))
    return root, "module" if has_modules else "operator"


def _add(module: _Module, latency_ms: float, colour: str) -> None:
    module.latency_ms += latency_ms
    module.colours[colour] = module.colours.get(colour, 0.0) + latency_ms


def _layout(module: _Module, depth: int, left: float, width: float) -> Iterator[tuple[_Module, int, float, float]]:
    """Module, level, left end and width of each box that is wide enough to be seen; children by time."""
    if width < _NARROWEST:
        return
    yield module, depth, left, width
    for child in sorted(module.children.values(), key=lambda m: -m.latency_ms):
        share = child.latency_ms / module.latency_ms if module.latency_ms else 0.0
        yield from _layout(child, depth + 1, left, width * share)
        left += width * share


def _box(module: _Module, depth: int, left: float, width: float, total_ms: float) -> str:
    share = module.latency_ms / total_ms if total_ms else 0.0
    label = f"{module.path or 'all'}: {format_ms(module.latency_ms)} ms, {format_share(share)}"
    colour = max(module.colours, key=lambda name: module.colours[name], default="cx")
    fits = int((width - 6) / _CHARACTER)
    text = module.name if len(module.name) <= fits else f"{module.name[: fits - 1]}…" if fits > 3 else ""
    keyboard = f' tabindex="0" role="button" aria-label="{escape(label)}"' if width >= _CHOSEN else ""
    y = depth * _ROW
    words = f'<text x="{number(left + 4)}" y="{number(y + 17)}">{escape(text)}</text>' if text else ""
    return (
        f'<g class="pick" data-f="{escape(module.path)}"{keyboard}><title>{escape(label)}</title>'
        f'<rect class="{colour} edge" x="{number(left)}" y="{number(y)}" width="{number(width)}" '
        f'height="{number(_ROW - 1)}"/>'
        f"{words}</g>\n"
    )
