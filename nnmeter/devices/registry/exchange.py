"""What became of packs that were added, updated, removed or exported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nnmeter.devices.registry.changes import PackChange

ADDED, REPLACED, UPDATED, UNCHANGED = "added", "replaced", "updated", "unchanged"
REMOVED, EXPORTED, AVAILABLE, FAILED = "removed", "exported", "available", "failed"


@dataclass(frozen=True)
class Exchange:
    """What became of one pack.

    Attributes:
        id: of the pack.
        action: what was done: added, replaced, updated, unchanged, available (an update that was only asked for),
            removed, exported, failed.
        place: where the pack or its archive lies; "" where nothing does.
        source: where it came from; "" where nothing did.
        version: its version in the registry, None where it has none.
        before: its version before, None where it had none.
        hash: of the pack; "" where there is none.
        change: what differs from the pack that was there; None where none was, or nothing does.
        reason: why nothing was done, "" otherwise.
    """

    id: str
    action: str
    place: str = ""
    source: str = ""
    version: int | None = None
    before: int | None = None
    hash: str = ""
    change: PackChange | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**self.__dict__, "change": None if self.change is None else self.change.to_dict()}
