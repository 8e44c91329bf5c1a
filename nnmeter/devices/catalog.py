"""Which device packs there are, and finding one by its id or path.

Packs are looked for in these places; each holds directories that bear the id of their pack:

1. the packs that ship: `nnmeter/_packs` in an installed package, `predictors/` in a checkout; and in `public/` below
   it those that were made of published tables (`docs/phones-and-accelerators.md`), which are many;
2. the directories in the environment variable NNMETER_PACKS, separated like PATH;
3. `~/.local/share/nnmeter/packs` (under $XDG_DATA_HOME where that is set).

Two packs of one id are an error: which of them priced a model must never depend on the order of places. A damaged pack
is left out of lists, which say so, and is an error for who asks for it. A home that is not there, or that cannot be
read, has no packs.

Several are chosen by `all`, which leaves out those of published tables, by `public`, which is these, or by patterns
with the wildcards of a shell (`adreno*`), which are of any. They come in groups: by what they are a part of (server,
desktop, laptop, phone, board, stick), then by kind (cpu, gpu, npu, vpu, fpga), then by id.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

from nnmeter.devices.card import Card
from nnmeter.devices.manifest import MANIFEST, read_manifest
from nnmeter.devices.pack import DevicePack, read_card, read_pack, read_precisions, read_scorecard, read_settled
from nnmeter.errors import DeviceError

ALL, PUBLIC = "all", "public"
_PLACES = ("server", "desktop", "laptop", "phone", "board", "integrated", "stick", "chip")
_KINDS = ("cpu", "gpu", "npu", "vpu", "fpga")
_NAMED = 5  # packs that a message names


@dataclass(frozen=True)
class DeviceInfo:
    """A device pack that was found, with its card; `load_pack` reads the rest."""

    id: str
    path: Path
    card: Card

    @cached_property
    def scorecard(self) -> Mapping[str, Any] | None:
        """How good the predictor is, as `nnmeter evaluate` found; None if the pack has none."""
        return read_scorecard(self.path, read_manifest(self.path))

    @cached_property
    def precisions(self) -> tuple[str, ...]:
        """The element types in which its predictor was trained, those with most operators first."""
        return read_precisions(self.path, read_manifest(self.path))


def list_devices(public: bool = False) -> list[DeviceInfo]:
    """All device packs that can be found, sorted by id; damaged ones are left out (`damaged_devices`).

    Args:
        public: whether those that were made of published tables are among them.

    Raises:
        DeviceError: two have the same id.
    """
    return [device for device in _sorted_out()[0] if public or not is_public(device.path)]


def damaged_devices() -> dict[str, DeviceError]:
    """What is wrong with the packs that `list_devices` leaves out, by the name of their directory."""
    return _sorted_out()[1]


def _sorted_out() -> tuple[list[DeviceInfo], dict[str, DeviceError]]:
    found: list[DeviceInfo] = []
    damaged: dict[str, DeviceError] = {}
    for name, path in sorted(_find_packs().items()):
        try:
            found.append(_describe_found(path))
        except DeviceError as fault:
            damaged[name] = fault
    return found, damaged


def find_device(id_or_path: str | os.PathLike[str]) -> DeviceInfo:
    """The device pack with this id, or in this directory.

    Raises:
        DeviceError: there is none (the message names those with similar ids), or it is damaged.
    """
    text = os.fspath(id_or_path)
    if not isinstance(id_or_path, Path) and os.sep not in text:
        packs = _find_packs()
        if text in packs:
            return _describe_found(packs[text])
        if not (Path(text) / MANIFEST).is_file():
            raise DeviceError(_unknown_device(text, sorted(packs)))
    return _describe(Path(text).absolute())


def find_devices(patterns: Sequence[str | os.PathLike[str]]) -> list[DeviceInfo]:
    """The device packs that these ids, patterns and paths stand for, in the order given, each once.

    Raises:
        DeviceError: one of them stands for none, or a pack is damaged.
    """
    found: dict[Path, DeviceInfo] = {}
    for pattern in patterns:
        text = os.fspath(pattern)
        if text not in (ALL, PUBLIC) and not _has_wildcards(pattern):
            chosen = [find_device(pattern)]
        else:
            listed, damaged = _sorted_out()
            chosen = in_groups([device for device in listed if _is_meant(device, text)])
            for name, fault in damaged.items():
                if text not in (ALL, PUBLIC) and fnmatchcase(name, text):
                    raise fault
            if not chosen:
                known = ", ".join(d.id for d in listed[:_NAMED]) or "none"
                raise DeviceError(f"no device matches {text!r}; there are {known} (see `nnmeter devices`)")
        found.update((device.path, device) for device in chosen)
    return list(found.values())


def _is_meant(device: DeviceInfo, text: str) -> bool:
    """Whether `all`, `public` or a pattern stands for a device."""
    if text in (ALL, PUBLIC):
        return is_public(device.path) == (text == PUBLIC)
    return fnmatchcase(device.id, text)


def in_groups(devices: Iterable[DeviceInfo]) -> list[DeviceInfo]:
    """Devices in groups: by what they are a part of, by kind, by id."""
    return sorted(devices, key=lambda d: (_rank(_PLACES, d.card.place), _rank(_KINDS, d.card.kind), d.id))


def _rank(order: Sequence[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def _has_wildcards(pattern: str | os.PathLike[str]) -> bool:
    text = os.fspath(pattern)
    return isinstance(pattern, str) and os.sep not in text and any(c in text for c in "*?[")


def load_pack(id_or_path: str | os.PathLike[str]) -> DevicePack:
    """The device pack with this id, or in this directory, with every file verified.

    Raises:
        DeviceError: there is none, or it is damaged; one line names the pack, the fault and the remedy.
    """
    return read_pack(find_device(id_or_path).path)


def pack_directories() -> list[Path]:
    """The places where packs are looked for, in the order of this module's rules; those that exist."""
    chosen = [_named_place(part) for part in os.environ.get("NNMETER_PACKS", "").split(os.pathsep) if part]
    shipped = [place for own in _shipped_directories() for place in (own, own / PUBLIC)]
    places = dict.fromkeys(path.absolute() for path in [*shipped, *chosen, *_own_place()])
    return [path for path in places if path.is_dir()]


