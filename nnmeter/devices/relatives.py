"""How near a device is to a chip that people ask for, and in what words.

Rules:

1. A pack is of the chip whose name, other name or product its id or hardware has; else of the cores and graphics that
   its hardware names.
2. A pack is compared by the unit that it is of: a CPU pack by its fastest core, any other by graphics or accelerator.
3. The same chip is nearest. Else the same unit; else one of the same line of descent, by generations between; else
   another line, by years between. Clocks or throughputs add the logarithm of their ratio; cores of a server count two
   generations more where a phone, board or laptop is asked for (a chip with graphics).
4. Relatives tell which device to start from; they carry no milliseconds over.
"""

from __future__ import annotations

import re
from functools import lru_cache
from math import log2
from typing import NamedTuple

from nnmeter.devices.card import Card
from nnmeter.devices.chips import Chip, known_chips, places, plain

ANOTHER_LINE = 8.0  # as far as so many generations
_UNKNOWN_YEARS = 6.0
_OF_A_SERVER = 2.0
_NAMED_CORE = re.compile(r"(?:Cortex|Neoverse)[-\s‑]?(?:[AXVN]\d+\w*)", re.IGNORECASE)
_NAMED_GPU = re.compile(r"(?:Adreno|Mali)[\s-]?(?:T?[GT]?\d+\w?)", re.IGNORECASE)


class Unit(NamedTuple):
    """What executes models: a core or an accelerator.

    Attributes:
        name: as in `GENERATIONS`.
        power: GHz of a core, TFLOPS of others; 0 where it is not known.
        year: of its chip, 0 where it is not known.
    """

    name: str
    power: float
    year: int


class Kinship(NamedTuple):
    """How far a pack is from a chip, 0 for the same one, and why."""

    distance: float
    because: str


def kinship(card: Card, chip: Chip) -> Kinship | None:
    """How near a pack is to a chip; None where they have no unit in common (rules 2 and 3)."""
    own = chip_of_card(card)
    if own is not None and own.name == chip.name:
        return Kinship(0.0, f"the same chip, {chip.name}")
    wanted = units(chip, card.kind)
    found = units(own, card.kind) if own is not None else _named_units(card)
    pairs = [(_between(w, f), w, f) for w in wanted for f in found]
    if not pairs:
        return None
    distance, unit, other = min(pairs, key=lambda pair: pair[0])
    if card.kind == "cpu" and card.place == "server" and chip.gpu:
        distance += _OF_A_SERVER
    return Kinship(distance, _words(unit, other, own, card.kind))


def units(chip: Chip, kind: str) -> list[Unit]:
    """The units of a chip that packs of a kind (`cpu`, `gpu`, `npu`, ...) are compared by (rule 2)."""
    if kind == "cpu":
        return [Unit(chip.core, chip.ghz, chip.year)] if chip.core else []
    parts = chip.gpu.split()
    numbers = [float(part) for part in parts if part.replace(".", "").isdigit()]
    named = [Unit(part, numbers[0] if numbers else 0.0, chip.year) for part in parts if not _is_number(part)]
    graphics = [unit for unit in named if _is_graphics(unit.name)]
    return graphics if kind == "gpu" else [unit for unit in named if unit not in graphics]


def chip_of_card(card: Card) -> Chip | None:
    """The chip that a pack is of, if the table has it (rule 1)."""
    return chip_in(f"{card.id}\n{card.hardware}\n{card.fingerprint.get('chip', '')}")


@lru_cache(maxsize=1024)
def chip_in(text: str) -> Chip | None:
    """The chip that a text names: the longest name that it has, of those that stand first in it."""
    best: tuple[int, int] | None = None
    found = None
    for line, content in enumerate(text.lower().split("\n")):
        joined = plain(content)
        for name, chip in _names():
            rank = (-line, len(name))
            if name in joined and (best is None or rank > best) and _pattern(name).search(content):
                best, found = rank, chip
    return found


