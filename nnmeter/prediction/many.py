"""The prediction of many models, here, on all cores, or on a cluster.

Rules:

1. Predictions come in the order of models, then of sizes, then of devices, wherever they are made.
2. Models may be a generator: no more are asked for than are being worked on, and a few ahead.
3. With `errors="return"`, the error of a model stands in the list in the place of its predictions. Only what the caller
   gave can be so returned (`NnmeterError`); a fault of nnmeter is raised.
4. Workers of a cluster read packs from their directories, so that these must be there on every machine; what a pack is
   to the machine that asks is told by the machine that asks.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from concurrent.futures import Executor, ProcessPoolExecutor
from itertools import islice
from typing import Any, Literal, overload

from nnmeter.children import safe_spawning
from nnmeter.errors import NnmeterError
from nnmeter.graph.input_sizes import AS_DECLARED, InputSizes
from nnmeter.prediction.predict import LatencyPredictor, predictors_for
from nnmeter.prediction.prediction import Prediction
from nnmeter.prediction.pricing import DEFAULT_CONFIDENCE
from nnmeter.prediction.workers import Task, predict_chunk, start

Devices = Sequence[str | os.PathLike[str] | LatencyPredictor]
Progress = Callable[[int, int], None]

_CHUNK = 16  # models that go to a worker at once
_AHEAD = 3  # chunks for each worker that are under way or wait


@overload
def predict_many(
    models: Iterable[Any],
    devices: Devices | None = None,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    progress: Progress | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    workers: int = 1,
    client: Any = None,
    errors: Literal["raise"] = "raise",
    keep: None = None,
) -> list[Prediction]: ...


@overload
def predict_many(
    models: Iterable[Any],
    devices: Devices | None = None,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    progress: Progress | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    workers: int = 1,
    client: Any = None,
    errors: Literal["raise", "return"] = "raise",
    keep: Callable[[Prediction], Any] | None = None,
) -> list[Any]: ...


def predict_many(
    models: Iterable[Any],
    devices: Devices | None = None,
    dims: Mapping[str, int | Sequence[int]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
    assume: Mapping[str, Sequence[int]] | None = None,
    strict: bool = False,
    confidence: float = DEFAULT_CONFIDENCE,
    progress: Progress | None = None,
    values: Mapping[str, Any] | None = None,
    trips: Mapping[str, int] | None = None,
    *,
    sizes: InputSizes = AS_DECLARED,
    workers: int = 1,
    client: Any = None,
    errors: Literal["raise", "return"] = "raise",
    keep: Callable[[Prediction], Any] | None = None,
) -> list[Any]:
    """Predict several models on several devices, in the order of rule 1.

    Args:
        models: what `LatencyPredictor.predict` takes; a list or a generator.
        devices: ids (`adreno*` for several, `all` for all that can be found), paths of packs, or predictors; the pack
            nearest to this machine if not given.
        dims: a size, or several, by name of the dimension, as in `LatencyPredictor.predict_each`.
        shapes: whole shapes of inputs, added to `sizes.shapes`.
        assume: shapes of inner tensors that depend on data, added to `sizes.assume`.
        strict: raise where a kernel is outside of the trained range.
        confidence: of the intervals.
        progress: told how many models are done, and how many there are; 0 where a generator does not tell.
        values: values of inputs that shapes depend on, added to `sizes.values`.
        trips: trip counts of loops that the run decides, added to `sizes.trips`.
        sizes: what the models leave open, in one object.
        workers: processes to predict in; hundreds of models make up for starting them.
        client: predicts in its workers, in place of processes here: a `dask.distributed.Client`, or an `Executor` of
            `concurrent.futures`.
        errors: "raise" the first, or "return" each in the place of its model's predictions (rule 3).
        keep: what to keep of each prediction, in place of all of it: `operator.attrgetter("latency_ms")` for a number.
            Workers send no more than that, so that millions fit; it must be a function of a module.

    Raises:
        ModelError: a model cannot be read, or dimensions remain free.
        DeviceError: a device is unknown, or its pack is damaged.
        CoverageError: `strict`, and a kernel is outside of the trained range.
    """
    if isinstance(models, str | bytes | os.PathLike):
        raise NnmeterError(f"{models!r:.80} is one model; give a list, or take nnmeter.predict")
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise NnmeterError(f"there cannot be {workers!r:.40} workers; give a whole number from 1 on")
    if errors not in ("raise", "return"):
        raise NnmeterError(f"errors cannot be {errors!r:.40}; give 'raise' or 'return'")
    predictors = predictors_for(devices)
    task = Task(sizes.updated(dims, shapes, assume, values, trips), strict, confidence, errors == "return", keep)
    total = len(models) if isinstance(models, Sized) else 0
    told = _told(models, total, progress)
    if client is not None:
        return list(_on_cluster(client, told, predictors, task))
    if workers > 1:
        return list(_in_processes(workers, told, predictors, task))
    return [one for model in told for one in predict_chunk([model], task, predictors)]


def _told(models: Iterable[Any], total: int, progress: Progress | None) -> Iterator[Any]:
    """The models, each told of before it is worked on."""
    for done, model in enumerate(models):
        if progress is not None:
            progress(done, total)
        yield model


def _in_processes(
    workers: int, models: Iterable[Any], predictors: Sequence[LatencyPredictor], task: Task
) -> Iterator[Any]:
    """Predictions by processes of this machine."""
    # A fork has everything at once; with other threads it may stop for ever at a lock that one of them held.
    fork = sys.platform == "linux" and threading.active_count() == 1
    context = multiprocessing.get_context("fork" if fork else "spawn")
    with safe_spawning(), ProcessPoolExecutor(workers, context, start, (predictors,)) as pool:
        yield from _in_order(pool, models, task, None, workers)


def _on_cluster(
    client: Any, models: Iterable[Any], predictors: Sequence[LatencyPredictor], task: Task
) -> Iterator[Any]:
    """Predictions by the workers of a client."""
    given = tuple((os.fspath(predictor.pack.path), predictor.machine) for predictor in predictors)
    threads = sum(client.nthreads().values()) if hasattr(client, "nthreads") else os.cpu_count() or 1
    yield from _in_order(client, models, task, given, max(threads, 1))


def _in_order(client: Executor | Any, models: Iterable[Any], task: Task, given: Any, workers: int) -> Iterator[Any]:
    """The results of chunks in the order of the models; only so many are under way (rule 2)."""
    settings = {} if isinstance(client, Executor) else {"pure": False}  # for Dask to compare no models
    source = iter(models)
    under_way: deque[Any] = deque()
    try:
        while True:
            while len(under_way) < _AHEAD * workers:
                chunk = [_portable(model) for model in islice(source, _CHUNK)]
                if not chunk:
                    break
                under_way.append(client.submit(predict_chunk, chunk, task, given, **settings))
            if not under_way:
                return
            yield from under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()


def _portable(model: Any) -> Any:
    """A model as another process can have it: of an open file, what is in it."""
    return model.read() if hasattr(model, "read") and not hasattr(model, "SerializeToString") else model
