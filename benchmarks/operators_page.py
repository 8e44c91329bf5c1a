"""Writes the table of operators into docs/operators.md, where a test compares it with the one in the package.

    python benchmarks/operators_page.py [--check]

With --check nothing is written; it exits with 1 if the page is not up to date.
"""

from __future__ import annotations

from pathlib import Path

import click

from nnmeter.operators.table import OPERATORS, REFUSED, refusal

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of the table -->\n"
_READS = {
    "all": "all inputs",
    "taken": "what it returns",
    "chosen": "the experts that are chosen",
    "diagonals": "all inputs, of a diagonal only that",
    "shape": "a shape",
    "nothing": "nothing",
}


def table() -> str:
    """The table as Markdown: a row for operators that share everything, in the order of the package's table."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for name, operator in OPERATORS.items():
        key = (operator.flops.words, _READS[operator.reads], operator.family, operator.source)
        rows.setdefault(key, []).append(name)
    lines = ["| operators | FLOPs | reads | family | defined in |", "|---|---|---|---|---|"]
    for (words, reads, family, source), names in rows.items():
        cost = "none" if reads == "nothing" else words
        lines.append(f"| {', '.join(names)} | {cost} | {reads} | {family} | {source} |")
    lines += ["", "Refused:", ""]
    for domain, name in REFUSED:
        lines.append(f"- `{domain}.{name}`: {refusal(name, domain)}")
    return "\n".join(lines) + "\n"


def updated(page: str) -> str:
    """The page with the table of today."""
    head, _, rest = page.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail if the page is not up to date.")
def main(check: bool) -> None:
    """Write docs/operators.md anew."""
    page = PAGE.read_text(encoding="utf-8")
    if check and page != updated(page):
        raise SystemExit(f"{PAGE} is not up to date; run benchmarks/operators_page.py")
    if not check:
        PAGE.write_text(updated(page), encoding="utf-8")


if __name__ == "__main__":
    main()
