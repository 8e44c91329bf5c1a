"""The card of a device pack: what the device is, how it was measured, and where its predictions stop to hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nnmeter.devices.fingerprint_fields import faults_of_fingerprint
from nnmeter.errors import DeviceError
from nnmeter.fusion.ruleset_index import find_rule_set


@dataclass(frozen=True)
class Card:
    """What a device pack says of itself; `card.json` holds these fields under these names.

    Attributes:
        id: hardware, runtime, version and settings in one name: `xeon-8380-onnxruntime1.32-1t`.
        hardware: the processor, in words.
        runtime: name of the runtime that executes the models (`onnxruntime`).
        version: version of that runtime.
        threads: threads that execute one model.
        precision: element type of the measured models (`float32`).
        date: day of the measurements, ISO 8601.
        protocol: how latencies were measured, in words.
        noise_floor: how far two independent measurements of one model differ, as the metrics of the scorecard.
        reference_ms: median time of the reference kernel while the device was measured; None if not taken.
        reference_by_length: the same by the length of the network that runs beside it, `network_ms` and `reference_ms`;
            empty where it is one time for all (`nnmeter.lab.measuring.clock`).
        fingerprint: what identifies the machine: `cpu`, `vendor`, `architecture`, `isa`, and more for the record; of a
            device whose times were published also `kind`, `device`, and `published`, the data set.
        trained_on: how many measurements of which kind trained the predictor.
        limits: what the pack was not measured for, each in a sentence.
    """

    id: str
    hardware: str
    runtime: str
    version: str
    threads: int
    precision: str
    date: str
    protocol: str
    noise_floor: Mapping[str, Any] = field(default_factory=dict)
    reference_ms: float | None = None
    reference_by_length: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: Mapping[str, Any] = field(default_factory=dict)
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """What executes the models: `cpu`, `gpu`, `vpu`; as the runtime's rule set has it if nothing else says."""
        return str(self.fingerprint.get("kind") or self._rule_set_says("kind", "cpu")).lower()

    @property
    def place(self) -> str:
        """What that is a part of: `server`, `phone`, `stick`; as the runtime's rule set has it if nothing else says."""
        return str(self.fingerprint.get("place") or self._rule_set_says("place", "server")).lower()

    def _rule_set_says(self, name: str, otherwise: str) -> str:
        rule_set = find_rule_set(self.runtime)
        return otherwise if rule_set is None else str(getattr(rule_set, name))

    @property
    def threads_words(self) -> str:
        """The threads that execute one model; `not stated` where who published the times does not say it."""
        return str(self.threads) if self.fingerprint.get("threads_stated", True) else "not stated"

    @property
    def is_reported(self) -> bool:
        """Whether times were published or reported by others, rather than taken by nnmeter."""
        return bool(self.fingerprint.get("published") or self.fingerprint.get("reported"))

    def to_dict(self) -> dict[str, Any]:
        """The card as `card.json` stores it."""
        return {**asdict(self), "limits": list(self.limits)}

    @classmethod
    def from_dict(cls, content: object, where: str) -> Card:
        """The card in `content`, each field checked.

        Args:
            content: what `card.json` holds.
            where: name of the pack and file, for messages.

        Raises:
            DeviceError: a field is missing, unknown or of the wrong type.
        """
        if not isinstance(content, dict):
            raise DeviceError(f"{where}: a card must be a JSON object; reinstall or rebuild the pack")
        names = [f.name for f in fields(cls)]
        unknown = sorted(set(content) - set(names))
        if unknown:
            raise DeviceError(f"{where}: unknown field {unknown[0]!r}; remove it, or use a newer nnmeter")
        missing = [name for name in _REQUIRED if name not in content]
        if missing:
            raise DeviceError(f"{where}: field {missing[0]!r} is missing; reinstall or rebuild the pack")
        for name, value in content.items():
            expected, is_valid = _RULES[name]
            if not is_valid(value):
                raise DeviceError(f"{where}: field {name!r} must be {expected}, not {value!r:.60}; rebuild the pack")
        wrong = next(faults_of_fingerprint(content.get("fingerprint", {})), None)
        if wrong is not None:
            raise DeviceError(f"{where}: {wrong}; rebuild the pack")
        return cls(**{**content, "limits": tuple(content.get("limits", ()))})


_MOST_LENGTHS = 64
_REQUIRED = ("id", "hardware", "runtime", "version", "threads", "precision", "date", "protocol")


def is_pack_id(value: object) -> bool:
    """Whether `value` can name a pack: letters, digits, `.`, `_`, `-` and `+`, beginning with a letter or digit."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= 128
        and value[0].isalnum()
        and value.isascii()
        and all(c.isalnum() or c in "._-+" for c in value)
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_positive_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_positive_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e12)


def _is_by_length(value: object) -> bool:
    """Two lists of positive numbers of the same length, the first one not falling; or nothing."""
    if not isinstance(value, dict) or set(value) not in (set(), {"network_ms", "reference_ms"}):
        return False
    lists = list(value.values())
    if not all(isinstance(one, list | tuple) and 0 < len(one) <= _MOST_LENGTHS for one in lists):
        return False
    if not all(number is not None and _is_positive_or_none(number) for one in lists for number in one):
        return False
    lengths = value.get("network_ms", [])
    return len({len(one) for one in lists}) <= 1 and list(lengths) == sorted(lengths)


def _is_sentences(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


_RULES: dict[str, tuple[str, Callable[[object], bool]]] = {
    "id": ("a name of letters, digits and ._-+", is_pack_id),
    "hardware": ("a text", _is_text),
    "runtime": ("a text", _is_text),
    "version": ("a text", _is_text),
    "threads": ("a positive integer", _is_positive_int),
    "precision": ("a text", _is_text),
    "date": ("a text", _is_text),
    "protocol": ("a text", _is_text),
    "noise_floor": ("an object", _is_object),
    "reference_ms": ("a positive number or null", _is_positive_or_none),
    "reference_by_length": ("lists of network_ms, none falling, and of reference_ms", _is_by_length),
    "fingerprint": ("an object", _is_object),
    "trained_on": ("an object", _is_object),
    "limits": ("a list of texts", _is_sentences),
}
