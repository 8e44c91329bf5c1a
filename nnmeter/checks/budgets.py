"""The file of budgets: what may be written in it, and what it then means.

    device = "epyc-genoa-onnxruntime1.32-1t"   # or several: ["...", "..."]
    baseline = "nnmeter-baseline.json"         # what `nnmeter check --update` writes

    [[budget]]
    models = "models/*.onnx"                   # or several
    dims = { batch = [1, 8] }
    max_ms = 40
    probability = 0.9

Rules:

1. Names of files are relative to the folder of the file of budgets; `**` stands for any folders. A pattern that no file
   fits is an error: a budget that checks nothing looks like one that holds.
2. A budget applies to each of its models, on each of its devices, at each combination of its sizes.
3. Devices are named, in the file or in the budget: what is nearest to one machine is not to another.
4. A key that nobody knows is an error, which names the nearest key.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any

from nnmeter.errors import BudgetError, brief
from nnmeter.files import is_number, read_limited
from nnmeter.graph.input_sizes import InputSizes

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_FILE = "nnmeter.toml"
DEFAULT_BASELINE = "nnmeter-baseline.json"
_MOST_BYTES = 1 << 20
_LARGEST = 2**40


@dataclass(frozen=True, slots=True)
class Budget:
    """What some models may take.

    Attributes:
        name: of the budget.
        models: the files that it is for, relative to the folder of budgets, with `/` between folders.
        devices: ids or paths of device packs.
        sizes: of dimensions and inputs that the models leave open.
        max_ms: most milliseconds; None for any.
        probability: with which `max_ms` must hold as measured; None where the prediction itself must.
        max_growth_percent: most growth against the baseline.
        max_peak_mib: most memory while it runs, in MiB.
        min_coverage_percent: least share of the time that trained predictors must price.
    """

    name: str
    models: tuple[str, ...]
    devices: tuple[str, ...]
    sizes: InputSizes
    max_ms: float | None = None
    probability: float | None = None
    max_growth_percent: float | None = None
    max_peak_mib: float | None = None
    min_coverage_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Budgets:
    """A file of budgets.

    Attributes:
        folder: which names are relative to.
        baseline: the file of the baseline.
        budgets: the budgets, in the order of the file.
    """

    folder: Path
    baseline: Path
    budgets: tuple[Budget, ...] = field(default=())


def read_budgets(path: str | os.PathLike[str]) -> Budgets:
    """The budgets of a file.

    Raises:
        BudgetError: it is missing, is no TOML, or something in it is not what it may be; the message says where.
    """
    try:
        text = read_limited(path, _MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise BudgetError(
            f'{path}: there is no such file of budgets; write one: device = "ID" and, under [[budget]], models = '
            '"models/*.onnx" and max_ms = 40'
        ) from None
    except OSError as fault:
        raise BudgetError(f"{path}: cannot be read ({fault.strerror}); give a file of budgets") from None
    except UnicodeDecodeError:
        raise BudgetError(f"{path}: no TOML, which is text in UTF-8; give a file of budgets") from None
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as fault:
        raise BudgetError(f"{path}: no TOML: {brief(fault, 200)}") from None
    folder = Path(path).parent
    _check_keys(document, _FILE_KEYS, os.fspath(path))
    devices = _texts(document.get("device", []), f"{path}: device")
    baseline = _text(document.get("baseline", DEFAULT_BASELINE), f"{path}: baseline")
    entries = document.get("budget")
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise BudgetError(f"{path}: it has no budget; add a table [[budget]] with models and a limit")
    budgets = []
    for number, entry in enumerate(entries, 1):
        where = f"{path}: budget {number}"
        budgets.append(_read_budget(entry, devices, folder, where, number))
    return Budgets(folder, folder / baseline, tuple(budgets))


def _read_budget(entry: Mapping[str, Any], devices: tuple[str, ...], folder: Path, where: str, number: int) -> Budget:
    _check_keys(entry, _BUDGET_KEYS, where)
    limits = {name: read(entry[name], f"{where}: {name}") for name, read in _LIMITS.items() if name in entry}
    if not limits:
        raise BudgetError(f"{where} has no limit; give one of {', '.join(_LIMITS)}")
    probability = None
    if "probability" in entry:
        probability = _between(entry["probability"], f"{where}: probability", 0.0, 1.0)
        if "max_ms" not in entry:
            raise BudgetError(f"{where}: probability is of max_ms; give that too, or leave it out")
    if "models" not in entry:
        raise BudgetError(f'{where} has no models; give file names or patterns, such as "models/*.onnx"')
    own = _texts(entry["device"], f"{where}: device") if "device" in entry else devices
    if not own:
        raise BudgetError(
            f"{where} has no device; name one (`nnmeter devices` lists them), for all budgets or in this one"
        )
    name = _text(entry.get("name", f"budget {number}"), f"{where}: name")
    models = _files(_texts(entry["models"], f"{where}: models"), folder, where)
    return Budget(name, models, own, _sizes(entry, where), probability=probability, **limits)


def _files(patterns: tuple[str, ...], folder: Path, where: str) -> tuple[str, ...]:
    """The files that patterns stand for, each once, sorted for each pattern (rule 1)."""
    found: dict[str, None] = {}
    for pattern in patterns:
        names = sorted(glob.glob(pattern, root_dir=folder, recursive=True))
        files = [name for name in names if (folder / name).is_file()]
        if not files and (folder / pattern).is_file():
            files = [pattern]  # a name with brackets in it
        if not files:
            raise BudgetError(
                f"{where}: no file fits {brief(repr(pattern), 80)} in {folder.resolve()}; mend the pattern"
            )
        found.update(dict.fromkeys(PurePath(name).as_posix() for name in files))
    return tuple(found)


def _sizes(entry: Mapping[str, Any], where: str) -> InputSizes:
    dims: dict[str, int | tuple[int, ...]] = {}
    for name, given in _table(entry.get("dims", {}), f"{where}: dims").items():
        sizes = tuple(_size(s, f"{where}: dims.{name}") for s in (given if isinstance(given, list) else [given]))
        if not sizes:
            raise BudgetError(f"{where}: dims.{name} is an empty list; give it a size")
        dims[name] = sizes if len(sizes) > 1 else sizes[0]
    shapes = {}
    for name, given in _table(entry.get("shapes", {}), f"{where}: shapes").items():
        if not isinstance(given, list):
            raise BudgetError(f"{where}: shapes.{name} is no list of sizes, such as [1, 3, 224, 224]")
        shapes[name] = tuple(_size(s, f"{where}: shapes.{name}") for s in given)
    return InputSizes(dims=dims, shapes=shapes)


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Rule 4."""
    for key in table:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, 1, 0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(known)}"
            raise BudgetError(f"{where}: unknown key {brief(repr(key), 80)}; {hint}")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BudgetError(f"{where} is no text: {brief(repr(value), 80)}")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(_text(item, where) for item in values))


