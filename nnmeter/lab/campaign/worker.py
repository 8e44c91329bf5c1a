"""The process that measures a campaign for `nnmeter.lab.campaign.supervisor`.

It is given its job as JSON in its first argument, and writes lines of JSON to its standard output:

- `{"progress": {...}}`: a `CampaignProgress`, at most every `TELL_SECONDS`, since reading it wakes the other process;
- `{"done": {...}}`: the last one;
- `{"error": "..."}`: why it cannot measure, in one line.

Its standard input is held open by the supervisor. When that ends, however it ends, the worker stops as if interrupted:
what it has measured is written. The same does SIGTERM, which a batch system sends to all processes of a job. An
interrupt that follows another one at once is the same wish told twice, and does not cut the writing short.
"""

from __future__ import annotations

import _thread
import dataclasses
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from nnmeter.errors import NnmeterError, remedy_of
from nnmeter.lab.measuring.library_threads import fix_library_threads

if TYPE_CHECKING:
    from nnmeter.lab.campaign.campaign import CampaignProgress

TELL_SECONDS = 2.0
INTERRUPTED = 130
_SAME_WISH_SECONDS = 5.0  # many times what writing a block takes


def main() -> None:
    """Measures, and ends the process: never by a traceback beside the line that says why."""
    _listen_to_signals()
    try:
        _measure_or_say_why(json.loads(sys.argv[1]))
    except BrokenPipeError:
        _leave(INTERRUPTED)  # the supervisor is gone, and nobody reads why


def _measure_or_say_why(job: dict[str, Any]) -> None:
    try:
        threading.Thread(target=_stop_when_alone, daemon=True).start()
        _measure(job)
    except NnmeterError as fault:
        _say_last("error", str(fault))
    except BrokenPipeError:
        raise
    except OSError as fault:
        path = fault.filename or job["out_dir"]
        reason = f"{path}: {fault.strerror or fault}; {remedy_of(fault)}"
        _say_last("error", reason)
    except KeyboardInterrupt:
        _leave(INTERRUPTED)


def _measure(job: dict[str, Any]) -> None:
    fix_library_threads()  # before anything imports NumPy
    from nnmeter.lab.campaign.bench import Work
    from nnmeter.lab.campaign.campaign import run_campaign
    from nnmeter.lab.campaign.shards import Shard
    from nnmeter.lab.measuring.memory import LIMIT_BYTES
    from nnmeter.lab.runtimes import load_runtime

    told = time.monotonic()
    like = job.get("like")

    def tell(progress: CampaignProgress) -> None:
        nonlocal told
        if time.monotonic() - told >= TELL_SECONDS:
            told = time.monotonic()
            _say("progress", dataclasses.asdict(progress))

    network_of, limit_bytes = None, LIMIT_BYTES
    if like:
        from nnmeter.lab.campaign.cuts import CUTS_LIMIT_BYTES, cut_networks

        network_of, limit_bytes = cut_networks(**like), CUTS_LIMIT_BYTES
    done = run_campaign(
        job["out_dir"],
        load_runtime(job["runtime"]),
        job["threads"],
        job["budget_s"],
        job["seed"],
        tell,
        job["resume"],
        until=job["until"],
        network_of=network_of,
        memory_limit_bytes=limit_bytes,
        shard=Shard(*job["shard"]) if job.get("shard") else None,
        works=None if job.get("works") is None else [Work(*work) for work in job["works"]],
        spent_s=job.get("spent_s", 0.0),
    )
    _say_last("done", dataclasses.asdict(done))


def _listen_to_signals() -> None:
    """Let Ctrl-C, SIGTERM and the end of the supervisor interrupt what is measured, once."""
    told = -_SAME_WISH_SECONDS

    def interrupt(number: int, frame: object) -> None:
        nonlocal told
        if time.monotonic() - told >= _SAME_WISH_SECONDS:
            told = time.monotonic()
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


def _leave(code: int) -> None:
    """End without the interpreter's own end, which would flush to a pipe that nobody reads, and complain."""
    os._exit(code)


def _say(kind: str, content: object) -> None:
    print(json.dumps({kind: content}), flush=True)


def _say_last(kind: str, content: object) -> None:
    """Say what the supervisor waits for. It lets go then, which interrupts; what is left, the end, is not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say(kind, content)


def _stop_when_alone() -> None:
    while os.read(0, 1):
        pass
    _thread.interrupt_main()
