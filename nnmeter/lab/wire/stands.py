"""What times models in a sitting, here or by wire, for whoever is told which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from nnmeter.lab.measuring.stand import LocalStand, Stand
from nnmeter.lab.runtimes import load_runtime
from nnmeter.lab.wire.board import Board
from nnmeter.lab.wire.far_stand import open_far_stand
from nnmeter.lab.wire.phone_stand import open_phone_stand

if TYPE_CHECKING:
    from nnmeter.graph.input_sizes import Session


@contextmanager
def open_stand(
    board: Board | None, runtime: str, threads: int, session: Session | None = None, append: bool = False
) -> Iterator[Stand]:
    """A runtime of this machine, or of a device by wire, which is held meanwhile.

    Args:
        board: the device; None for this machine.
        runtime: name of the runtime, where the device does not say.
        threads: that execute one model, where the device does not say.
        session: "free" for sessions that keep the free dimensions of models.
        append: whether measurements are added to a file that is there.

    Raises:
        MeasurementError: the runtime is not there, or the device cannot be reached or is held by another campaign.
    """
    if board is None:
        yield LocalStand(load_runtime(runtime, session), threads)
        return
    filled, keeps_free = board.filled(runtime, threads), session == "free"
    if board.scheme == "adb":
        with open_phone_stand(filled, keeps_free, append) as phone:
            yield phone
    else:
        with open_far_stand(filled, keeps_free) as stand:
            yield stand
