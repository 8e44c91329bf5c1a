"""What a search for a device found, for a person at a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from nnmeter.devices.search import FoundPack, SearchResult
from nnmeter.report.devices import checked_scorecard
from nnmeter.report.devices_table import figures, group_of
from nnmeter.report.registry import Layout
from nnmeter.report.text import Text

_HEADINGS = ("device", "of", "runtime", "±10 %", "MAPE")
_CANDIDATES = 8
_LACKING = 3  # devices without a pack that are named with their reason
_PLACES = (2, 3)  # of `figures`: within ±10 %, MAPE


def render(result: SearchResult, layout: Layout) -> str:
    """The packs that match; else why there is none, and the nearest relatives with reasons; what has no pack."""
    text = Text(layout.width, layout.colour)
    _add_found(text, result)
    _add_unshipped(text, result)
    return str(text)


def _add_found(text: Text, result: SearchResult) -> None:
    if result.matches:
        _add_packs(text, result.matches)
        return
    asked = result.product or (result.chip.name if result.chip else "")
    if result.candidates:
        more = len(result.candidates) - _CANDIDATES
        named = ", ".join(result.candidates[:_CANDIDATES]) + (f" and {more} more" if more > 0 else "")
        text.add_wrapped(f"no device is called {result.query!r}; name one for its relatives: {named}")
        return
    if result.meant:
        text.add_wrapped(f"no device is called {result.query!r}; did you mean `nnmeter devices --search "
                         f"'{result.meant}'`?")  # fmt: skip
        return
    if result.chip is None:
        text.add_wrapped(
            f"no device is called {result.query!r}, and no chip or product of that name is known; `nnmeter devices` "
            "lists all, and `nnmeter setup` or `nnmeter calibrate` make one of yours"
        )
        return
    text.add_wrapped(f"no {asked} ({result.chip.words}); nearest:" if result.relatives else
                     f"no {asked} ({result.chip.words}), and none that is like it")  # fmt: skip
    if result.relatives:
        _add_packs(text, result.relatives)
        text.add_wrapped(
            "a relative tells what is fast and what is slow, not milliseconds of another device; times of some of your "
            "networks make it a pack of yours: nnmeter calibrate"
        )


def _add_unshipped(text: Text, result: SearchResult) -> None:
    """What the published tables have of it that makes no pack."""
    lacking = result.unshipped
    if not lacking:
        return
    many = f"{len(lacking)} settings" if len(lacking) > 1 else "one setting"
    such = f", of which {_LACKING}" if len(lacking) > _LACKING else ""
    text.add_wrapped(f"published tables have {many} of it without a pack{such}:")
    for device in lacking[:_LACKING]:
        text.add_wrapped(f"{device.id}: {device.reason}")


def _add_packs(text: Text, packs: Sequence[FoundPack]) -> None:
    rows = []
    for found in packs:
        device, card = found.device, found.device.card
        score: tuple[str, ...] = ("-", "-")
        if device.scorecard is not None:
            with checked_scorecard(device.id):
                told = figures(device.scorecard)
                score = tuple(told[place] for place in _PLACES)
        runtime = card.runtime if card.version == "unknown" else f"{card.runtime} {card.version}"
        rows.append((device.id, group_of(card), runtime, *score))
    text.add_table(_HEADINGS, "ltlrr", [rows])
    for found in packs:
        if found.because:
            text.add_wrapped(f"{found.device.id}: {found.because}")
