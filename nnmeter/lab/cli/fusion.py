"""`nnmeter fusion`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nnmeter.cli import options
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.lab.cli.times import parse_budget
from nnmeter.lab.report import LAB

if TYPE_CHECKING:
    from nnmeter.fusion.engine.rules import FusionRules
    from nnmeter.lab.discovery.catalogue import FusionTest


@click.command("fusion")
@options.runtime
@click.option("--out", "rules_file", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE",
              help="File for the fusion rules, with the evidence of each.")  # fmt: skip
@click.option("--budget", "budget_s", default="5m", show_default=True, callback=parse_budget, metavar="TIME",
              help="How long to measure: 5m, 90s.")  # fmt: skip
@click.option("--only", multiple=True, metavar="PAIR",
              help="Try only these: 'Conv > Relu', or with wildcards: 'MatMul*'. Repeatable.")  # fmt: skip
@click.option("--black-box", is_flag=True, help="From timings alone.")
@click.option("--white-box", is_flag=True, help="From the runtime's own executed graph alone.")
@click.option("--against", metavar="FILE", help="Rules to compare with. Default: those that ship for the runtime.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of weights, inputs and order.")
@options.output_format(*LAB.formats("fusion"))
@options.output_file
def command(
    runtime: str,
    threads: int,
    rules_file: Path,
    budget_s: float,
    only: tuple[str, ...],
    black_box: bool,
    white_box: bool,
    against: str | None,
    seed: int,
    report_format: str,
    output: Path | None,
) -> None:
    """Find out which operators a runtime makes one kernel of.

    Tries pairs and chains of operators in two ways: compares times, and reads the graph that the runtime says it
    executes. --black-box and --white-box choose one of them. FILE can be given wherever fusion rules are read.
    """
    from nnmeter.files import write_whole
    from nnmeter.lab.discovery.campaign import discover_fusion
    from nnmeter.lab.discovery.catalogue import TESTS
    from nnmeter.lab.discovery.ruleset import rules_of
    from nnmeter.lab.runtimes import load_runtime

    check_directory(rules_file, "--out")
    tests = _chosen(TESTS, only)
    adapter = load_runtime(runtime)
    shipped = _rules_to_compare(adapter.name, against)
    both = black_box == white_box
    with StatusLine() as status:
        discovery = discover_fusion(
            adapter,
            threads,
            budget_s,
            tests,
            black_box=both or black_box,
            white_box=both or white_box,
            shipped=shipped,
            seed=seed,
            progress=lambda text, done, total: status.show(f"[{done}/{total}] {text}"),
        )
    write_whole(rules_file, json.dumps(rules_of(discovery), indent=1) + "\n")
    write_report(LAB.render("fusion", discovery, report_format, layout_for(output)), output)


def _chosen(tests: Sequence[FusionTest], only: Sequence[str]) -> list[FusionTest]:
    """The tests that `--only` names: with or without their domain, with wildcards or without."""
    if not only:
        return list(tests)
    chosen = []
    for wanted in only:
        found = [t for t in tests if fnmatchcase(_plain(t.name), _plain(wanted)) or _plain(wanted) == _short(t)]
        if not found:
            known = ", ".join(dict.fromkeys(f"'{test.name.rpartition(' [')[0]}'" for test in tests))
            raise click.UsageError(f"--only {wanted!r}: there is no such test; there are {known}")
        chosen += found
    return [test for test in tests if test in chosen]


def _plain(text: str) -> str:
    """Lower case without blanks; brackets are letters here, not wildcards."""
    return "".join(text.lower().split()).replace("[", "(").replace("]", ")")


def _short(test: FusionTest) -> str:
    return _plain(test.name.rpartition(" [")[0])


def _rules_to_compare(runtime: str, against: str | None) -> FusionRules | None:
    from nnmeter.devices.machine import this_machine
    from nnmeter.fusion.for_machine import rules_for_machine
    from nnmeter.fusion.loading import load_rules
    from nnmeter.fusion.ruleset_index import find_rule_set

    if against is not None:
        return load_rules(against)
    rule_set = find_rule_set(runtime)
    return None if rule_set is None else rules_for_machine(load_rules(rule_set.id), this_machine().isa)
