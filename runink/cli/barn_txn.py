"""`runi barn txn`: conditions, and what is done if they all hold."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from runink.cli.barn_documents import answer_json, transaction_of
from runink.cli.barn_wording import force_option, refuse_own
from runink.cli.exits import ExitCode, told
from runink.cli.options import output_option, state_option
from runink.cli.runs import with_cluster
from runink.cli.wording import echo_json


@click.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), default="-")
@force_option
@output_option
@state_option
def txn(file: Path, force: bool, output: str, state: Path | None) -> None:  # noqa: FBT001 - click gives it by name
    """Do the transaction that FILE, or standard input, tells as JSON, whole or not at all. Exit code 5 if its conditions do not hold.

    \b
    {"if":   [{"key": "/a", "version": 0}],
     "then": [{"put": "/a", "value": "1"}],
     "else": [{"get": "/a"}]}
    """  # noqa: D301 - click's mark for lines that stay as they are
    try:
        is_standard = str(file) == "-"
        data = sys.stdin.buffer.read() if is_standard else file.read_bytes()
    except OSError as error:
        raise told(error, where=file) from error
    transaction = transaction_of(data)
    refuse_own(transaction, is_forced=force)
    answer = with_cluster(state, lambda cluster, _: cluster.barn.propose(transaction))
    if output == "json":
        echo_json(answer_json(answer))
    else:
        if answer.succeeded:
            click.echo(f"done at revision {answer.revision}")
        else:
            keys = ", ".join(transaction.compares[place].key for place in answer.failed)
            click.echo(
                f"not as it should be: {keys}; done what stands under else, at revision {answer.revision}"
            )
        for result in answer_json(answer)["results"]:
            click.echo(f"  {msgspec.json.encode(result).decode()}")
    if not answer.succeeded:
        raise SystemExit(ExitCode.CONFLICT)
