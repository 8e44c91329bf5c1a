"""What a worker does: predicts a few models with packs that it reads once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import InputSizes
from nnmeter.prediction.predict import LatencyPredictor, predict_on
from nnmeter.prediction.prediction import Prediction

if TYPE_CHECKING:
    from nnmeter.devices.identity import MachineMatch

Given = Sequence[tuple[str, "MachineMatch | None"]]  # directories of packs, and what each is to the machine that asks


class Task(NamedTuple):
    """What is to be made of each model; see `nnmeter.prediction.many.predict_many`.

    Attributes:
        sizes: what the models leave open.
        strict: raise where a kernel is outside of the trained range.
        confidence: of the intervals.
        return_errors: give an error in the place of a model's predictions.
        keep: what to keep of each prediction; all of it if None.
    """

    sizes: InputSizes
    strict: bool
    confidence: float
    return_errors: bool
    keep: Callable[[Prediction], Any] | None


_started: list[LatencyPredictor] = []  # of a process of a pool
_reading = Lock()


def start(predictors: Sequence[LatencyPredictor]) -> None:
    """Give a process of a pool its predictors."""
    _started[:] = predictors


def predict_chunk(models: Sequence[Any], task: Task, given: Sequence[LatencyPredictor] | Given | None) -> list[Any]:
    """The predictions of some models, in order.

    Args:
        models: the models.
        task: what is to be made of each.
        given: predictors, packs that they are made of, or None for those that the process was started with.
    """
    if given is None:
        predictors: Sequence[LatencyPredictor] = _started
    elif all(isinstance(one, LatencyPredictor) for one in given):
        predictors = given  # type: ignore[assignment]
    else:
        with _reading:  # threads of one worker share what the first of them reads
            predictors = _predictors(tuple(given))
    found: list[Any] = []
    for model in models:
        try:
            made: list[Any] = list(predict_on(predictors, model, task.sizes, task.strict, task.confidence))
        except NnmeterError as fault:
            if not task.return_errors:
                raise
            found.append(fault)
        else:
            found += made if task.keep is None else map(task.keep, made)
    return found


@lru_cache(maxsize=4)
def _predictors(given: tuple[tuple[str, MachineMatch | None], ...]) -> list[LatencyPredictor]:
    from nnmeter.devices import load_pack

    return [LatencyPredictor(load_pack(path), machine) for path, machine in given]
