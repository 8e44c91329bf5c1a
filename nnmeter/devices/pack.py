"""A device pack: one directory with a card, fusion rules, a predictor, and a manifest that pins every file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nnmeter.devices.card import Card
from nnmeter.devices.manifest import MANIFEST, parse_json, read_manifest, read_verified, verify_files, write_manifest
from nnmeter.devices.pack_rules import REFERENCE, TRAINED_WITH, PackRules, embedded_rules, parse_pack_rules
from nnmeter.errors import DeviceError
from nnmeter.files import temporary_prefix, why_not_made
from nnmeter.graph.notes import Note

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.predictor import KernelPredictor


Read = TypeVar("Read")

_MOST_REPLACED = 20  # so often may a pack be replaced while it is read


@dataclass(frozen=True)
class DevicePack:
    """All that nnmeter knows of a device. The files are verified; rules and predictor are built when first used.

    Attributes:
        id: the device, as the card names it.
        path: the directory.
        card: what was measured, on what, and how.
        scorecard: how good the predictor is, as `nnmeter evaluate` found; None if the pack has none.
        hashes: SHA-256 of each file; what is built later is built of files that still have it.
    """

    id: str
    path: Path
    card: Card
    scorecard: Mapping[str, Any] | None = None
    hashes: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        """What another process needs to read rules and predictor of the same files: compiled rules cannot be sent."""
        return {name: value for name, value in self.__dict__.items() if name not in ("rules", "predictor")}

    @cached_property
    def rules(self) -> FusionRules:
        """Which operators the device's runtime executes as one kernel."""
        return self.rules_source.load()

    @cached_property
    def rules_source(self) -> PackRules:
        """What `rules.json` says: the rules themselves, or which rule set of nnmeter they are."""
        where = f"{self.path.name}/rules.json"
        return parse_pack_rules(parse_json(read_verified(self.path, "rules.json", self.hashes), where), where)

    @property
    def rules_key(self) -> str:
        """The same for packs whose devices execute the same kernels."""
        return self.rules_source.runs_with if self.rules_source.is_reference else self.hashes["rules.json"]

    @cached_property
    def warnings(self) -> tuple[Note, ...]:
        """What every reader of the pack's predictions should know, a sentence each."""
        if not self.rules_source.changed:
            return ()
        name = self.rules_source.name
        said = (
            f"the fusion rules {name!r} have changed since this pack was last seen to work with them: "
            f"`nnmeter devices refresh {self.id}` shows what that changes"
        )
        return (Note(said, "rules"),)

    @cached_property
    def predictor(self) -> KernelPredictor:
        """The learned function from kernels to milliseconds."""
        from nnmeter.predictor import read_predictor

        document, trees = (read_verified(self.path, name, self.hashes) for name in ("predictor.json", "trees.npz"))
        found = read_predictor(document, trees, str(self.path))
        processor = self.card.kind == "cpu"
        return replace(found, loops=self.card.runtime == "onnxruntime" and processor, processor=processor)


def read_pack(directory: str | os.PathLike[str]) -> DevicePack:
    """The device pack in `directory`, every file checked against its manifest.

    Raises:
        DeviceError: a file is missing, extra, damaged or of a newer schema; one line names it and the remedy.
    """
    path = Path(directory).absolute()

    def read() -> DevicePack:
        hashes = read_manifest(path)
        verify_files(path, hashes)
        card = read_card(path, hashes)
        return DevicePack(card.id, path, card, read_scorecard(path, hashes), hashes)

    return read_settled(path, read)


def read_settled(directory: Path, read: Callable[[], Read]) -> Read:
    """What `read` gives; it is asked again where the pack was replaced by another one meanwhile.

    Raises:
        DeviceError: as `read`, of a pack that stayed where it was.
    """
    for _ in range(_MOST_REPLACED):
        before = _identity(directory)
        try:
            return read()
        except DeviceError:
            if _identity(directory) == before:
                raise
    return read()


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(directory)
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def read_card(directory: Path, hashes: Mapping[str, str]) -> Card:
    """The card of the pack in `directory`, whose manifest says `hashes`."""
    where = f"{directory.name}/card.json"
    return Card.from_dict(parse_json(read_verified(directory, "card.json", hashes), where), where)


def read_scorecard(directory: Path, hashes: Mapping[str, str]) -> dict[str, Any] | None:
    """The scorecard of the pack in `directory`, whose manifest says `hashes`; None if it has none."""
    if "scorecard.json" not in hashes:
        return None
    where = f"{directory.name}/scorecard.json"
    scorecard = parse_json(read_verified(directory, "scorecard.json", hashes), where)
    if not isinstance(scorecard, dict):
        raise DeviceError(f"{where}: must be a JSON object; rebuild the pack")
    return scorecard


