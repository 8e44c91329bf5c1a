"""What a rule set means, as a hash: two sets of one hash detect the same kernels.

1. The hash is of parameters and stages, as canonical JSON: keys sorted, no spaces, the stages of other sets that
   `include` names in their places. Name, runtime, version and what the set says of devices and machines do not count.
2. What only tells readers something does not count either: `name`, `why` and `source` of stages, passes, rules,
   eliminations, and surroundings of `unless`. So a better reason or a better name leaves the hash as it is.
3. Stages and parameters are hashed one after the other: packs of one rule set differ in parameters alone, and the long
   half is stored (`nnmeter/fusion/ruleset_index.json`), so that a prediction need not hash the rules it loads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nnmeter.errors import DeviceError
from nnmeter.files import sha256_of

_FOR_READERS = frozenset({"name", "why", "source"})
_LISTS = ("passes", "rules", "operators", "unless")  # of objects that have the above


def rules_hash(rules: Mapping[str, Any]) -> str:
    """The hash of a rule set as JSON, its includes resolved (`rules_to_dict`): 64 hexadecimal digits."""
    return hash_with_parameters(stages_hash(rules), rules.get("parameters") or {})


def stages_hash(rules: Mapping[str, Any]) -> str:
    """The hash of the stages alone (rule 3)."""
    return _hash(_meaning(rules.get("stages")))


def hash_with_parameters(stages: str, parameters: Mapping[str, Any]) -> str:
    """The hash of a rule set whose stages have the hash `stages`."""
    return _hash({"parameters": dict(parameters), "stages": stages})


def _meaning(items: Any) -> Any:
    """Stages, passes or rules without what is for readers (rule 2)."""
    if not isinstance(items, Sequence) or isinstance(items, str):
        return items
    return [_of_item(item) if isinstance(item, Mapping) else item for item in items]


def _of_item(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in item.items() if key not in _FOR_READERS}
    return {key: _meaning(value) if key in _LISTS else value for key, value in kept.items()}


def _hash(content: Any) -> str:
    try:
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (RecursionError, TypeError, ValueError) as fault:
        raise DeviceError(f"fusion rules: not what JSON can hold ({fault!s:.100}); restore the rules") from None
    return sha256_of(text.encode())
