"""Elements of the page. Every text goes through `escape`, which lets no markup and no control character through."""

from __future__ import annotations

import html
from collections.abc import Sequence

from nnmeter.wording import printable

CATEGORIES = 7  # of operators that have a colour of their own; all others share one


def escape(text: object) -> str:
    """A text that a browser shows and does nothing else with, also within an attribute."""
    return html.escape(printable(str(text)), quote=True)


def number(value: float) -> str:
    """A coordinate, with as few digits as a screen needs."""
    return f"{value:.1f}".removesuffix(".0")


def table(caption: str, headings: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """A table of texts, which scrolls by itself where the screen is narrow.

    Args:
        caption: what it shows.
        headings: of the columns.
        rows: cells as texts; they are escaped here.
        numeric: which columns hold numbers.
    """
    classes = [' class="n"' if right else "" for right in numeric]
    head = "".join(f'<th scope="col"{c}>{escape(h)}</th>' for h, c in zip(headings, classes, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{c}>{escape(cell)}</td>' for cell, c in zip(row, classes, strict=True))}</tr>\n"
        for row in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )


def figure(caption: str, label: str, width: float, height: float, body: str, interactive: bool = False) -> str:
    """A picture with its caption; `label` tells those who do not see it what it shows."""
    role = "group" if interactive else "img"
    return (
        f'<figure><figcaption>{escape(caption)}</figcaption><div class="scroll" tabindex="0" role="region" '
        f'aria-label="{escape(caption)}"><svg viewBox="0 0 {number(width)} {number(height)}" role="{role}" '
        f'aria-label="{escape(label)}">{body}</svg></div></figure>\n'
    )


def legend(operators: Sequence[str]) -> str:
    """The colours of operators, as `categories_of` numbers them."""
    items = [*operators, "others"]
    return (
        '<ul class="legend" aria-label="colours">'
        + "".join(
            f'<li><i class="c{i if i < len(operators) else "x"}"></i>{escape(o)}</li>' for i, o in enumerate(items)
        )
        + "</ul>\n"
    )