def is_shipped(path: Path) -> bool:
    """Whether the pack in `path` is one of those that ship with nnmeter, published tables aside."""
    return path.absolute().parent in _shipped_directories()


def is_public(path: Path) -> bool:
    """Whether the pack in `path` is one of those that ship and were made of published tables."""
    return path.absolute().parent in public_directories()


def public_directories() -> list[Path]:
    """Where packs that were made of published tables lie."""
    return [own / PUBLIC for own in _shipped_directories()]


def _named_place(part: str) -> Path:
    try:
        return Path(part).expanduser()
    except RuntimeError as fault:
        raise DeviceError(f"NNMETER_PACKS: {part!r} is the home of nobody; give a directory of packs") from fault


def _own_place() -> list[Path]:
    """The place in the user's home, if there is one that can be read."""
    try:
        place = user_directory() / "packs"
        next(iter(os.scandir(place)), None)
    except (OSError, RuntimeError):
        return []
    return [place]


def user_directory() -> Path:
    """Where what this user made lies: packs, and the measurements that `nnmeter setup` goes on with."""
    data_home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data_home).expanduser() / "nnmeter"


def user_place() -> Path:
    """The folder that packs are added to: the first of NNMETER_PACKS, or the user's own. It need not be there."""
    for part in os.environ.get("NNMETER_PACKS", "").split(os.pathsep):
        if part:
            return _named_place(part).absolute()
    try:
        return (user_directory() / "packs").absolute()
    except RuntimeError as fault:
        raise DeviceError("there is no home for packs; give a folder in NNMETER_PACKS") from fault


def packs_by_id() -> dict[str, Path]:
    """Where each pack lies that can be found, damaged ones among them, by id.

    Raises:
        DeviceError: two have the same id.
    """
    return _find_packs()


def _shipped_directories() -> list[Path]:
    package = Path(__file__).parent.parent
    if (package.parent / "pyproject.toml").is_file():
        return [package.parent / "predictors"]
    return [package / "_packs"]


def shipped_models() -> list[Path]:
    """The folders of models that ship beside the package in a checkout; none in an installed package."""
    data = Path(__file__).parents[2] / "data"
    return [place for place in (data / "zoo", data / "zoo-quantized") if place.is_dir()]


def _find_packs() -> dict[str, Path]:
    packs: dict[str, Path] = {}
    for place in pack_directories():
        for path in sorted(place.iterdir()):
            if not (path / MANIFEST).is_file():
                continue
            if path.name in packs:
                raise DeviceError(
                    f"device {path.name!r} is there twice, in {packs[path.name]} and {path}; remove one of them"
                )
            packs[path.name] = path
    return packs


def _describe(path: Path) -> DeviceInfo:
    card = read_settled(path, lambda: read_card(path, read_manifest(path)))
    return DeviceInfo(card.id, path, card)


def _describe_found(path: Path) -> DeviceInfo:
    """The pack in `path`, where the directory's name stands for the id: were they two, duplicates could hide."""
    device = _describe(path)
    if device.id != path.name:
        raise DeviceError(f"{path}: holds the pack of device {device.id!r}; rename the directory to that")
    return device


def _named_product(text: str) -> str:
    """What is there of a chip or product that the text names: its packs, or its nearest relative."""
    from nnmeter.devices.relatives import chip_in, kinship, product_in

    chip = chip_in(text)
    if chip is None:
        return ""
    kin = [
        (found, device.id) for device in list_devices(public=True) if (found := kinship(device.card, chip)) is not None
    ]
    asked = product_in(chip, text) or chip.name
    same = [name for found, name in kin if found.distance == 0]
    if same:
        return f"packs of {asked} are {', '.join(same[:_NAMED])}"
    if not kin:
        return f"no pack of {asked}, nor of a relative"
    found, nearest = min(kin, key=lambda pair: (pair[0].distance, pair[1]))
    return f"no pack of {asked}; nearest: {nearest}, because it is {found.because}"


def _unknown_device(text: str, known: list[str]) -> str:
    if not known:
        return f"unknown device {text!r}: no device pack is installed; reinstall nnmeter or set NNMETER_PACKS"
    import difflib

    close = difflib.get_close_matches(text, known, n=3, cutoff=0.4)
    named = _named_product(text)
    if named:
        return f"unknown device {text!r}: {named} (see `nnmeter devices --search {text}`)"
    hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known[:5])}"
    return f"unknown device {text!r}: {hint} (see `nnmeter devices`, or give the path of a pack)"