def _table(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BudgetError(f"{where} is no table of names and sizes: {brief(repr(value), 80)}")
    return value


def _size(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LARGEST:
        raise BudgetError(f"{where} is no whole number above 0: {brief(repr(value), 80)}")
    return value


def _number(value: Any, where: str) -> float:
    if not is_number(value):
        raise BudgetError(f"{where} is no number: {brief(repr(value), 80)}")
    return float(value)


def _positive(value: Any, where: str) -> float:
    number = _number(value, where)
    if number <= 0:
        raise BudgetError(f"{where} is not above 0: {brief(repr(value), 80)}")
    return number


def _not_negative(value: Any, where: str) -> float:
    number = _number(value, where)
    if number < 0:
        raise BudgetError(f"{where} is below 0: {brief(repr(value), 80)}")
    return number


def _between(value: Any, where: str, low: float, high: float) -> float:
    number = _number(value, where)
    if not low < number < high:
        raise BudgetError(f"{where} is not between {low:g} and {high:g}: {brief(repr(value), 80)}")
    return number


def _share(value: Any, where: str) -> float:
    number = _not_negative(value, where)
    if number > 100:
        raise BudgetError(f"{where} is above 100: {brief(repr(value), 80)}")
    return number


_LIMITS: dict[str, Callable[[Any, str], float]] = {
    "max_ms": _positive,
    "max_growth_percent": _not_negative,
    "max_peak_mib": _positive,
    "min_coverage_percent": _share,
}
_FILE_KEYS = ("device", "baseline", "budget")
_BUDGET_KEYS = ("name", "models", "device", "dims", "shapes", "probability", *_LIMITS)
