"""What a pipeline promises of its output: checks on `@golden`."""

from __future__ import annotations

from typing import Final

from runink.contracts.fields import ContractSpec
from runink.dsl.clauses import GoldenClause
from runink.dsl.diagnostics import Findings, near_or_all

COMPARABLE: Final = (".csv", ".jsonl", ".json", ".parquet", ".arrow")


def check_golden(clause: GoldenClause, contract: ContractSpec | None, findings: Findings) -> None:
    """Tell what is wrong with a golden's file and, where the sink's contract is known, with its key."""
    path = clause.path.value
    if path.startswith(("/", "~")) or ".." in path.split("/"):
        hint = "goldens are kept beside the pipeline"
        findings.add("D031", f"{path} leaves the project", clause.path.span, hint)
    elif not path.endswith(COMPARABLE):
        hint = f"its name ends in {', '.join(COMPARABLE)}"
        findings.add("D030", f"{path} cannot be compared", clause.path.span, hint)
    if contract is None:
        return
    fields = [one.name for one in contract.fields]
    for name in clause.key:
        if name.value not in fields:
            text = f"{contract.name} has no field {name.value}"
            findings.add("D041", text, name.span, near_or_all(name.value, fields))
