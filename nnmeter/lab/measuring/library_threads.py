"""Threads of numeric libraries, held at one while something is timed.

NumPy's linear algebra and OpenMP start a pool of one thread a core, whose threads keep spinning for a while behind
every call. On a machine of few cores they take time from the runtime that is timed and from the reference kernel alike.
The runtimes' own pools do not obey these settings; an adapter sets their threads itself.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys

VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def fix_library_threads() -> None:
    """Limits every numeric library to one thread; best called before NumPy is imported.

    Libraries read their variables when they are loaded. Pools that exist already are limited through threadpoolctl,
    where that is installed (it comes with scikit-learn).
    """
    for name in VARIABLES:
        os.environ[name] = "1"
    if "numpy" not in sys.modules:
        return
    with contextlib.suppress(ImportError):
        importlib.import_module("threadpoolctl").threadpool_limits(1)
