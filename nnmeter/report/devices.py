"""Device packs: what the renderers of a list of packs and of one pack share."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from nnmeter.devices.catalog import DeviceInfo
from nnmeter.devices.identity import MachineMatch
from nnmeter.devices.pack_rules import SHORT_HASH
from nnmeter.errors import DeviceError, NnmeterError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class DeviceList:
    """The packs that can be found.

    Attributes:
        devices: in the order in which they are listed.
        nearest: id of the pack of the machine that is nearest to this one; None if none is of a machine like it.
        machines: what each is to this machine, by id.
    """

    devices: Sequence[DeviceInfo]
    nearest: str | None = None
    machines: Mapping[str, MachineMatch] = field(default_factory=dict)


@contextmanager
def checked_scorecard(device: str) -> Iterator[None]:
    """What is no scorecard in `scorecard.json` is a fault of the pack; only here it is looked at in depth."""
    try:
        yield
    except NnmeterError:
        raise
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as fault:
        raise DeviceError(
            f"{device}/scorecard.json: is no scorecard ({fault!r:.100}); evaluate the pack anew, or restore it"
        ) from fault


def describe_rules(name: str, parameters: Mapping[str, Any]) -> str:
    """A rule set and its parameters in words: `onnxruntime_cpu (block 16)`."""
    listed = ", ".join(f"{key} {json.dumps(value)}" for key, value in parameters.items())
    return f"{name} ({listed})" if listed else name


def describe_hashes(trained_with: str, runs_with: str) -> str:
    """Which rules a pack was trained with, and which it runs with, by the first digits of their hashes."""
    if not trained_with:
        return f"runs with rules {runs_with[:SHORT_HASH]}; does not say which ones it was trained with"
    if trained_with == runs_with:
        return f"trained with rules {trained_with[:SHORT_HASH]}, and runs with them"
    return f"trained with rules {trained_with[:SHORT_HASH]}, runs with {runs_with[:SHORT_HASH]}"
