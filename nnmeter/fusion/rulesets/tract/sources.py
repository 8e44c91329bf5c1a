"""Where the rules for tract can be seen: files of its repository, and the version checked.

Every rule reproduces the optimized graph that this version lists (`Runnable.profile_json`) on the small models of
`tests/fusion/tract_cases.py` and the zoo.
"""

from __future__ import annotations

VERSION = "0.23"


def core(file: str) -> str:
    """A file of tract's operators and optimizer."""
    return f"core/src/{file}; optimized graphs of tract {VERSION}"
