"""How numbers and names are written: in reports, and where a prediction shows itself."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor

_UNITS = {"T": 10**12, "G": 10**9, "M": 10**6, "k": 10**3}


def format_ms(latency_ms: float) -> str:
    """Milliseconds with three significant digits: `0.0123`, `1.23`, `12.3`, `1234`."""
    if latency_ms <= 0:
        return "0"
    exponent = int(f"{latency_ms:.2e}".partition("e")[2])  # after rounding: 9.999 is 10.0
    return f"{latency_ms:.{min(max(2 - exponent, 0), 6)}f}"


def format_interval(interval_ms: Sequence[float]) -> str:
    """An interval of milliseconds: `21.9 - 25.1`."""
    low, high = interval_ms
    return f"{format_ms(low)} - {format_ms(high)}"


def format_share(share: float) -> str:
    """A share of one as a percentage: `12.3 %`; `< 0.1 %` for one that would read as none."""
    percent = 100 * share
    if 0 < percent < 0.05:
        return "< 0.1 %"
    return f"{percent:.1f} %" if percent < 99.95 or percent == 100 else "> 99.9 %"


def format_probability(probability: float) -> str:
    """A probability as a percentage that never claims to be certain: `97 %`, `> 99.9 %`."""
    if probability > 0.999:
        return "> 99.9 %"
    if probability < 0.001:
        return "< 0.1 %"
    digits = 1 if probability < 0.01 or probability > 0.99 else 0
    return f"{floor(10**digits * 100 * probability) / 10**digits:.{digits}f} %"


def format_count(count: int) -> str:
    """A count in the unit that suits it: `4.09 G`, `25.6 M`, `512`."""
    for unit, size in _UNITS.items():
        if count >= size:
            return f"{format_ms(count / size)} {unit}"
    return str(count)


def format_bytes(size: float) -> str:
    """A size with three significant digits, in the unit that suits it: `12.3 MiB`, `512 B`."""
    if size < 1024:
        return f"{round(size)} B"
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1000 or unit == "GiB":
            break
    return f"{format_ms(size)} {unit}"


def printable(text: str) -> str:
    """`text` without characters that would make a terminal do something: names in a file may have any."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shorten(name: str, width: int) -> str:
    """`name` cut to `width` characters at its beginning: the end of an operator's path tells most."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]
