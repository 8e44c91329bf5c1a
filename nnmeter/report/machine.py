"""What the device of a report is to this machine, in words.

Rules:

1. A prediction for this machine that took the pack of another one says so before its number, and names the command that
   makes a pack of this machine.
2. Any other prediction says in a line behind its number whether its device is this machine.
3. Of several devices one line says which are this machine; the others are other machines.
4. A report of measurements says first where they are of another machine than the pack's, and behind it on which machine
   they were taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nnmeter.devices.identity import SETUP, Verdict

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch
    from nnmeter.prediction.prediction import Prediction


def warn_of_another_machine(predictions: Sequence[Prediction]) -> str:
    """What stands before numbers that are of another machine than they were asked for (rule 1); "" if none is."""
    first = next((p for p in predictions if p.machine is not None and p.machine.needs_transfer), None)
    if first is None or first.machine is None:
        return ""
    return (
        f"NOT THIS MACHINE: no pack is of {first.machine.here}. These are times of {first.device}, the nearest, with "
        f"intervals as wide as machines differ ({first.machine.difference}). `{SETUP}` makes a pack of this machine."
    )


def say_machines(predictions: Sequence[Prediction]) -> str:
    """What the devices are to this machine (rules 2 and 3); "" where nobody asked, or rule 1 has said it."""
    matches = {p.device: p.machine for p in predictions if p.machine is not None}
    if not matches or any(match.needs_transfer for match in matches.values()):
        return ""
    if len(matches) == 1:
        return f"machine: {next(iter(matches.values())).words}"
    parts = [
        f"{', '.join(own)} {'is' if len(own) == 1 else 'are'} {verdict.words}"
        for verdict in (Verdict.THIS_MACHINE, Verdict.OTHER_SETTINGS)
        if (own := [device for device, match in matches.items() if match.verdict is verdict])
    ]
    others = "the others are other machines" if parts else "none of these devices is this machine"
    if not any(match.verdict is Verdict.ANOTHER_MACHINE for match in matches.values()):
        return f"machine: {'; '.join(parts)}"
    return f"machine: {'; '.join([*parts, others])}"


def machine_words(document: Mapping[str, Any]) -> str:
    """The verdict and the differences of what `MachineMatch.to_dict` made."""
    differences = "; ".join(document["differences"])
    return f"{Verdict(document['verdict']).words}{f' ({differences})' if differences else ''}"


def machine_value(match: MachineMatch | None) -> str:
    """The verdict as a value of a table for programs; "" where nobody asked."""
    return "" if match is None else match.verdict.value


_MEASURED_ON = {
    Verdict.THIS_MACHINE: "the pack's machine",
    Verdict.OTHER_SETTINGS: "the pack's machine with another runtime version or threads",
    Verdict.ANOTHER_MACHINE: "another machine than the pack's",
}


def warn_of_measured_machine(document: Mapping[str, Any] | None, does: str = "Predictions are of the pack's") -> str:
    """What stands first where measurements are of another machine than the pack (rule 4); "" if they are of its own.

    Args:
        document: what `MachineMatch.measured_to_dict` made; None where the machine is not known.
        does: what was done with the pack in spite of that.
    """
    if not document or document["verdict"] != Verdict.ANOTHER_MACHINE.value:
        return ""
    return (
        f"ANOTHER MACHINE than the pack's was measured ({'; '.join(document['differences'])}). {does} "
        f"({document['pack_machine']}), times are real milliseconds of the measured one "
        f"({document['measured_machine']})."
    )


def measured_machine_words(document: Mapping[str, Any]) -> str:
    """On which machine measurements were taken, of what `MachineMatch.measured_to_dict` made."""
    differences = "; ".join(document["differences"])
    words = _MEASURED_ON[Verdict(document["verdict"])]
    return f"{words}{f' ({differences})' if differences else ''}: {document['measured_machine']}"
