"""What to do about kernels outside of a pack's trained range, as commands that do it.

Rules:

1. A pack whose device nnmeter measured is extended where that device is: `nnmeter profile --like` measures the model's
   kernels, alone, in pieces and at other sizes; `nnmeter calibrate` makes a pack of them and of the old one.
2. The device of a pack that was made from published times cannot be profiled from here. What was timed on it by other
   means is recorded with `nnmeter measure --taken`, and calibrated on in the same way.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath

from nnmeter.devices.catalog import pack_directories
from nnmeter.devices.pack import DevicePack

_MODEL = "MODEL"  # of a prediction that did not come from a file


def how_to_train(pack: DevicePack, model: str | None, dims: Mapping[str, int]) -> tuple[str, ...]:
    """The commands that make a pack which was trained on a model's kernels too (rules 1 and 2).

    Args:
        pack: the pack, which is named by its id if it can be found by that, else by its path.
        model: path of the model; None where it is no file.
        dims: sizes of its free dimensions.
    """
    name = PurePath(model).stem if model else "model"
    words = [shlex.quote(model) if model else _MODEL, *(f"--dim {shlex.quote(f'{d}={n}')}" for d, n in dims.items())]
    subject = " ".join(words)
    card = pack.card
    device = shlex.quote(card.id if pack.path.parent in pack_directories() else str(pack.path))
    calibrated = shlex.quote(f"{card.id}-{name}")
    if card.is_reported:
        times = shlex.quote(f"{name}.parquet")
        return (
            f"nnmeter measure {subject} --taken MILLISECONDS --on {device} --out {times}",
            f"nnmeter calibrate {device} --measurements {times} --out {calibrated}",
        )
    runtime = "" if card.runtime == "onnxruntime" else f" --runtime {card.runtime}"
    threads = "" if card.threads == 1 else f" --threads {card.threads}"
    campaign = shlex.quote(f"{name}-campaign")
    return (
        f"nnmeter profile --like {subject} --device {device}{runtime}{threads} --budget 5m --out {campaign}",
        f"nnmeter calibrate {device} --measurements {campaign} --out {calibrated}",
    )
