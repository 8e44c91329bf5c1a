"""What a model loses where channels go: a file of sensitivities, or none.

1. A file of JSON has an entry a layer, by any name that the layer is known by (`groups.py`). An entry is losses by the
   share of channels that goes, `{"0.25": 0.004, "0.5": 0.02}`, between which the loss is linear and beyond which it
   goes on as in the last piece; or the importance of each channel, `[0.9, 0.01, ...]`, of which the least go first.
2. A file of CSV is one of NNI's sensitivity analysis: a heading `layername,0.1,0.2,...` and a row a layer with what the
   model reached at each sparsity. The loss is what it reaches less than at the first.
3. The loss of a group is the sum of those of its layers that have an entry. A group without one is not pruned.
4. Without a file the loss of a group is the square of the share of channels that goes: every layer counts the same, and
   it is better to take a little of many than much of one.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from nnmeter.errors import NnmeterError, brief
from nnmeter.files import parse_json, read_limited
from nnmeter.limits import MAX_JSON_BYTES
from nnmeter.pruning.groups import PrunableGroup, PrunableModel

_FORMS = 'give losses by share, {"0.25": 0.01, "0.5": 0.03}, or the importance of each channel, [0.9, 0.1, ...]'

Entry = Mapping[float, float] | Sequence[float]


@dataclass(frozen=True)
class Sensitivity:
    """What layers lose.

    Attributes:
        entries: by the name of a layer, losses by share, or importances of channels (rule 1).
        source: what errors call it.
    """

    entries: Mapping[str, Entry]
    source: str = "sensitivity"


def read_sensitivity(path: str | os.PathLike[str]) -> Sensitivity:
    """Read a file of sensitivities (rules 1 and 2).

    Raises:
        NnmeterError: it is no such file.
    """
    source = os.fspath(path)
    try:
        data = read_limited(path, MAX_JSON_BYTES)
    except (OSError, ValueError) as fault:
        raise NnmeterError(f"{source}: cannot be read ({brief(fault)}); {_FORMS}") from fault
    if data.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] == b"{":
        return Sensitivity(_of_json(data, source), source)
    return Sensitivity(_of_csv(data, source), source)


def _of_json(data: bytes, source: str) -> dict[str, Entry]:
    try:
        content = parse_json(data, finite=True)
    except ValueError as fault:
        raise NnmeterError(f"{source}: is not valid JSON ({brief(fault)}); {_FORMS}") from fault
    found: dict[str, Entry] = {}
    for layer, entry in content.items():
        try:
            if isinstance(entry, dict):
                found[layer] = {float(share): float(loss) for share, loss in entry.items()}
            else:
                found[layer] = [float(importance) for importance in entry]
        except (TypeError, ValueError, OverflowError) as fault:
            raise NnmeterError(
                f"{source}: the entry of '{brief(layer, 80)}' is not read ({brief(fault)}); {_FORMS}"
            ) from fault
    return found


def _of_csv(data: bytes, source: str) -> dict[str, Entry]:
    fault = NnmeterError(f"{source}: is neither JSON nor a table of NNI's sensitivity analysis; {_FORMS}")
    try:
        rows = [row for row in csv.reader(io.StringIO(data.decode("utf-8-sig"))) if any(cell.strip() for cell in row)]
        shares = [float(cell) for cell in rows[0][1:] if cell.strip()]
        found: dict[str, Entry] = {}
        for row in rows[1:]:
            reached = [float(cell) for cell in row[1:] if cell.strip()]
            found[row[0].strip()] = {share: reached[0] - value for share, value in zip(shares, reached, strict=False)}
    except (ValueError, IndexError, UnicodeDecodeError, csv.Error):
        raise fault from None
    if not shares or not found:
        raise fault
    return found


class Losses:
    """The loss of each group of a model at each width.

    Attributes:
        source: the file of the sensitivities; "" without one.

    Args:
        model: the model.
        sensitivity: of its layers; None for rule 4.

    Raises:
        NnmeterError: an entry does not fit its layer.
        TransformError: an entry is of no layer.
    """

    def __init__(self, model: PrunableModel, sensitivity: Sensitivity | None) -> None:
        self._curves: dict[str, tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]] | None = None
        self.source = "" if sensitivity is None else sensitivity.source
        if sensitivity is None:
            return
        if not sensitivity.entries:
            raise NnmeterError(f"{sensitivity.source}: has no layer; {_FORMS}")
        self._curves = {}
        for name, entry in sensitivity.entries.items():
            layer = model.layer(name)
            self._curves[layer] = _curve(entry, model.graph.width(layer), name, sensitivity.source)

    def prunes(self, group: PrunableGroup) -> bool:
        """Whether channels of a group may go (rule 3)."""
        return self._curves is None or any(layer in self._curves for layer in group.layers)

    def of(self, group: PrunableGroup, width: int) -> float:
        """The loss where a group has a width."""
        share = 1 - width / group.channels
        if self._curves is None:
            return share**2
        curves = [self._curves[layer] for layer in group.layers if layer in self._curves]
        return float(sum(_at(share, *curve) for curve in curves))


def _curve(entry: Entry, channels: int, name: str, source: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Shares from 0 on, and the loss at each."""
    where = f"{source}: the entry of '{brief(name, 80)}'"
    if isinstance(entry, Mapping):
        pairs = sorted({0.0: 0.0, **{float(k): float(v) for k, v in entry.items()}}.items())
        if len(pairs) < 2 or not all(0 <= share < 1 and isfinite(loss) for share, loss in pairs):
            raise NnmeterError(f"{where} needs losses by shares from 0 to 1 that is not reached; {_FORMS}")
        return np.array([share for share, _ in pairs]), np.array([loss for _, loss in pairs])
    if len(entry) != channels or not all(isfinite(value) and value >= 0 for value in entry):
        raise NnmeterError(f"{where} has {len(entry)} importances; the layer has {channels} channels; {_FORMS}")
    return np.arange(channels + 1) / channels, np.concatenate([[0.0], np.cumsum(np.sort(np.asarray(entry, float)))])


def _at(share: float, shares: np.ndarray[Any, Any], losses: np.ndarray[Any, Any]) -> float:
    if share <= shares[-1]:
        return float(np.interp(share, shares, losses))
    slope = (losses[-1] - losses[-2]) / (shares[-1] - shares[-2])
    return float(losses[-1] + slope * (share - shares[-1]))
