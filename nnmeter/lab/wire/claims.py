"""Who wants a device, and which machine it is: what a campaign by wire keeps in its directory, in `wire.json`.

The token is the campaign's secret, by which the far side knows it again after a cut, a crash or a night. The machine is
the one that it was begun on: no other one goes on with it, wherever the address leads by then.
"""

from __future__ import annotations

import getpass
import json
import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnmeter.errors import MeasurementError, brief
from nnmeter.files import parse_json, read_limited, write_whole

STATE_FILE = "wire.json"
_MOST_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Claim:
    """Who wants a device.

    Attributes:
        token: secret by which the far side knows its holder again.
        who: the holder in words, for others that want the device.
        machine: name of the machine that it must be; None for any.
    """

    token: str
    who: str
    machine: str | None = None


def claim_for(what: str) -> Claim:
    """A claim that nobody takes up again, for something in words."""
    return Claim(secrets.token_hex(16), f"{_user()}@{platform.node()}, {what}")


def claim_of_campaign(directory: Path) -> Claim:
    """The claim of the campaign in a directory, the same one from its first session on.

    Raises:
        MeasurementError: `wire.json` is damaged.
    """
    path = directory / STATE_FILE
    fresh = claim_for(f"campaign {directory.absolute()}")
    if not path.exists():
        note_machine(directory, fresh, None)
        return fresh
    try:
        state: Mapping[str, Any] = parse_json(read_limited(path, _MOST_BYTES))
        token, machine = state["token"], state["machine"]
        if not isinstance(token, str) or not isinstance(machine, str | None):
            raise ValueError("it is of another version")
    except (OSError, ValueError, LookupError, TypeError) as fault:
        raise MeasurementError(f"{path}: damaged ({brief(fault)}); begin in a new directory") from fault
    return Claim(token, fresh.who, machine)


def note_machine(directory: Path, claim: Claim, machine: str | None) -> None:
    """Keeps a claim, with the machine that it is for."""
    state = {"token": claim.token, "machine": machine}
    path = directory / STATE_FILE
    write_whole(path, json.dumps(state, indent=1) + "\n")
    path.chmod(0o600)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else "somebody"
