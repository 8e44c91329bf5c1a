"""YAML of objects, lists and scalars, which people read and change: job files need no more of it.

A text that is not plainly one is written as JSON has it, which YAML 1.2 reads as the same text.
"""

from __future__ import annotations

import json
import re
from typing import Any

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_OTHER_VALUES = frozenset("true false yes no on off y n null".split())  # texts that YAML takes for something else


def yaml_text(value: dict[str, Any], *comments: str) -> str:
    """The document, with lines of comment above it."""
    return "".join(f"# {line}\n" for line in comments) + "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> list[str]:
    if isinstance(value, dict):
        pairs = [(f"{_scalar(name)}:", below) for name, below in value.items()]
    else:
        pairs = [("-", below) for below in value]
    found: list[str] = []
    for mark, below in pairs:
        if not isinstance(below, dict | list):
            found.append(f"{mark} {_scalar(below)}")
        elif mark == "-":
            first, *rest = _lines(below)
            found += [f"- {first}", *(f"  {line}" for line in rest)]
        else:
            found += [mark, *(f"  {line}" for line in _lines(below))]
    return found


def _scalar(value: Any) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _OTHER_VALUES:
        return value
    return json.dumps(value, ensure_ascii=False)