def read_precisions(directory: Path, hashes: Mapping[str, str]) -> tuple[str, ...]:
    """The element types that the predictor of the pack in `directory` was trained in; the rest of it is not read.

    Raises:
        DeviceError: it does not say what it was trained on.
    """
    from nnmeter.kernels.anchor import Anchor
    from nnmeter.predictor.element_types import precisions_of

    where = f"{directory.name}/predictor.json"
    content = parse_json(read_verified(directory, "predictor.json", hashes), where)
    anchors = content.get("anchors") if isinstance(content, dict) else None
    try:
        return precisions_of(map(Anchor.parse, anchors if isinstance(anchors, dict) else {}))
    except ValueError as fault:
        raise DeviceError(f"{where}: {fault}; reinstall or rebuild the pack") from None


def save_pack(
    directory: str | os.PathLike[str],
    card: Card,
    rules: Mapping[str, Any],
    predictor: KernelPredictor,
    scorecard: Mapping[str, Any] | None = None,
) -> DevicePack:
    """Write a device pack to `directory`, whole or not at all, and read it back.

    The files are written to a temporary directory beside it, which is then renamed. A pack that was there is replaced.

    Args:
        directory: where the pack goes; must be new, empty, or a device pack.
        card: its card.
        rules: its fusion rules, or a reference to a rule set that ships, as `rules.json` holds them. Where rules do not
            say with which ones the predictor was trained, it is these.
        predictor: its predictor, which saves itself.
        scorecard: its scorecard, if one was made.

    Raises:
        DeviceError: `directory` holds something else.
        OSError: it cannot be written; what was there is as it was.
    """
    from nnmeter.predictor import write_predictor

    def fill(fresh: Path) -> None:
        _write_json(fresh / "card.json", card.to_dict())
        whole = REFERENCE in rules or TRAINED_WITH in rules
        _write_json(fresh / "rules.json", rules if whole else embedded_rules(rules))
        if scorecard is not None:
            _write_json(fresh / "scorecard.json", scorecard)
        write_predictor(predictor, fresh)

    return _write_pack(Path(directory).absolute(), fill)


def save_scorecard(pack: DevicePack, scorecard: Mapping[str, Any]) -> DevicePack:
    """Store a scorecard in a pack; all else stays as it is. See `save_pack`."""
    import shutil

    def fill(fresh: Path) -> None:
        for name in read_manifest(pack.path):
            shutil.copyfile(pack.path / name, fresh / name)
        _write_json(fresh / "scorecard.json", scorecard)

    return _write_pack(pack.path, fill)


def save_rules(pack: DevicePack, rules: Mapping[str, Any], directory: str | os.PathLike[str]) -> DevicePack:
    """A copy of a pack with other rules, in `directory` or in the pack's place. See `save_pack`."""
    import shutil

    def fill(fresh: Path) -> None:
        for name in read_manifest(pack.path):
            shutil.copyfile(pack.path / name, fresh / name)
        _write_json(fresh / "rules.json", rules)

    return _write_pack(Path(directory).absolute(), fill)


def save_files(
    directory: str | os.PathLike[str], files: Mapping[str, bytes], check: Callable[[DevicePack], None]
) -> DevicePack:
    """Write a pack that another made, whole or not at all. See `save_pack`.

    Args:
        directory: where the pack goes; must be new, empty, or a device pack.
        files: the bytes of its files, by name; the manifest, which is written anew, is none of them.
        check: is given the pack before it takes its place, and raises where it must not.
    """

    def fill(fresh: Path) -> None:
        for name, data in files.items():
            (fresh / name).write_bytes(data)

    return _write_pack(Path(directory).absolute(), fill, check)


def check_place(directory: str | os.PathLike[str]) -> None:
    """Refuse a place where no pack can be written; verbs that take long ask before they begin.

    Raises:
        DeviceError: `directory` holds something else, or cannot be made.
    """
    target = Path(directory).absolute()
    if target.exists() and not (target / MANIFEST).is_file() and (not target.is_dir() or any(target.iterdir())):
        raise DeviceError(f"{target}: exists and is no device pack; give another place for the pack")
    above = next(place for place in target.parents if place.exists())
    why = why_not_made(above)
    if why is not None:
        raise DeviceError(f"{target}: cannot be made in {above} ({why}); give another place for the pack")


def _write_pack(
    target: Path, fill: Callable[[Path], None], check: Callable[[DevicePack], None] | None = None
) -> DevicePack:
    import shutil
    import tempfile

    check_place(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=temporary_prefix(target), dir=target.parent))
    try:
        fresh = work / target.name
        fresh.mkdir()
        fill(fresh)
        write_manifest(fresh)
        written = read_pack(fresh)
        _ = written.rules, written.predictor  # what could not be read again is not written
        if check is not None:
            check(written)
        _replace_directory(fresh, target, work / "previous")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return read_pack(target)


def _replace_directory(fresh: Path, target: Path, aside: Path) -> None:
    """Put `fresh` in the place of `target`; put the old one back if that fails."""
    if target.exists() and _exchange(fresh, target):
        return
    if target.exists():
        os.rename(target, aside)
    try:
        os.rename(fresh, target)
    except OSError:
        if aside.exists():
            os.rename(aside, target)
        raise


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two directories in one step, so that a reader always finds one; False where the system cannot.

    Linux can since 3.15, on most file systems.
    """
    if sys.platform != "linux":
        return False
    import ctypes

    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of <fcntl.h> and <linux/fs.h>
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return rename is not None and rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