def product_in(chip: Chip | None, text: str) -> str:
    """The product of a chip that a text names, "" if none."""
    if chip is None:
        return ""
    named = [p for p in chip.products if plain(text) in plain(p) or plain(p) in plain(text)]
    return named[0] if named else ""


@lru_cache(maxsize=1)
def _names() -> tuple[tuple[str, Chip], ...]:
    """Every name by which a chip may be called, without blanks and signs, with the chip."""
    return tuple(
        (plain(name), chip)
        for chip in known_chips()
        for name in (chip.name, *chip.aliases, *chip.products, *map(without_maker, chip.products))
        if len(plain(name)) > 2
    )


def without_maker(product: str) -> str:
    """`Google Pixel 7` is `Pixel 7`, too."""
    maker, _, rest = product.partition(" ")
    makers = (
        "Google Samsung Xiaomi Huawei NVIDIA Intel Qualcomm NXP Asus MYIR D-Robotics Renesas Microsoft Pine64 Sipeed"
    )
    return rest if rest and maker in makers.split() else product


@lru_cache(maxsize=1024)
def _pattern(name: str) -> re.Pattern[str]:
    """A name with any signs between its letters, where no number or word goes on: `rpi4` is not in `rpi40`."""
    front = r"(?<!\d)" if name[0].isdigit() else "(?<![a-z])"
    back = r"(?!\d)" if name[-1].isdigit() else "(?![a-z])"
    return re.compile(front + "[^a-z0-9+]*".join(map(re.escape, name)) + back)


def _named_units(card: Card) -> list[Unit]:
    """Cores or graphics that the hardware of a pack names, where the table does not have its chip."""
    pattern = _NAMED_CORE if card.kind == "cpu" else _NAMED_GPU
    known = {plain(name): name for name in places()}
    named = [known.get(plain(text)) for text in pattern.findall(card.hardware)]
    found = [name for name in named if name]
    return [Unit(max(found, key=lambda name: places()[name]), 0.0, 0)] if found else []


def _is_number(text: str) -> bool:
    return text.replace(".", "").isdigit()


_ACCELERATORS = ("NPU", "Hailo", "Ethos", "DRP", "Sunrise", "AX6", "BM1", "CV1", "DPU", "Myriad", "VIP")


def _is_graphics(name: str) -> bool:
    return not any(part in name for part in _ACCELERATORS)


def _between(one: Unit, other: Unit) -> float:
    """How far two units are apart (rule 3)."""
    places_ = places()
    ratio = abs(log2(one.power / other.power)) if one.power and other.power else 0.5
    if one.name == other.name:
        return 0.1 + ratio
    here, there = places_.get(one.name), places_.get(other.name)
    if here is not None and there is not None and here[0] == there[0]:
        return 1.0 + abs(here[1] - there[1]) + ratio
    years = abs(one.year - other.year) if one.year and other.year else _UNKNOWN_YEARS
    return ANOTHER_LINE + years + ratio


def _words(wanted: Unit, found: Unit, own: Chip | None, kind: str) -> str:
    of = f" of the {own.name}" if own is not None else ""
    if wanted.name == found.name:
        powers = ""
        if wanted.power and found.power and wanted.power != found.power:
            unit = "GHz" if kind == "cpu" else "TFLOPS" if kind == "gpu" else "of its size"
            powers = f", at {found.power:g} {unit} where that one has {wanted.power:g}"
        return f"the same {found.name}{of}{powers}"
    here, there = places().get(wanted.name), places().get(found.name)
    if here is None or there is None or here[0] != there[0]:
        return f"{found.name}{of}, of another line than {wanted.name}; nothing nearer is here"
    steps = here[1] - there[1]
    if steps == 0:
        return f"{found.name}{of}, of the same generation as {wanted.name}"
    count = f"{abs(steps)} generation{'s' if abs(steps) > 1 else ''}"
    return f"{found.name}{of}, {count} {'before' if steps > 0 else 'after'} {wanted.name}"
