"""The baseline that growth is measured against: what models were when somebody last said that this is fine.

Rules:

1. The file holds the kernels of each model, device and combination of sizes, not only a time. So growth is that of the
   model: the kernels of then are priced by the device pack of now, and a new release of a pack changes both alike.
2. It is text with one kernel a line, sorted by model, device and sizes, without a date or a version: the same models
   give the same bytes, and a change of a model is a change of its lines alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nnmeter.errors import BudgetError, brief
from nnmeter.files import parse_json, read_limited
from nnmeter.kernels.kernel import Kernel, KernelSignature
from nnmeter.limits import MAX_JSON_BYTES
from nnmeter.prediction.prediction import Prediction

SCHEMA_VERSION = 1
UPDATE = "nnmeter check --update"
_ANEW = f"make it anew with `{UPDATE}`"


@dataclass(frozen=True, slots=True)
class Key:
    """What is compared with what.

    Attributes:
        model: its file, as the budgets name it.
        device: id of the device pack.
        sizes: sizes of dimensions and inputs: `batch=8`, or "".
    """

    model: str
    device: str
    sizes: str

    def __str__(self) -> str:
        return f"{self.model}{f' ({self.sizes})' if self.sizes else ''} on {self.device}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A model as it was.

    Attributes:
        kernels: its kernels, in the order of execution.
        places: of the kernels in the modules of the exporting framework.
    """

    kernels: tuple[Kernel, ...]
    places: tuple[str, ...]


def write_baseline(predictions: Mapping[Key, Prediction]) -> str:
    """The text of a baseline of these predictions (rule 2)."""
    entries = []
    for key in sorted(predictions, key=lambda key: (key.model, key.device, key.sizes)):
        prediction = predictions[key]
        kernels = ",\n".join(f"   {_line(kernel)}" for kernel in prediction.kernels)
        head = {
            "model": key.model,
            "device": key.device,
            "sizes": key.sizes,
            "latency_ms": float(f"{prediction.latency_ms:.4g}"),
        }
        entries.append(f'  {_json(head)[:-1]}, "kernels": [\n{kernels}\n  ]}}')
    body = ",\n".join(entries)
    return f'{{\n "schema_version": {SCHEMA_VERSION},\n "made_by": "{UPDATE}",\n "entries": [\n{body}\n ]\n}}\n'


def _line(kernel: Any) -> str:
    if kernel.signature is None:
        raise BudgetError(f"{kernel.name}: nobody said what its price depends on; predict the model again")
    return _json([kernel.name, kernel.place, kernel.runs, list(kernel.nodes), json.loads(kernel.signature.to_json())])


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, separators=(", ", ": "))


def read_baseline(path: str | os.PathLike[str]) -> dict[Key, Entry]:
    """The entries of a baseline.

    Raises:
        BudgetError: it is missing, damaged, or of another version.
    """
    try:
        document = parse_json(read_limited(path, MAX_JSON_BYTES))
    except FileNotFoundError:
        raise BudgetError(f"{path}: there is no baseline yet; make it with `{UPDATE}` and commit it") from None
    except OSError as fault:
        raise BudgetError(f"{path}: the baseline cannot be read ({fault.strerror}); {_ANEW}") from None
    except ValueError as fault:
        raise BudgetError(f"{path}: the baseline cannot be read: {brief(fault, 200)}; {_ANEW}") from None
    try:
        if document["schema_version"] != SCHEMA_VERSION:
            raise ValueError("it is of another version")
        return {
            Key(str(e["model"]), str(e["device"]), str(e["sizes"])): _entry(e["kernels"]) for e in document["entries"]
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as fault:
        raise BudgetError(f"{path}: the baseline is damaged: {brief(fault, 200)}; {_ANEW}") from None


def _entry(lines: Sequence[Any]) -> Entry:
    kernels, places = [], []
    for name, place, runs, nodes, signature in lines:
        text = json.dumps(signature, separators=(",", ":"))
        kernel = KernelSignature.from_json(text)
        hash(kernel)  # fails where an attribute is no number, word or list of these
        kernels.append(Kernel(str(name), kernel, tuple(map(str, nodes)), int(runs)))
        places.append(str(place))
    return Entry(tuple(kernels), tuple(places))
