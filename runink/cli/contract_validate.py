"""`runi contract validate`: data held against a contract, without a pipeline around it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import click

from runink.cli.contract_reference import contract_argument, contract_of
from runink.cli.data_files import delimiter_option, nulls_option, read_data
from runink.cli.exits import ExitCode
from runink.cli.options import output_option
from runink.cli.wording import columns, echo_json, harmless
from runink.contracts.fields import ContractSpec
from runink.quantities import counted

REASONS_SHOWN_MAX: Final = 50  # kinds of reasons: a longer table is not read


@dataclass(slots=True)
class Verdict:
    """How rows have fared. `examples` has a message of each reason, with the place of the first row that has it."""

    rows: int = 0
    rejected: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], tuple[str, str]] = field(default_factory=dict)


@click.command()
@contract_argument
@click.argument("data", metavar="DATA")
@nulls_option
@delimiter_option
@output_option
def validate(
    reference: str, data: str, nulls: tuple[str, ...], delimiter: str, output: str
) -> None:
    """Check DATA (.csv, .jsonl, .json, .parquet, .arrow) against a contract. Exit code 0 if every row keeps it, 1 if not."""
    spec = contract_of(reference)
    verdict = judged(spec, data, nulls=nulls, delimiter=delimiter)
    if output == "json":
        echo_json(_document(spec, data, verdict))
    else:
        click.echo("\n".join(harmless(line) for line in _lines(spec, verdict)))
    if verdict.rejected:
        raise SystemExit(ExitCode.FAILED)


def judged(
    spec: ContractSpec, data: str, *, nulls: tuple[str, ...], delimiter: str = ""
) -> Verdict:
    """Return how the rows of a file fare under a contract. Raises what a source raises, and Refused if a column is missing."""
    from runink.contracts.plan import compile_plan  # noqa: PLC0415 - Arrow, which looking at a contract does not need

    plan = compile_plan(spec)
    verdict = Verdict()
    seen = plan.seen()  # so that a unique field is unique in the whole file
    for batch in read_data(data, contract=spec, nulls=nulls, delimiter=delimiter):
        found = plan.check(batch.data, seen).rejected
        verdict.rows += batch.data.num_rows
        if found is None:
            continue
        verdict.rejected += len(found.rows)
        verdict.reasons.update(found.counts)
        for key, first in found.examples.items():
            at = f"{batch.origin} row {batch.row + first.row}"
            verdict.examples.setdefault(key, (first.message, at))
    return verdict


def _document(spec: ContractSpec, data: str, verdict: Verdict) -> dict[str, Any]:
    reasons = [
        {
            "field": name,
            "rule": rule,
            "rows": rows,
            "example": verdict.examples[name, rule][0],
            "at": verdict.examples[name, rule][1],
        }
        for (name, rule), rows in verdict.reasons.most_common()
    ]
    return {
        "contract": spec.name,
        "version": spec.version,
        "hash": spec.hash,
        "data": data,
        "rows": verdict.rows,
        "rejected": verdict.rejected,
        "reasons": reasons,
    }


def _lines(spec: ContractSpec, verdict: Verdict) -> list[str]:
    rows = f"{verdict.rows:,} {'row' if verdict.rows == 1 else 'rows'}"
    if not verdict.rejected:
        verb = "keeps" if verdict.rows == 1 else "keep"
        return [f"{rows} {verb} {spec.name} {spec.version}"]
    share = verdict.rejected / verdict.rows
    shown = f"{share:.2%}" if share >= 0.0001 else "less than 0.01%"
    table = [
        (name, rule, f"{count:,}", *verdict.examples[name, rule])
        for (name, rule), count in verdict.reasons.most_common(REASONS_SHOWN_MAX)
    ]
    more = len(verdict.reasons) - len(table)
    return [
        f"{verdict.rejected:,} of {rows} ({shown}) {'breaks' if verdict.rejected == 1 else 'break'} {spec.name} {spec.version}",
        "",
        *columns([("field", "rule", "rows", "for example", "at"), *table]),
        *([f"and {counted(more, 'reason')} more"] if more > 0 else []),
    ]
