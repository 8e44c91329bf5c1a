"""PyTorch's profiler: the trace of `prof.export_chrome_trace(...)`, recorded with `record_shapes=True`.

Sources: docs.pytorch.org, `torch.profiler`; the trace of Kineto (`traceEvents`; of operators the arguments `Input
Dims`, `Input type`, `Concrete Inputs` and `External id`; steps are annotations `ProfilerStep#N`).

Rules:

1. A row is an event that lasts (`ph` is `X`). Of operators within operators (`aten::conv2d` calls
   `aten::convolution`) the outermost that the table knows is the kernel; those inside of it are refused as its parts.
2. An operator becomes a model of one operator of ONNX, with the shapes and arguments that the trace has, whose kernel
   the rules of the device name (`pytorch_operators`). Operators that only view or allocate, and those that the table
   does not have, are refused, each with the reason. So are the fused kernels of inductor, of which a trace tells no
   shapes.
3. An operator whose work runs on a GPU takes the time of the kernels that have its number (`External id`), or that of
   one inside of it.
4. A step whose kernels are all known is a network, profiled kernel by kernel, its time that of the step. Where a step
   has other work than views, its kernels are measurements of their own: the trace does not say what depends on what.
5. Equal kernels of all steps together are one measurement, of the mean of their times; the first step warms up where
   there are three.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nnmeter.errors import MeasurementError, NnmeterError
from nnmeter.files import is_number
from nnmeter.kernels.kernel import KernelSignature
from nnmeter.lab.importing.profiles.given import Companions, GivenFile
from nnmeter.lab.importing.profiles.ledger import FileAccount
from nnmeter.lab.importing.profiles.pytorch_operators import IDLE, OPERATORS, one_operator_model
from nnmeter.lab.importing.profiles.setting import Setting
from nnmeter.lab.importing.profiles.times import measured
from nnmeter.lab.measuring.measurement import Measurement

RUNTIME = "torch"
TRACE = "pytorch-trace"
MAINS = (TRACE,)

_STEP = "ProfilerStep#"
_OPERATOR, _KERNEL = ("cpu_op", "Operator"), ("kernel", "Kernel", "gpu_memset", "gpu_memcpy")
_MOST_US = 1e12
_LEAST_MS = 1e-3  # below it an unknown operator is no work that matters to a step

PART = "part of another operator"
NO_OPERATOR_EVENT = "no operator (annotations, calls of the runtime, Python)"
VIEW = "views or allocates, and computes nothing"
UNKNOWN = "operator that the table does not have"
NO_SHAPES = "operator without shapes; record them with record_shapes=True"
WARM_UP = "step that warms up"
LAUNCHED = "kernel of a GPU behind no operator of the trace"


@dataclass(eq=False)
class _Event:
    """An operator of the trace, with those inside of it."""

    name: str
    start: float
    end: float
    args: Mapping[str, Any]
    inside: list[_Event] = field(default_factory=list)

    @property
    def ms(self) -> float:
        return (self.end - self.start) / 1e3

    def all(self) -> Iterable[_Event]:
        pending = [self]
        while pending:
            one = pending.pop()
            yield one
            pending += one.inside


def recognise(file: GivenFile) -> str:
    """What a file of this tool is; "" for any other."""
    return TRACE if file.looks_like_json(b"{") and b'"traceEvents"' in file.data[: 1 << 22] else ""


def read(main: GivenFile, companions: Companions, setting: Setting, account: FileAccount) -> list[Measurement]:
    """The measurements that a trace makes (rules 1 to 5)."""
    events = main.json.get("traceEvents") if isinstance(main.json, dict) else None
    if not isinstance(events, list):
        raise MeasurementError("is no whole trace; end the profiling before copying the file")
    steps, tops, device_us = _events(events, account)
    setting.learn(RUNTIME, kind="gpu" if device_us else "")
    by_step = _by_step(steps, tops, account)
    on_device = bool(device_us)
    rows: list[list[tuple[KernelSignature, float]]] = []
    whole_ms: list[float] = []
    complete = True
    known: dict[str, KernelSignature | str] = {}
    for step, operators in by_step:
        own: list[tuple[KernelSignature, float]] = []
        for operator in operators:
            complete &= _walk(operator, setting, account, known, device_us, own)
        rows.append(own)
        whole_ms.append(step.ms if step is not None else sum(operator.ms for operator in operators))
    if not any(rows):
        raise MeasurementError("has no operator with shapes that is a kernel; record with record_shapes=True")
    first = rows[0][0][0].inputs if rows[0] else ()
    batch = first[0].shape[0] if first and first[0] is not None and first[0].shape else 1
    network = setting.network(main.stem, None, RUNTIME)
    network = type(network)(network.name, network.family, "model", network.threads, max(int(batch), 1), RUNTIME)
    alike = len({tuple(signature for signature, _ in own) for own in rows}) == 1
    if complete and alike and any(step is not None for step, _ in by_step) and not on_device:
        times = np.array([[ms for _, ms in own] for own in rows])
        return [measured(network, [signature for signature, _ in rows[0]], whole_ms, times)]
    together: dict[KernelSignature, list[float]] = defaultdict(list)
    for own in rows:
        for signature, ms in own:
            together[signature].append(ms)
    return [
        measured(network, [signature], times_ms, part=str(number))
        for number, (signature, times_ms) in enumerate(together.items())
    ]


def _events(content: Sequence[Any], account: FileAccount) -> tuple[list[_Event], list[_Event], dict[Any, float]]:
    """Steps, outermost operators, and microseconds on a GPU by the number of an operator."""
    steps: list[_Event] = []
    threads: dict[Any, list[_Event]] = defaultdict(list)
    device_us: dict[Any, float] = defaultdict(float)
    for entry in content:
        if not isinstance(entry, dict) or entry.get("ph") != "X":
            continue
        event = _event(entry)
        if event is None:
            account.refuse("malformed event", str(entry.get("name", ""))[:60])
        elif event.name.startswith(_STEP):
            if entry.get("cat") in ("user_annotation", *_OPERATOR):
                steps.append(event)
            account.refuse(NO_OPERATOR_EVENT)
        elif entry.get("cat") in _OPERATOR:
            threads[str(entry.get("tid"))].append(event)
        elif entry.get("cat") in _KERNEL:
            number = event.args.get("External id", event.args.get("external id"))
            if isinstance(number, int):
                device_us[number] += event.end - event.start
                account.accept()
            else:
                account.refuse(LAUNCHED, event.name)
        else:
            account.refuse(NO_OPERATOR_EVENT)
    tops: list[_Event] = []
    for events in threads.values():
        tops += _nested(events)
    return sorted(steps, key=lambda one: one.start), sorted(tops, key=lambda one: one.start), dict(device_us)


def _event(entry: Mapping[str, Any]) -> _Event | None:
    name, start, lasts, args = entry.get("name"), entry.get("ts"), entry.get("dur"), entry.get("args", {})
    numbers = all(map(is_number, (start, lasts)))
    if not isinstance(name, str) or not numbers or not isinstance(args, dict):
        return None
    if not 0 <= lasts < _MOST_US:  # type: ignore[operator]
        return None
    return _Event(name, float(start), float(start) + float(lasts), args)  # type: ignore[arg-type]


def _nested(events: list[_Event]) -> list[_Event]:
    """The outermost events of a thread, each with those inside of it."""
    tops: list[_Event] = []
    open_events: list[_Event] = []
    for event in sorted(events, key=lambda one: (one.start, -one.end)):
        while open_events and open_events[-1].end <= event.start:
            open_events.pop()
        (open_events[-1].inside if open_events else tops).append(event)
        open_events.append(event)
    return tops


def _by_step(
    steps: Sequence[_Event], tops: Sequence[_Event], account: FileAccount
) -> list[tuple[_Event | None, list[_Event]]]:
    """The operators of each step that counts (rule 5); of a trace without steps all are one."""
    if not steps:
        return [(None, list(tops))]
    own: list[list[_Event]] = [[] for _ in steps]
    starts = [step.start for step in steps]
    for operator in tops:
        number = bisect_right(starts, operator.start) - 1
        if number >= 0 and operator.start < steps[number].end:
            own[number].append(operator)
        else:
            account.refuse("operator outside of all steps", operator.name, sum(1 for _ in operator.all()))
    cold = 1 if len(steps) > 2 else 0
    account.refuse(WARM_UP, "", sum(1 for operators in own[:cold] for operator in operators for _ in operator.all()))
    return list(zip(steps[cold:], own[cold:], strict=True))


def _walk(
    operator: _Event,
    setting: Setting,
    account: FileAccount,
    known: dict[str, KernelSignature | str],
    device_us: Mapping[Any, float],
    found: list[tuple[KernelSignature, float]],
) -> bool:
    """Adds the kernels of an operator and of those inside of it (rules 1 to 3); whether all that works is known."""
    signature = _signature_of(operator, setting, known)
    if isinstance(signature, KernelSignature):
        inner = list(operator.all())
        us = sum(device_us.get(one.args.get("External id"), 0.0) for one in inner) if device_us else 0.0
        ms = us / 1e3 if device_us else operator.ms
        if ms > 0:
            account.accept()
            account.refuse(PART, "", len(inner) - 1)
            found.append((signature, ms))
        else:
            account.refuse("took no time that the trace tells", operator.name, len(inner))
        return True
    if operator.inside:
        account.refuse("calls others", operator.name)
        return not [one for one in operator.inside if not _walk(one, setting, account, known, device_us, found)]
    account.refuse(signature, operator.name)
    return signature == VIEW or operator.ms < _LEAST_MS


def _signature_of(operator: _Event, setting: Setting, known: dict[str, KernelSignature | str]) -> KernelSignature | str:
    """The kernel of an operator, or why it is none."""
    if operator.name in IDLE:
        return VIEW
    if operator.name not in OPERATORS:
        return UNKNOWN
    if not operator.args.get("Input Dims"):
        return NO_SHAPES
    told = [operator.args.get(key) for key in ("Input Dims", "Input type", "Concrete Inputs")]
    key = f"{operator.name} {told}"
    if key not in known:
        known[key] = _detect(operator.name, told, setting)
    return known[key]


def _detect(name: str, told: Sequence[Any], setting: Setting) -> KernelSignature | str:
    from nnmeter.binding.bind import bind_shapes
    from nnmeter.formats import read_model
    from nnmeter.fusion.detect import detect_kernels

    try:
        model = one_operator_model(name, *told)
        kernels = detect_kernels(bind_shapes(read_model(model)), setting.loaded_rules)
    except (NnmeterError, ValueError, LookupError, TypeError, ArithmeticError) as fault:
        return f"operator whose arguments make none of ONNX ({type(fault).__name__})"
    return kernels[0].signature if len(kernels) == 1 else "operator that the rules make several kernels of, or none"
