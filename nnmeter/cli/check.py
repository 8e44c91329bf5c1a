"""`nnmeter check`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from nnmeter.cli import options
from nnmeter.cli.failures import CheckFailed
from nnmeter.cli.output import check_directory, layout_for, write_report
from nnmeter.cli.progress import StatusLine
from nnmeter.report.registry import CORE

_SUMMARY = "GITHUB_STEP_SUMMARY"
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("check")
@click.argument("budgets", type=_FILE, metavar="[BUDGETS]", default="nnmeter.toml")
@click.option("--update", is_flag=True, help="Write the baseline that growth is measured against, and check nothing.")
@click.option("--junit", type=_FILE, metavar="FILE", help="Write the findings to FILE as JUnit XML, too.")
@click.option("--benchmark", type=_FILE, metavar="FILE",
              help="Write the times to FILE, too, as github-action-benchmark takes them.")  # fmt: skip
@click.option("--summary", is_flag=True, help=f"Append the findings as Markdown to the file that ${_SUMMARY} names.")
@options.output_format(*CORE.formats("check"))
@options.output_file
def command(
    budgets: Path,
    update: bool,
    junit: Path | None,
    benchmark: Path | None,
    summary: bool,
    report_format: str,
    output: Path | None,
) -> None:
    """Check models against the BUDGETS of a repository: nnmeter.toml, if no file is named.

    Exit code 1, after the whole report, if a limit is exceeded.
    """
    from nnmeter.checks.baseline import read_baseline, write_baseline
    from nnmeter.checks.budgets import read_budgets
    from nnmeter.checks.check import Checker

    if update and (junit or benchmark or summary or output):
        raise click.UsageError("--update checks nothing, so that there is nothing to report; leave out the other")
    copies = {"--junit": junit, "--benchmark": benchmark, "--output": output}
    for option, path in copies.items():
        if path is not None:
            check_directory(path, option)
    if summary and not os.environ.get(_SUMMARY):
        raise click.UsageError(f"--summary: ${_SUMMARY} is not set; it is where a step of a GitHub workflow runs")
    read = read_budgets(budgets)
    with StatusLine() as status:
        checker = Checker(read, lambda done, total: status.show_bar("predicting", done, total))
        if update:
            from nnmeter.files import write_whole

            predictions = checker.predict()
            write_whole(read.baseline, write_baseline(predictions))
            click.echo(f"{read.baseline}: {len(predictions)} predictions")
            return
        grows = any(budget.max_growth_percent is not None for budget in read.budgets)
        result = checker.check(read_baseline(read.baseline) if grows else {})
    if junit is not None:
        write_report(CORE.render("check", result, "junit"), junit, option="--junit")
    if benchmark is not None:
        write_report(CORE.render("check", result, "benchmark"), benchmark, option="--benchmark")
    if summary:
        with open(os.environ[_SUMMARY], "a", encoding="utf-8") as stream:
            stream.write(CORE.render("check", result, "md"))
    write_report(CORE.render("check", result, report_format, layout_for(output)), output)
    if result.failed:
        raise CheckFailed(result.summary)
