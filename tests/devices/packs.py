"""Packs of several kinds, made of the pack of the tests."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from nnmeter.devices.manifest import write_manifest


def copy_pack(pack: Path, folder: Path, device_id: str, runtime: str = "onnxruntime", **fingerprint: Any) -> Path:
    """A copy of a pack under another id, of another runtime, with other facts in its fingerprint."""
    path = folder / device_id
    shutil.copytree(pack, path)
    card = json.loads((path / "card.json").read_text())
    card |= {"id": device_id, "runtime": runtime, "fingerprint": {**card["fingerprint"], **fingerprint}}
    (path / "card.json").write_text(json.dumps(card))
    write_manifest(path)
    return path


def change_price(path: Path, factor: float) -> None:
    """Make every kernel of a pack that much dearer."""
    document = json.loads((path / "predictor.json").read_text())
    document["scale"] *= factor
    (path / "predictor.json").write_text(json.dumps(document))
    write_manifest(path)


def change_rules(path: Path) -> None:
    """Give a pack rules of its own: blocks of 8 channels."""
    document = json.loads((path / "rules.json").read_text())
    document["parameters"]["block"] = 8
    (path / "rules.json").write_text(json.dumps(document))
    write_manifest(path)
