"""`runi submit`: have a cluster run a pipeline that is published there or in force, by its API."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from runink.cli.asked_runs import end_of_run
from runink.cli.asking import Where, asking, asks_api
from runink.cli.choosing import herd_option
from runink.cli.completing import completed_pipelines
from runink.cli.options import param_option, parameters_of, seconds_in
from runink.cli.output import Form, echo_items, output_option
from runink.cli.run import exit_code_of
from runink.cli.summary import short
from runink.cli.wording import harmless
from runink.operations.catalog.runs import SUBMIT, RunDocument
from runink.wants import PRIORITY_MAX

_FORM: Final = Form(
    ("RUN", "STATE", "PIPELINE"),
    lambda one: (one.run, one.state.value, f"{one.herd}/{one.pipeline}"),
    lambda one: one.run,
)


@click.command()
@click.argument("pipeline", shell_complete=completed_pipelines)
@click.option("--version", help="Of a published version, 1.2.0; what is in force otherwise, or else the highest version that has its code.")  # fmt: skip
@param_option
@click.option("--priority", type=click.IntRange(-PRIORITY_MAX, PRIORITY_MAX), help="Which of the runs that wait is first: more is sooner.")  # fmt: skip
@click.option("--timeout", metavar="DURATION", help="End each slice after so long, as in 30m.")
@click.option("--rehearsal", is_flag=True, help="Publish nothing, and compare with the goldens.")
@click.option("--wait", is_flag=True, help="Wait for its end, and end as it has: 0, 1 if it failed, 130 if it was cancelled.")  # fmt: skip
@herd_option
@output_option
@asks_api
def submit(  # noqa: PLR0913 - what may be asked for
    pipeline: str,
    *,
    version: str | None,
    params: tuple[str, ...],
    priority: int | None,
    timeout: str | None,
    rehearsal: bool,
    wait: bool,
    herd: str | None,
    output: str,
    where: Where,
) -> None:
    """Run PIPELINE in a context's cluster: a version that was pushed there, or what is deployed.

    The run is printed as soon as the cluster has it; runi logs and runi why tell more.
    """
    fields: dict[str, Any] = {
        "herd": where.herd(herd),
        "pipeline": pipeline,
        "version": version,
        "parameters": parameters_of(params),
        "priority": priority,
        "timeout_s": seconds_in(timeout),
        "rehearsal": rehearsal,
    }
    with asking(where) as client:
        run: RunDocument = client.call(SUBMIT, **fields)
        if wait:
            click.echo(f"run {short(run.run)} is submitted", err=True)
            run = end_of_run(client, run)
    echo_items([run], output, _FORM, is_one=True)
    if wait:
        if run.error is not None:
            click.echo(harmless(f"error[{run.error.code}]: {run.error.text}"), err=True)
        sys.exit(exit_code_of(run))
