"""The registry of reports: a renderer for each document and format.

1. A renderer is one file beside the others of its package, `DOCUMENT_FORMAT.py`, with one function
   `render(document, layout) -> str`. `nnmeter/report/predictions_csv.py` writes predictions as CSV. There is no list to
   add it to: the file is the entry.
2. The name of a file decides, so that a verb knows its formats without importing a renderer, and a report imports the
   one that it needs.
3. A renderer's text ends with a newline. Names in it come from files of strangers: it takes them through `Text`
   (tables), `markdown_table` or `escape` (Markdown), `write_csv` (CSV) or `to_json`, which let no control character
   through.
4. The core's documents lie in `nnmeter.report` (`CORE`), those of the lab in `nnmeter.lab.report`.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nnmeter.collector import paused_collector

# Formats in the order in which a help text names them; others follow by name.
_USUAL_ORDER = ("table", "json", "csv", "md")


@dataclass(frozen=True)
class Layout:
    """How a report is laid out.

    Attributes:
        several: one row (or list item) a model, as for several models or a folder, even when there is only one.
        width: columns that a line may take; None where nothing is cut, as in a file or a pipe.
        colour: whether a terminal reads it, with colour.
        explain: say of each kernel outside of the trained range what is missing.
        sort: what rows are sorted by, a key of `nnmeter.report.sorting`; "" for the usual order.
        top: how many rows a table shows; None for the usual number.
    """

    several: bool = False
    width: int | None = None
    colour: bool = False
    explain: bool = False
    sort: str = ""
    top: int | None = None


@dataclass(frozen=True)
class Registry:
    """The renderers of one package.

    Attributes:
        package: its name.
    """

    package: str

    def documents(self) -> tuple[str, ...]:
        """The documents that have a renderer, by name."""
        return tuple(sorted({document for document, _ in _renderers(self.package)}))

    def formats(self, document: str) -> tuple[str, ...]:
        """The formats of a document, `table` first.

        Raises:
            KeyError: no renderer is there for this document.
        """
        found = [name for known, name in _renderers(self.package) if known == document]
        if not found:
            raise KeyError(f"{document}: {self.package} has no renderer; it has {', '.join(self.documents())}")
        usual = [name for name in _USUAL_ORDER if name in found]
        return (*usual, *sorted(set(found) - set(usual)))

    def renderer(self, document: str, report_format: str) -> Callable[[Any, Layout], str]:
        """The renderer of a document in a format, imported now.

        Raises:
            KeyError: there is none; the message names those that there are.
        """
        formats = self.formats(document)
        if report_format not in formats:
            raise KeyError(f"{document} as {report_format}: no renderer; there are {', '.join(formats)}")
        module = importlib.import_module(f"{self.package}.{document}_{report_format}")
        render: Callable[[Any, Layout], str] = module.render
        return render

    def render(self, document: str, content: Any, report_format: str, layout: Layout | None = None) -> str:
        """The report of `content` as a text that ends with a newline.

        Args:
            document: what it is: "predictions", "scorecard", ...
            content: what the renderers of this document take.
            report_format: one of `formats(document)`.
            layout: how to lay it out.
        """
        renderer = self.renderer(document, report_format)
        with paused_collector():
            return renderer(content, layout or Layout())


CORE = Registry("nnmeter.report")


@lru_cache
def _renderers(package: str) -> tuple[tuple[str, str], ...]:
    """Document and format of every module of a package that is named so (rule 1); names are not looked into."""
    folder = importlib.import_module(package).__path__[0]
    names = (entry.removesuffix(".py") for entry in sorted(os.listdir(folder)) if entry.endswith(".py"))
    pairs = (name.rpartition("_")[::2] for name in names if not name.startswith("_"))
    return tuple((document, report_format) for document, report_format in pairs if document)
