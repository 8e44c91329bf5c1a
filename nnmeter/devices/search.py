"""Finding a device pack by what people call their device: `find_packs("jetson")`, `find_packs("pixel 7")`.

Rules:

1. A pack matches if every word of the query (a number joined to the word before it) is in what it is called: id,
   hardware, runtime, kind and place, and the name, other names and products of its chip.
2. The words cpu, gpu, npu, vpu and fpga choose packs of that kind.
3. Where none matches and the query names a chip or product of the table, its nearest relatives are told, with the
   reason: the three nearest of each kind that are of the same line, else the nearest. Where it is part of the names of
   several, these are told; where it is part of none, those that are spelt nearly so. Where there are none of these,
   words that no pack, chip or product has are put right by the nearest that one has, and what is found then is asked
   back (`meant`).
4. A pack that matches only because its chip is in the product that was asked for says so.
5. What the published tables have and no pack was made of is named with the reason (`nnmeter.devices.unshipped`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from nnmeter.devices.card import Card
from nnmeter.devices.catalog import DeviceInfo, in_groups
from nnmeter.devices.chips import Chip, known_chips, plain
from nnmeter.devices.relatives import ANOTHER_LINE, chip_in, chip_of_card, kinship, product_in, without_maker
from nnmeter.devices.unshipped import Unshipped, find_unshipped

KINDS = ("cpu", "gpu", "npu", "vpu", "fpga")
_NEAREST = 3  # of a kind
_SPELT_ALIKE = 0.75  # of 1, by what `difflib` finds in common
_LONGEST_WORD = 40  # that is compared with others
_SPOKEN = {"raspi": "raspberry pi"}
_NUMBERS = re.compile(r"\d+")
_WORDS = re.compile(r"[a-z]{3,}")  # that can be spelt wrong: a number cannot, and in two letters nothing is alike


@dataclass(frozen=True, slots=True)
class FoundPack:
    """A pack that a query found, and why: empty where its own names match."""

    device: DeviceInfo
    because: str = ""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a query found.

    Attributes:
        query: as it was given.
        chip: the chip that it names, None if the table has none.
        product: the product of that chip that it names, "" if none.
        matches: packs that match, in groups.
        relatives: where none matches, packs of near relatives, nearest first in each kind.
        candidates: where it names none, chips and products whose names have all of its words.
        unshipped: devices of published tables that it names and that have no pack.
        meant: where all of these are empty, the query with its words put right, if that finds something; else "".
    """

    query: str
    chip: Chip | None
    product: str
    matches: tuple[FoundPack, ...]
    relatives: tuple[FoundPack, ...] = ()
    candidates: tuple[str, ...] = ()
    unshipped: tuple[Unshipped, ...] = ()
    meant: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether the query found nothing of any sort."""
        return self.chip is None and not (self.matches or self.relatives or self.candidates or self.unshipped)


def find_packs(query: str, devices: Sequence[DeviceInfo], without_pack: Sequence[Unshipped] = ()) -> SearchResult:
    """The packs that a query names, or the nearest relatives of what it names.

    Args:
        query: words, such as `jetson`, `pixel 4 gpu`, `rk3588`.
        devices: packs to search, as `list_devices` returns them.
        without_pack: devices that have none, as `unshipped_devices` returns them.
    """
    found = _find(query, devices, without_pack)
    if found.is_empty:
        meant = _put_right(query.lower(), devices, without_pack)
        if meant != query.lower() and not _find(meant, devices, without_pack).is_empty:
            return replace(found, meant=meant)
    return found


def _find(query: str, devices: Sequence[DeviceInfo], without_pack: Sequence[Unshipped]) -> SearchResult:
    spoken = " ".join(_SPOKEN.get(word, word) for word in query.lower().split())
    words = [word for word in spoken.split() if plain(word)]
    kinds = [word for word in words if word in KINDS]
    names = _joined([word for word in words if word not in KINDS])
    of_kind = [d for d in devices if not kinds or d.card.kind in kinds]
    chip = chip_in(" ".join(names)) if names else None
    product = product_in(chip, " ".join(names))
    matches = []
    for device in in_groups(of_kind):
        reason = _reason(device.card, names, chip, product) if names else ("" if kinds else None)
        if reason is not None:
            matches.append(FoundPack(device, reason))
    own_first = tuple(sorted(matches, key=lambda found: bool(found.because)))
    lacking = find_unshipped(names, kinds, chip, without_pack)
    if own_first or chip is None:
        candidates = () if own_first else _candidates(names)
        return SearchResult(query, chip, product, own_first, candidates=candidates, unshipped=lacking)
    return SearchResult(query, chip, product, (), _relatives(chip, of_kind), unshipped=lacking)


def _candidates(names: Sequence[str]) -> tuple[str, ...]:
    """Chips and products whose names have all words; else those that are spelt nearly so (rule 3)."""
    every = [n for c in known_chips() for n in (c.name, *[p for p in c.products if plain(c.name) not in plain(p)])]
    found = tuple(name for name in every if names and all(plain(word) in plain(name) for word in names))
    if found or not names:
        return found
    spelt = {plain(part): name for name in every for part in (name, without_maker(name))}
    wanted = plain("".join(names))
    numbers = _NUMBERS.findall(wanted)
    near = [spelt[text] for text in get_close_matches(wanted, spelt, n=5 * _NEAREST, cutoff=_SPELT_ALIKE)]
    # A wrong letter is a slip; a wrong number is another device.
    return tuple(dict.fromkeys(name for name in near if _NUMBERS.findall(plain(name)) == numbers))[:_NEAREST]


def _put_right(query: str, devices: Sequence[DeviceInfo], without_pack: Sequence[Unshipped]) -> str:
    """A query with the words that nothing has replaced by the nearest that something has (rule 3)."""
    called = [name for chip in known_chips() for name in (chip.name, *chip.aliases, *chip.products)]
    called += [text for device in devices for text in (device.id, device.card.hardware, device.card.runtime)]
    called += [device.id for device in without_pack]
    known = sorted({word for text in called for word in _WORDS.findall(text.lower())})

    def right(match: re.Match[str]) -> str:
        word = match[0]
        if len(word) > _LONGEST_WORD or any(word in other for other in known):
            return word
        return next(iter(get_close_matches(word, known, n=1, cutoff=_SPELT_ALIKE)), word)

    return _WORDS.sub(right, query)


def _reason(card: Card, names: Sequence[str], chip: Chip | None, product: str) -> str | None:
    """Why a pack matches, empty where its own names do; None where it does not."""
    own = _own_names(card)
    if plain("".join(names)) in own or all(plain(word) in own for word in names):
        return ""
    same = chip_of_card(card)
    if same is None:
        return None
    if chip is not None and same.name == chip.name:
        return f"has the chip of the {product}, {chip.name}" if product else f"has the {chip.name}"
    named = [p for p in same.products if all(plain(word) in plain(p) for word in names)]
    return f"has the chip of the {named[0]}, {same.name}" if named else None


def _joined(words: list[str]) -> list[str]:
    """A number belongs to the word before it: `pixel 4` is not a Pixel 3 with 4 threads."""
    joined: list[str] = []
    for word in words:
        if joined and word[0].isdigit():
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _own_names(card: Card) -> str:
    parts = (card.id, card.hardware, card.runtime, card.version, card.kind, card.place, card.precision)
    chip = chip_of_card(card)
    more = (chip.name, *chip.aliases) if chip is not None else ()
    return "\n".join(map(plain, (*parts, *more)))


def _relatives(chip: Chip, devices: Sequence[DeviceInfo]) -> tuple[FoundPack, ...]:
    """The nearest of each kind (rule 3)."""
    near = []
    for device in devices:
        kin = kinship(device.card, chip)
        if kin is not None:
            near.append((kin, device))
    near.sort(key=lambda pair: (pair[0].distance, pair[1].id))
    found: list[FoundPack] = []
    for kind in KINDS:
        of_kind = [(kin, device) for kin, device in near if device.card.kind == kind]
        of_line = [(kin, device) for kin, device in of_kind if kin.distance < ANOTHER_LINE]
        found += [FoundPack(device, kin.because) for kin, device in (of_line or of_kind[:1])[:_NEAREST]]
    return tuple(found)
