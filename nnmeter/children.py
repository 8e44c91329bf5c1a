"""Python processes of our own: they import this very package, and nothing from the working directory.

Rules:

1. A file beside a model must never be imported: `click.py`, `numpy.py` or a folder `nnmeter` in the working directory
   is a stranger's. Neither `python -m` nor `python -c` keeps it off `sys.path`, and Python 3.10 has no option for that.
2. A child gets the `sys.path` of this process without the working directory and without relative entries, which mean
   it. So does what it may start itself, by PYTHONPATH and PYTHONSAFEPATH.
3. What the standard library starts itself (`multiprocessing`, where it does not fork) begins with an import of its own,
   which PYTHONSAFEPATH keeps from the working directory from Python 3.11 on (`safe_spawning`).
4. The package is loaded from where this process has it, by its place and not by a search: it may lie in the working
   directory, as in a checkout.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent

_START = """\
import sys
sys.path[:] = {path!r}
import importlib.util
spec = importlib.util.spec_from_file_location("nnmeter", {init!r}, submodule_search_locations=[{package!r}])
module = sys.modules["nnmeter"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
{script}
"""


def python_command(script: str, *arguments: str) -> list[str]:
    """The command line of a Python process that runs a script, `nnmeter` imported already (rules 1 to 4)."""
    start = _START.format(
        path=safe_path(sys.path), init=str(_PACKAGE / "__init__.py"), package=str(_PACKAGE), script=script
    )
    # Newer Pythons import a module of their own before the first line of `-c`, which -P keeps from the directory.
    safe = ["-P"] if sys.version_info >= (3, 11) else []
    return [sys.executable, *safe, "-c", start, *arguments]


def child_environment(**changes: str) -> dict[str, str]:
    """The environment of a child: this one, with PYTHONPATH by rule 2 and `changes`."""
    inherited: Mapping[str, str] = os.environ
    path = safe_path(inherited.get("PYTHONPATH", "").split(os.pathsep))
    kept = {name: value for name, value in inherited.items() if name != "PYTHONPATH"}
    return {**kept, **({"PYTHONPATH": os.pathsep.join(path)} if path else {}), "PYTHONSAFEPATH": "1", **changes}


@contextlib.contextmanager
def safe_spawning() -> Iterator[None]:
    """While it lasts, processes that the standard library starts keep from the working directory (rule 3)."""
    before = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = before


def safe_path(entries: Iterable[str]) -> list[str]:
    """The entries of a path that are absolute and not the working directory, but for where Python itself lies."""
    here = os.path.realpath(os.getcwd())
    own = {os.path.realpath(place) for place in sysconfig.get_paths().values()}
    return [e for e in entries if os.path.isabs(e) and (os.path.realpath(e) != here or here in own)]
