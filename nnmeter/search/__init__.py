"""The latency oracle of a search: a space of choices as a table that answers in microseconds.

>>> from nnmeter.search import tabulate
>>> table = tabulate({"depth": [2, 3, 4], "kernel": [3, 5, 7]}, build, "ID OF A DEVICE PACK")
>>> table.predict([{"depth": 2, "kernel": 7}])

`tabulate` learns which choices matter together and what each costs; the `LatencyTable` that it returns predicts many
candidates at once, has gradients for one-shot search, and is saved as JSON (`read_table`).
"""

from __future__ import annotations

from nnmeter.search.lookup_table import LookupTable, layer_name, lookup_table
from nnmeter.search.space import Space
from nnmeter.search.table import LatencyTable, read_table
from nnmeter.search.tabulate import tabulate
from nnmeter.search.terms import Term, Verified

__all__ = [
    "LatencyTable",
    "LookupTable",
    "Space",
    "Term",
    "Verified",
    "layer_name",
    "lookup_table",
    "read_table",
    "tabulate",
]
