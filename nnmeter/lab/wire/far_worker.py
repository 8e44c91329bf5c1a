"""The measuring process on the far side: answers the requests of `nnmeter.lab.wire.session`, one after another.

It is given its job as JSON and reads requests from standard input, a line each. Answers go to what was standard output
when it began; what a runtime prints there goes to the log. When its input ends, so does it, at once.

| request | answers |
|---|---|
| (the job) | `end`: fingerprint, whether there is a profiler |
| `nominal`, `reference` | `end`: milliseconds of the reference, for a campaign or a sitting |
| `network` | `end`: the measurement, the state of machine and process; or `refused` |
| `models` | `progress`, a `row` for each model, `left_out` for others, `end`; or `refused` |

Networks are measured by the very code that measures them on the near side (`LocalBench`, `measure_models`).
"""

from __future__ import annotations

import base64
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.lab.wire.landing import Store

if TYPE_CHECKING:
    import onnx

    from nnmeter.lab.campaign.bench import LocalBench
    from nnmeter.lab.runtimes.base import RuntimeAdapter

Message = dict[str, Any]

MEMORY_SHARE = 0.6  # of the machine's: a board has less than what the limits of a campaign are
TELL_S = 1.0
_INTERRUPTED = 130


def main() -> None:
    """Measures, until standard input ends."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the shell that began all this ignores
    voice = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(message: Message) -> None:
        voice.write(json.dumps(message) + "\n")
        voice.flush()

    requests: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    try:
        worker = FarWorker(json.loads(sys.argv[2]), say)
    except (NnmeterError, OSError) as fault:
        say({"refused": str(fault)})
        return
    except ImportError as fault:
        say({"refused": _missing(fault)})
        return
    say({"end": worker.opened()})
    while True:
        try:
            request = requests.get()
            worker.answer(request)
        except NnmeterError as fault:
            say({"refused": str(fault)})
        except ImportError as fault:
            say({"refused": _missing(fault)})
        except KeyboardInterrupt:
            say({"refused": "interrupted"})


def _missing(fault: ImportError) -> str:
    return f"its Python lacks {fault.name or fault}; install it there: pip install numpy onnx, and the runtime"


def _read(requests: queue.SimpleQueue[Message]) -> None:
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    os._exit(_INTERRUPTED)


class FarWorker:
    """A runtime of this machine, and what is asked of it."""

    def __init__(self, job: Message, say: Callable[[Message], None]) -> None:
        """Take the cores of the job and load its runtime.

        Raises:
            NnmeterError: the runtime is not installed, or the system cannot keep to the cores.
        """
        if job["cores"] is not None:
            _keep_to(job["cores"])
        from nnmeter.lab.measuring.library_threads import fix_library_threads

        fix_library_threads()
        from nnmeter.lab.runtimes import load_runtime

        self._job, self._say = job, say
        self._adapter: RuntimeAdapter = load_runtime(job["runtime"], job["session"])
        self._bench: LocalBench | None = None
        self._sent: str | None = None
        self._requests: dict[str, Callable[[Any], None]] = {
            "nominal": self._nominal,
            "reference": self._reference,
            "network": self._network,
            "models": self._models,
        }

    def opened(self) -> Message:
        """What the near side is told first."""
        from nnmeter.lab.measuring.fingerprint import take_fingerprint

        adapter, threads = self._adapter, self._job["threads"]
        settings = adapter.device_settings(threads)
        if self._job["cores"] is not None:
            settings["cores"] = self._job["cores"]
        fingerprint = take_fingerprint(adapter.name, adapter.version(), threads, settings)
        return {"fingerprint": fingerprint, "has_profiler": adapter.has_profiler}

    def answer(self, request: Message) -> None:
        """Does what is asked."""
        ((name, content),) = request.items()
        self._requests[name](content)

    def _open_bench(self) -> LocalBench:
        if self._bench is None:
            from nnmeter.lab.campaign.bench import LocalBench, Recipes

            limit = min(self._job["memory_limit_bytes"], int(MEMORY_SHARE * _memory_bytes()))
            self._bench = LocalBench(self._adapter, self._job["threads"], Recipes({}, self._build), limit)
        return self._bench

    def _nominal(self, _: Any) -> None:
        self._say({"end": {"reference_ms": self._open_bench().nominal_ms()}})

    def _reference(self, _: Any) -> None:
        from nnmeter.lab.measuring.stand import LocalStand

        self._say({"end": {"reference_ms": LocalStand(self._adapter, self._job["threads"]).reference_ms()}})

    def _build(self, seed: int, recipe: str, small: bool) -> onnx.ModelProto:
        if self._sent is None:
            from nnmeter.lab.campaign.bench import default_recipes

            return default_recipes().build(seed, recipe, small)
        import onnx

        from nnmeter.lab.runtimes.weights import fill_weights

        model = onnx.load_model_from_string(zlib.decompress(base64.b64decode(self._sent)))
        fill_weights(model, seed)
        return model

    def _network(self, asked: Message) -> None:
        from nnmeter.lab.campaign.bench import Work
        from nnmeter.lab.wire.messages import row_to_message

        bench = self._open_bench()
        self._sent = asked["model"]
        row = bench.measure(Work(*asked["work"]), asked["nominal_ms"], asked["sitting"])
        full = None
        try:
            bench.tidy()
        except MeasurementError as fault:
            full = str(fault)
        end = {"row": row_to_message(row), "restlessness": bench.restlessness(), "peak_bytes": bench.peak_bytes()}
        self._say({"end": {**end, "full": full}})

    def _models(self, asked: Message) -> None:
        from nnmeter.lab.measuring import protocol
        from nnmeter.lab.measuring.interruption import MeasuringInterrupted
        from nnmeter.lab.wire.messages import row_to_message

        told = 0.0

        def tell(text: str, done: int, total: int) -> None:
            nonlocal told
            if time.monotonic() - told >= TELL_S:
                told = time.monotonic()
                self._say({"progress": [text, done, total]})

        with tempfile.TemporaryDirectory(prefix="models-", dir="files") as folder:
            paths = list(_lay_out(asked["models"], Path(folder)))
            number_of = {str(path): number for number, path in enumerate(paths)}

            def refuse(path: str, fault: NnmeterError) -> None:
                self._say({"left_out": [number_of[path], str(fault).replace(f"{path}: ", "")]})

            interrupted = False
            try:
                rows = protocol.measure_models(
                    paths,
                    self._adapter,
                    self._job["threads"],
                    asked["passes"],
                    asked["seconds_per_pass"],
                    families=asked["families"],
                    dims=asked["dims"],
                    shapes=asked["shapes"],
                    reference_ms=asked["reference_ms"],
                    memory_limit_bytes=min(self._job["memory_limit_bytes"], int(MEMORY_SHARE * _memory_bytes())),
                    sitting=asked["sitting"],
                    progress=tell,
                    refused=refuse,
                )
            except MeasuringInterrupted as stopped:
                rows, interrupted = list(stopped.measurements), True
        for row in rows:
            self._say({"row": row_to_message(row)})
        self._say({"end": {"interrupted": interrupted}})


def _lay_out(models: list[list[list[str]]], folder: Path) -> Iterator[Path]:
    """Each model in a folder of its own under its own name, with its files of weights; the paths of the models."""
    store = Store("files")
    for number, files in enumerate(models):
        for name, digest in files:
            place = folder / str(number) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(store.path(digest), place)
        yield folder / str(number) / files[0][0]


def _keep_to(cores: str) -> None:
    """Runs this process, and the threads that it makes, on some cores alone."""
    from nnmeter.lab.wire.cores import cores_of

    if not hasattr(os, "sched_setaffinity"):
        raise MeasurementError(f"cores {cores}: this system cannot keep a process to cores; leave them out")
    try:
        os.sched_setaffinity(0, cores_of(cores))
    except OSError as fault:
        raise MeasurementError(f"cores {cores}: cannot be had ({fault.strerror})") from fault


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 1 << 62
