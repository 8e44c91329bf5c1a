"""A page about predictions: one HTML file, without a network, whose style and script are in it.

1. Names come from files of strangers. They are escaped (`nnmeter.report.page.markup`), they are no part of the script,
   and a policy in the head lets a browser run that script alone and load nothing.
2. Pictures and tables are written here, so that the page says the same without a script; the script sorts and filters.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from nnmeter.report.page.icicle import icicle
from nnmeter.report.page.kernels import kernel_table
from nnmeter.report.page.markup import escape, legend
from nnmeter.report.page.operators import Colours
from nnmeter.report.page.roofline import roofline_chart
from nnmeter.report.page.timeline import timeline_chart
from nnmeter.report.page.verdict import head_of, outside_of, verdict_of_subject
from nnmeter.report.registry import Layout

if TYPE_CHECKING:
    from nnmeter.report.page.content import Page, Subject

_FILES = Path(__file__).with_name("page")


def render(page: Page, layout: Layout) -> str:
    """The file."""
    from nnmeter._version import __version__

    style, script = (_FILES.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "form-action 'none'; base-uri 'none'"
    )
    colours = Colours(page.subjects)
    sections = "".join(_section(subject, number, colours) for number, subject in enumerate(page.subjects))
    title = escape(page.title)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="referrer" content="no-referrer">\n'
        f"<title>{title} - nnmeter</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1>\n{head_of(page)}{_choice(page)}</header>\n<main>\n{sections}</main>\n"
        f"<footer><p>Predicted by nnmeter {escape(__version__)}.</p></footer>\n"
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


def _choice(page: Page) -> str:
    """What chooses one of several predictions; shown by the script."""
    if len(page.subjects) < 2:
        return ""
    options = "".join(f'<option value="p{n}">{escape(s.name)}</option>' for n, s in enumerate(page.subjects))
    return f'<p hidden><label for="choice">Show</label> <select id="choice">{options}</select></p>\n'


def _section(subject: Subject, number: int, colours: Colours) -> str:
    parts = "".join(_parts(subject, number, colours))
    return (
        f'<section class="prediction" id="p{number}" aria-labelledby="h{number}">\n'
        f'<h2 id="h{number}">{escape(subject.name)}</h2>\n{parts}</section>\n'
    )


def _parts(subject: Subject, number: int, colours: Colours) -> Iterator[str]:
    yield verdict_of_subject(subject)
    yield "<h3>Where the time goes</h3>\n"
    yield legend(colours.operators)
    yield icicle(subject, colours)
    yield timeline_chart(subject, colours)
    yield "<h3>What kernels reach</h3>\n"
    yield roofline_chart(subject, colours)
    yield "<h3>Trained range</h3>\n"
    yield outside_of(subject)
    yield "<h3>Kernels</h3>\n"
    yield kernel_table(subject, number, colours)
