"""Tables as JSON.

Rules:

1. The file is an object: `format`, `schema_version`, `device`, `space` (options by name), `terms` (each with the names
   of its choices and its entries in one list, the options of the last choice changing fastest), `verified`, `steps`.
2. Options come back as JSON has them: lists are tuples, all else as it was.
3. What is read is checked member by member; nothing of it is run.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from nnmeter.errors import NnmeterError, brief
from nnmeter.files import is_number, parse_json, read_limited, write_whole
from nnmeter.limits import MAX_JSON_BYTES
from nnmeter.search.space import Space
from nnmeter.search.terms import Step, Term, Verified

FORMAT = "nnmeter latency table"
SCHEMA_VERSION = 1


class Saved(NamedTuple):
    """What a file holds of a table; see `nnmeter.search.table.LatencyTable`."""

    space: Space
    device: str
    terms: tuple[Term, ...]
    verified: Verified
    steps: tuple[Step, ...]


def write_saved(table: Saved, path: str | os.PathLike[str]) -> None:
    """Write a table (rule 1).

    Raises:
        NnmeterError: an option is nothing that JSON can hold.
        OSError: the file cannot be written.
    """
    names = table.space.names
    document = {
        "format": FORMAT,
        "schema_version": SCHEMA_VERSION,
        "device": table.device,
        "space": {name: [_plain(name, option) for option in given] for name, given in table.space.options.items()},
        "terms": [
            {"choices": [names[at] for at in term.choices], "latency_ms": term.latency_ms.ravel().tolist()}
            for term in table.terms
        ],
        "verified": asdict(table.verified),
        "steps": [asdict(step) for step in table.steps],
    }
    write_whole(path, json.dumps(document, allow_nan=False) + "\n")


def read_saved(path: str | os.PathLike[str]) -> Saved:
    """Read a table that `write_saved` wrote.

    Raises:
        NnmeterError: the file cannot be read, is no table, or is damaged.
    """
    try:
        document = parse_json(read_limited(path, MAX_JSON_BYTES), finite=True)
    except OSError as fault:
        raise NnmeterError(f"{path}: cannot be read ({fault.strerror or fault}); give a saved table") from fault
    except ValueError as fault:
        raise NnmeterError(f"{path}: is no JSON ({brief(fault, 80)}); give a saved table") from fault
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NnmeterError(f"{path}: is no latency table; give a file that LatencyTable.save wrote")
    if document.get("schema_version") != SCHEMA_VERSION:
        raise NnmeterError(f"{path}: was written by another version of nnmeter; make the table again")
    try:
        return _table(document)
    except NnmeterError as fault:
        raise NnmeterError(f"{path}: is damaged ({brief(fault, 200)}); make the table again") from fault
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as fault:
        raise NnmeterError(f"{path}: is damaged ({type(fault).__name__}: {brief(fault, 80)}); make it again") from fault


def _table(document: dict[str, Any]) -> Saved:
    space = Space({name: [_tuples(option) for option in given] for name, given in document["space"].items()})
    places = {name: at for at, name in enumerate(space.names)}
    terms = []
    for data in document["terms"]:
        choices = tuple(places[name] for name in data["choices"])
        if list(choices) != sorted(set(choices)):
            raise NnmeterError("the choices of a term are not in the order of the space")
        entries = np.array([_number(value) for value in data["latency_ms"]], np.float64)
        shape = tuple(space.sizes[at] for at in choices)
        terms.append(Term(choices, entries.reshape(shape)))
    if not terms:
        raise NnmeterError("it has no terms")
    if not isinstance(document["device"], str):
        raise NnmeterError("its device has no name")
    verified = Verified(**{name: _number(value) for name, value in document["verified"].items()})  # type: ignore[arg-type]
    steps = tuple(Step(**{name: _number(value) for name, value in step.items()}) for step in document["steps"])  # type: ignore[arg-type]
    return Saved(space, document["device"], tuple(terms), verified, steps)


def _number(value: Any) -> float | int:
    if not is_number(value):
        raise NnmeterError(f"{value!r:.40} is no number")
    return value


def _plain(name: str, option: Any) -> Any:
    """An option as JSON holds it."""
    if hasattr(option, "item") and getattr(option, "shape", None) == ():
        option = option.item()
    if isinstance(option, list | tuple):
        return [_plain(name, part) for part in option]
    if option is None or isinstance(option, bool | int | float | str):
        return option
    raise NnmeterError(
        f"choice '{name}': the option {option!r:.80} cannot be saved; name options by numbers, words or lists of these"
    )


def _tuples(option: Any) -> Any:
    if isinstance(option, dict):
        raise NnmeterError("an option is an object")
    return tuple([_tuples(part) for part in option]) if isinstance(option, list) else option
