"""Document x format: every file is found by its name, imports when asked for, and lets no control character through."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import pytest

from nnmeter.lab.report import LAB
from nnmeter.report.documents import to_json, write_csv
from nnmeter.report.markdown import escape, markdown_table
from nnmeter.report.registry import CORE, Registry
from nnmeter.report.text import Text
from tests.conftest import REPOSITORY

HOSTILE = "name\x1b[2J\x9b31m\u202e\x00\x7f|<script>"
PAIRS = [(registry, d, f) for registry in (CORE, LAB) for d in registry.documents() for f in registry.formats(d)]


def test_documents_of_the_core_and_of_the_lab() -> None:
    documents = (
        "advice check comparison devices exchange found groups kernels memory pack predictions pruning refresh "
        "scorecard sparsity sweep trace whatif"
    )
    assert CORE.documents() == tuple(sorted([*documents.split(), "nodedata", "page", "timeline"]))
    assert LAB.documents() == (
        "calibration", "fusion", "imported", "measurements", "profiles", "setup", "verification",
    )  # fmt: skip


def test_the_table_is_the_first_format_of_all() -> None:
    for_programs_or_browsers = {"nodedata", "page", "timeline"}
    documents = {(registry, document) for registry, document, _ in PAIRS if document not in for_programs_or_browsers}
    assert {registry.formats(document)[0] for registry, document in documents} == {"table"}
    assert CORE.formats("predictions")[:4] == ("table", "json", "csv", "md")


@pytest.mark.parametrize(("registry", "document", "report_format"), PAIRS, ids=lambda value: str(value)[-24:])
def test_every_file_that_is_named_so_is_a_renderer(registry: Registry, document: str, report_format: str) -> None:
    module = importlib.import_module(f"{registry.package}.{document}_{report_format}")
    assert registry.renderer(document, report_format) is module.render
    assert module.__doc__


@pytest.mark.parametrize(("document", "report_format"), [("predictions", "poem"), ("poems", "table")])
def test_what_is_not_there_is_named_with_what_is(document: str, report_format: str) -> None:
    with pytest.raises(KeyError, match=r"there are table|it has advice"):
        CORE.renderer(document, report_format)


def test_asking_for_formats_imports_no_renderer() -> None:
    script = (
        "import sys; from nnmeter.report.registry import CORE; CORE.formats('predictions');"
        "print([m for m in sys.modules if m.startswith('nnmeter.report.') and '_' in m.rpartition('.')[2]])"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_no_format_lets_control_characters_through() -> None:
    text = Text(80, colour=True)
    text.add(HOSTILE)
    text.add_wrapped(HOSTILE)
    text.add_facts([(HOSTILE, HOSTILE)])
    text.add_table((HOSTILE,), "n", [[(HOSTILE,)]])
    text.add_warnings([HOSTILE])
    styles = ("\x1b[1m", "\x1b[2m", "\x1b[33m", "\x1b[0m")
    table = str(text)
    for style in styles:
        table = table.replace(style, "")
    written = [
        table,
        to_json({HOSTILE: HOSTILE}),
        write_csv((HOSTILE,), [(HOSTILE,)]),
        "\n".join([escape(HOSTILE), *markdown_table((HOSTILE,), "l", [(HOSTILE,)])]),
    ]
    for report in written:
        assert "name" in report
        assert report.replace("\n", "").isprintable(), report
    assert "<script>" not in written[3]


def test_json_escapes_and_keeps_names() -> None:
    import json

    assert json.loads(to_json({"name": HOSTILE})) == {"name": HOSTILE}
    with pytest.raises(ValueError, match="number"):
        to_json({"ms": float("nan")})


def test_csv_has_no_formulas() -> None:
    assert write_csv(("a",), [("=SUM(A1)",), ("@x",), (1.5,), (None,)]).splitlines() == [
        "a", "'=SUM(A1)", "'@x", "1.5", '""',
    ]  # fmt: skip


def test_nothing_is_cut_where_no_width_is_known() -> None:
    name, text = "x" * 300, Text(None, colour=False)
    text.add_table(("name", "ms"), "nr", [[(name, "1")]])
    assert name in str(text)
    narrow = Text(80, colour=False)
    narrow.add_table(("name", "ms"), "nr", [[(name, "1")]])
    assert max(map(len, str(narrow).splitlines())) == 80
    assert "…" in str(narrow)
