"""A sitting: models measured one after another, and added to a file. What `nnmeter.measure` does.

1. Models are read first, so that a bad one is known before an hour has gone into the good ones. It is an error, or
   with `keep_going` left out. The rest are measured by the protocol. With a file, its nominal time of the reference is
   shared, so that all of its sessions compare (`nnmeter.lab.measuring.append`); that the file is of this device is
   known before anything runs.
2. A model that the runtime refuses is an error, unless there is someone to tell; then it is left out.
3. After an interrupt, what was measured until then is written.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from nnmeter.binding.bind import bind_shapes
from nnmeter.errors import MeasurementError, ModelError, NnmeterError
from nnmeter.formats import read_model
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.measuring.append import append_measurements, check_appendable, describe_sitting
from nnmeter.lab.measuring.interruption import MeasuringInterrupted
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import Progress
from nnmeter.lab.measuring.stand import Stand


@dataclass(frozen=True, slots=True)
class SittingResult:
    """What a session came to.

    Attributes:
        measurements: in the order of the models; as they are in the file, where there is one.
        own_reference_ms: the reference's own time, in milliseconds; that of earlier sessions may be another.
        fingerprint: of the machine and runtime that it was measured with.
        interrupted: whether it was ended before all models were measured.
        executed: path and kernels of each of the measurements, which themselves have no names of kernels.
    """

    measurements: tuple[Measurement, ...]
    own_reference_ms: float
    interrupted: bool
    fingerprint: Mapping[str, Any]
    executed: tuple[tuple[Path, tuple[Kernel, ...]], ...] = ()


def measure_sitting(
    models: Sequence[str | os.PathLike[str]],
    stand: Stand,
    sizes: InputSizes,
    out: str | os.PathLike[str] | None = None,
    append: bool = False,
    *,
    families: Mapping[str, str] | None = None,
    passes: int = 6,
    seconds_per_pass: float = 0.4,
    progress: Progress | None = None,
    refused: Callable[[str, NnmeterError], None] | None = None,
    keep_going: bool = False,
) -> SittingResult:
    """Measure models, and add the measurements to a file (rules 1 to 3).

    Args:
        models: paths of model files.
        stand: what times them.
        sizes: dimensions and shapes; what is measured has the shapes of its data, so that nothing can be assumed.
        out: measurement file; None to write none.
        append: add to a file that is there.
        families: family of a model by its file name.
        passes: passes over all models.
        seconds_per_pass: time for one model in one pass, in seconds.
        progress: called with a line of text, steps done and steps in all.
        refused: called with path and reason for a model that cannot be run (rule 2).
        keep_going: leave out models that cannot be read as well, in place of measuring none (rule 1).

    Raises:
        ModelError: a model cannot be read.
        MeasurementError: the runtime refuses a model; `out` is there and `append` is false, or is of another device.
    """
    if sizes.assume or sizes.values or sizes.trips:
        raise MeasurementError("what is measured has the shapes of its data; give dims and shapes alone")
    nominal_ms = None
    reasons: list[str] = []

    def refuse(path: str, fault: NnmeterError) -> None:
        if refused is None:
            raise fault
        reasons.append(str(fault))
        refused(path, fault)

    readable = _readable(models, sizes, refuse if keep_going else None)
    fingerprint = stand.fingerprint()
    if out is not None:
        if Path(out).exists() and not append:
            raise MeasurementError(
                f"{os.fspath(out)}: exists already; add to it with append=True, or give another file"
            )
        nominal_ms = check_appendable(out, fingerprint)
    own_ms = [stand.reference_ms()] if nominal_ms is not None else []
    interrupted = False
    executed: list[tuple[Path, tuple[Kernel, ...]]] = []
    try:
        found = stand.measure(
            readable,
            sizes,
            families,
            passes,
            seconds_per_pass,
            nominal_ms,
            progress,
            refuse,
            lambda path, kernels: executed.append((path, tuple(kernels))),
        )
    except MeasuringInterrupted as stopped:
        found, interrupted = stopped.measurements, True
    if not found and not interrupted:
        raise MeasurementError("no model could be measured: " + "; ".join(reasons))
    fingerprint = stand.fingerprint()  # some devices tell what they are when they have run
    if not found:
        return SittingResult((), 0.0, interrupted, fingerprint)
    if own_ms and not interrupted:
        own_ms.append(stand.reference_ms())
    own_reference_ms = mean(own_ms) if own_ms else found[0].reference_ms
    if out is not None:
        fingerprint["reference_ms"] = found[0].reference_ms
        fingerprint["sittings"] = {found[0].sitting: describe_sitting(found, fingerprint["date"], own_reference_ms)}
        found = append_measurements(out, found, fingerprint)
    return SittingResult(tuple(found), own_reference_ms, interrupted, fingerprint, tuple(executed))


def _readable(
    models: Sequence[str | os.PathLike[str]], sizes: InputSizes, refuse: Callable[[str, NnmeterError], None] | None
) -> list[str | os.PathLike[str]]:
    """The models that can be read and whose shapes can be bound (rule 1)."""
    readable = []
    for path in models:
        try:
            if not Path(path).stem.isprintable():
                raise ModelError(f"{os.fspath(path)}: its name, which its measurement gets, is no text; rename it")
            bind_shapes(read_model(path), sizes)
            readable.append(path)
        except (NnmeterError, OSError) as fault:
            if refuse is None:
                raise
            refuse(os.fspath(path), fault if isinstance(fault, NnmeterError) else ModelError(str(fault)))
    return readable
