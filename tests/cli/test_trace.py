"""`nnmeter kernels --trace`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path


def test_json_has_the_trace_beside_the_kernels(cli: Callable, small_model: Path, small_pack: Path) -> None:
    done = cli("kernels", small_model, "--device", small_pack, "--format", "json", "--trace")
    document = json.loads(done.out)
    assert document["kernels"]
    assert set(document["trace"]) == {"fired", "rules", "not_fired", "idle"}


def test_a_rule_that_there_is_not_and_the_runtimes_own_kernels_are_refused(
    cli: Callable, small_model: Path, small_pack: Path
) -> None:
    unknown = cli("kernels", small_model, "--device", small_pack, "--rule", "no such rule")
    assert unknown.code == 2
    assert "no fusion rule is called 'no such rule'" in unknown.err
    assert cli("kernels", small_model, "--device", small_pack, "--trace", "--kernels-from", "runtime").code == 2
