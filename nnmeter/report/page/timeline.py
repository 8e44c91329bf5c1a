"""Time and memory by the order of the run: bands of kernels, predicted and measured, and what is live meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nnmeter.report.numbers import format_bytes, format_ms
from nnmeter.report.page.markup import escape, figure, number
from nnmeter.report.timeline import Timeline

if TYPE_CHECKING:
    from nnmeter.prediction.priced_kernel import PricedKernel
    from nnmeter.report.page.content import Subject
    from nnmeter.report.page.operators import Colours

_WIDTH, _LEFT, _RIGHT = 1000.0, 70.0, 10.0
_BAND, _TOP, _AREA = 34.0, 6.0, 130.0
_NARROWEST = 1.2  # a kernel on its own; narrower ones of one colour are drawn together


def timeline_chart(subject: Subject, colours: Colours) -> str:
    """The picture of one prediction; "" where nothing runs."""
    prediction = subject.prediction
    timeline = Timeline(prediction, subject.memory, subject.measured)
    spans = list(timeline.spans())
    predicted = [(kernel, start_ms, kernel.latency_ms) for kernel, start_ms, _ in spans]
    measured = list(timeline.measured_spans())
    bands = [("predicted" if measured else "kernels", predicted), *([("measured", measured)] if measured else [])]
    total = max(sum(taken_ms for _, _, taken_ms in band) for _, band in bands)
    if total <= 0:
        return ""
    scale = (_WIDTH - _LEFT - _RIGHT) / total
    body = []
    bottom = _TOP
    for name, band in bands:
        body += [f'<text class="end" x="{_LEFT - 8}" y="{bottom + 22}">{name}</text>']
        body += _band(band, scale, colours, bottom)
        bottom += _BAND
    memory = subject.memory
    if memory is not None and memory.live_bytes:
        body += _memory(spans, scale, memory.live_bytes, bottom + 12)
        bottom += 12 + _AREA
    for part in range(5):
        x = number(_LEFT + part / 4 * (_WIDTH - _LEFT - _RIGHT))
        anchor = "mid" if 0 < part < 4 else "start" if not part else "end"
        body.append(
            f'<text class="{anchor}" x="{x}" y="{number(bottom + 18)}">{escape(format_ms(total * part / 4))} ms</text>'
        )
    label = f"{len(prediction.kernels)} kernels one after the other, {format_ms(sum(t for *_, t in predicted))} ms"
    if measured:
        label += f"; as measured {format_ms(sum(t for *_, t in measured))} ms"
    if memory is not None and memory.peak_step is not None:
        label += f"; most memory is live, {format_bytes(memory.live_bytes)}, while {memory.peak_step.kernel} runs"
    words = "Timeline: kernels in the order of the run" + (", and the activations that are live" if memory else "")
    return figure(words, label, _WIDTH, bottom + 26, "".join(body))


def _band(spans: Sequence[tuple[PricedKernel, float, float]], scale: float, colours: Colours, top: float) -> list[str]:
    """Kernels as boxes: each with its start and its time in milliseconds."""
    boxes: list[tuple[str, float, float, list[tuple[PricedKernel, float]]]] = []
    for kernel, start_ms, taken_ms in spans:
        left, width, colour = _LEFT + start_ms * scale, taken_ms * scale, colours.of(kernel)
        if boxes and width < _NARROWEST:
            before, start, end, kernels = boxes[-1]
            if end - start < _NARROWEST or (before == colour and len(kernels) > 1):
                boxes[-1] = (before, start, left + width, [*kernels, (kernel, taken_ms)])
                continue
        boxes.append((colour, left, left + width, [(kernel, taken_ms)]))
    found = []
    for colour, start, end, kernels in boxes:
        longest, _ = max(kernels, key=lambda pair: pair[1])
        others = f" and {len(kernels) - 1} more" if len(kernels) > 1 else ""
        words = f"{longest.name} ({longest.type}){others}: {format_ms(sum(t for _, t in kernels))} ms"
        found.append(
            f'<rect class="{colour}" x="{number(start)}" y="{top}" width="{number(max(end - start, 0.3))}" '
            f'height="{_BAND}">'
            f"<title>{escape(words)}</title></rect>\n"
        )
    return found


def _memory(spans: list[tuple[PricedKernel, float, int | None]], scale: float, most: int, top: float) -> list[str]:
    bottom = top + _AREA
    path = [f"M{_LEFT} {number(bottom)}"]
    last = -1.0
    for kernel, start_ms, live in spans:
        y = bottom - (live or 0) / most * _AREA
        x = _LEFT + start_ms * scale
        path.append(f"{f'H{number(x)}' if x - last > 0.05 else ''}V{number(y)}H{number(x + kernel.latency_ms * scale)}")
        last = x + kernel.latency_ms * scale
    path.append(f"V{number(bottom)}Z")
    return [
        f'<path class="grid" d="M{_LEFT} {number(top)}H{_WIDTH - _RIGHT}M{_LEFT} {number(bottom)}H{_WIDTH - _RIGHT}"/>',
        f'<text class="end" x="{_LEFT - 8}" y="{number(top + 10)}">{escape(format_bytes(most))}</text>',
        f'<text class="end" x="{_LEFT - 8}" y="{number(bottom)}">0</text>',
        f'<path class="area" d="{"".join(path)}"/>\n',
    ]
