"""Models measured on a device by wire: files are copied there, and rows come back.

1. Of a model go the file and those files of weights that it names in its own folder; nothing outside of it, wherever a
   name in a file may lead. What is there already, or half of it, is not sent again.
2. All models are measured in one request, interleaved as the protocol says; a cut of the wire does not end it.
3. Ctrl-C ends it there, and what was measured by then comes back.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from nnmeter.errors import MeasurementError, ModelError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.kernels.kernel import Kernel
from nnmeter.lab.measuring.interruption import MeasuringInterrupted
from nnmeter.lab.measuring.measurement import Measurement
from nnmeter.lab.measuring.protocol import Progress
from nnmeter.lab.measuring.stand import Executed, Refused
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.claims import claim_for
from nnmeter.lab.wire.connection import Message
from nnmeter.lab.wire.far_bench import open_runtime
from nnmeter.lab.wire.messages import positive_ms, row_of_message, text_of
from nnmeter.lab.wire.session import FarDeath, FarRefusal, Session

LIMIT_BYTES = 6 << 30  # as `measure_models` has it; the far side keeps to a share of its own memory


class FarStand:
    """A runtime of a device by wire (`nnmeter.lab.measuring.stand.Stand`)."""

    def __init__(self, session: Session, fingerprint: dict[str, Any]) -> None:
        self._session, self._fingerprint = session, fingerprint

    def fingerprint(self) -> dict[str, Any]:
        """Of the device."""
        return dict(self._fingerprint)

    def reference_ms(self) -> float:
        """Of the device, now."""
        return positive_ms(self._session.ask({"reference": {}}).end.get("reference_ms"))

    def measure(
        self,
        models: Sequence[str | os.PathLike[str]],
        sizes: InputSizes,
        families: Mapping[str, str] | None,
        passes: int,
        seconds_per_pass: float,
        reference_ms: float | None,
        progress: Progress | None,
        refused: Refused,
        executed: Executed,
    ) -> Sequence[Measurement]:
        """There (rules 1 to 3)."""
        tell = progress or (lambda *_: None)
        paths = [Path(model) for model in models]
        files = []
        for number, path in enumerate(paths, 1):
            tell(f"copy {path.stem}", number, len(paths))
            files.append([[name, self._session.send_file(place)] for name, place in files_of(path)])
        sitting = time.strftime("%Y-%m-%dT%H:%M:%S")
        asked = {
            "models": files, "families": dict(families or {}), "dims": dict(sizes.dims),
            "shapes": {name: list(shape) for name, shape in sizes.shapes.items()}, "passes": passes,
            "seconds_per_pass": seconds_per_pass, "reference_ms": reference_ms, "sitting": sitting,
        }  # fmt: skip
        try:
            answer = self._session.ask(
                {"models": asked}, lambda said: _show(said, tell), 2 * len(paths), interruptible=True
            )
        except (FarRefusal, FarDeath) as fault:
            raise MeasurementError(f"{self._session.board.shown}: {fault}") from fault
        for said in answer.parts:
            if "left_out" in said:
                path, reason = _left_out(said["left_out"], paths)
                refused(str(path), MeasurementError(f"{path}: {reason}"))
        rows = [
            row_of_message(said["row"], granularity="model", threads=self._fingerprint["threads"], sitting=sitting)
            for said in answer.parts
            if "row" in said
        ]
        _check(rows, [path.stem for path in paths], reference_ms)
        by_name = {path.stem: path for path in paths}
        for row in rows:  # rows have no names of kernels
            kernels = [Kernel(f"{row.network}:{i}", signature, ()) for i, signature in enumerate(row.kernels)]
            executed(by_name[row.network], kernels)
        if answer.end.get("interrupted"):
            raise MeasuringInterrupted(rows)
        return rows


@contextmanager
def open_far_stand(board: Board, keeps_free: bool = False) -> Iterator[FarStand]:
    """A device by wire, held meanwhile.

    Args:
        board: the device, with its runtime and threads.
        keeps_free: sessions keep the free dimensions of models.

    Raises:
        MeasurementError: it cannot be reached, is held by another campaign, or lacks the runtime.
    """
    session = Session(board, claim_for("nnmeter measure"))
    try:
        fingerprint, _ = open_runtime(session, board, LIMIT_BYTES, keeps_free)
        yield FarStand(session, fingerprint)
    finally:
        session.close()


def files_of(path: Path) -> Iterator[tuple[str, Path]]:
    """The files of a model (rule 1): the name of each, relative to its folder, and where it is.

    Raises:
        ModelError: it is no ONNX model.
    """
    import onnx
    from onnx.external_data_helper import _get_all_tensors

    yield path.name, path
    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except Exception as fault:  # protobuf raises its own DecodeError, whose place differs between its versions
        raise ModelError(f"{path}: not an ONNX model, which alone can be sent; export it as one") from fault
    names = {
        entry.value
        for tensor in _get_all_tensors(model)
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        for entry in tensor.external_data
        if entry.key == "location"
    }
    folder = path.parent.resolve()
    for name in sorted(names):
        inner = PurePosixPath(name)
        place = path.parent / name
        if inner.is_absolute() or ".." in inner.parts or not place.resolve().is_relative_to(folder):
            continue
        if place.is_file() and name != path.name:
            yield str(inner), place


def _show(said: Message, tell: Progress) -> None:
    progress = said["progress"]
    if isinstance(progress, list) and len(progress) == 3 and all(type(number) is int for number in progress[1:]):
        tell(text_of(progress[0]), progress[1], max(progress[2], 1))


def _left_out(said: Any, paths: Sequence[Path]) -> tuple[Path, str]:
    if not isinstance(said, list) or len(said) != 2 or type(said[0]) is not int or not 0 <= said[0] < len(paths):
        raise MeasurementError("what came is no answer")
    return paths[said[0]], text_of(said[1])


def _check(rows: Sequence[Measurement], names: Sequence[str], reference_ms: float | None) -> None:
    """Rows are of these models, in their order, and of one nominal time.

    Raises:
        MeasurementError: they are not.
    """
    left = iter(names)
    nominal_ms = reference_ms or (rows[0].reference_ms if rows else None)
    for row in rows:
        if row.network not in left or row.id != f"model:{row.network}" or row.reference_ms != nominal_ms:
            raise MeasurementError(f"what came is no measurement of what was asked ({row.id:.80})")
