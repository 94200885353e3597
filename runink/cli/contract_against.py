"""Stored data held against two versions of a contract: how many rows each rejects, and why. In constant memory, a pass a version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from runink.connectors.sources import open_source
from runink.contracts.fields import ContractSpec
from runink.contracts.plan import compile_plan
from runink.contracts.reasons import Rejected
from runink.dag import Format, Source
from runink.errors import Invalid, Refused
from runink.pipes.batch import Batch

REASONS_MAX: Final = 100  # a contract has more only when it is generated
_URI: Final = re.compile(r"([a-z]+)((?:\+[a-z0-9]+)?://.+)", re.DOTALL)
_COMPRESSED: Final = (".gz", ".zst")
_REFUSES: Final = frozenset({"contract_columns", "source_columns"})


class Reason(msgspec.Struct, frozen=True):
    """How many rows one rule of one field rejects; `text` is the first row's."""

    field: str
    rule: str
    text: str
    rows: int


class Held(msgspec.Struct, frozen=True):
    """What two versions make of a file. `refused` says why the new one takes no row of it at all: a column is missing."""

    file: str
    old_version: str
    new_version: str
    rows: int
    rejected_by_old: int
    rejected_by_new: int
    reasons: tuple[Reason, ...] = ()
    refused: str = ""


def held_against(file: str, old: ContractSpec, new: ContractSpec) -> Held:
    """Check every row of a file by both. `file` is a path whose ending says its format, or a URI as in @source. Raises NotFound, Invalid, Refused."""
    source = _source(file)
    before, after = _Count(_closed(old, new)), _Count(_closed(new, old))
    refused = ["", ""]
    for place, count in enumerate((before, after)):
        try:
            count.all(source)
        except Refused as error:
            if error.code not in _REFUSES:
                raise
            refused[place] = error.text
    return Held(
        file,
        old.version,
        new.version,
        after.rows or before.rows,
        # An old version that refuses the whole file takes no row of it either.
        after.rows if refused[0] else before.rejected,
        before.rows if refused[1] else after.rejected,
        after.reasons(),
        refused[1],
    )


def _closed(spec: ContractSpec, other: ContractSpec) -> ContractSpec:
    """Return the contract with what either of the two calls personal: no reason shows a value of it."""
    personal = {field.name: field.pii for field in other.fields if field.pii}
    fields = tuple(
        msgspec.structs.replace(field, pii=field.pii or personal.get(field.name, ""))
        for field in spec.fields
    )
    return msgspec.structs.replace(spec, fields=fields)


def _source(file: str) -> Source:
    match = _URI.fullmatch(file)
    formats = {one.value: one for one in Format}
    if match is not None:
        name, path = match[1], match[2].removeprefix("://").removeprefix("+")
    else:
        bare = next((file.removesuffix(end) for end in _COMPRESSED if file.endswith(end)), file)
        name, path = bare.rpartition(".")[2].lower(), file
    if name not in formats:
        raise Invalid(
            f"{file} does not say its format",
            code="unknown_format",
            hint=f"its name ends in one of {', '.join(formats)}, or write it as in @source: csv://{file}",
        )
    return Source("against", "", file, formats[name], path)


class _Count:
    """What one version makes of the rows."""

    def __init__(self, spec: ContractSpec) -> None:
        self._spec = spec
        self._plan = compile_plan(spec)
        self._seen = self._plan.seen()
        self._found: dict[tuple[str, str], tuple[str, int]] = {}
        self.rows = 0
        self.rejected = 0

    def all(self, source: Source) -> None:
        for batch in _batches(msgspec.structs.replace(source, contract=self._spec)):
            checked = self._plan.check(batch.data, self._seen)
            self.rows += batch.data.num_rows
            if checked.rejected is not None:
                self.rejected += len(checked.rejected.rows)
                self._add(checked.rejected)

    def _add(self, rejected: Rejected) -> None:
        for key, rows in rejected.counts.items():
            text, before = self._found.get(key, (rejected.examples[key], 0))
            self._found[key] = (text, before + rows)

    def reasons(self) -> tuple[Reason, ...]:
        """Return why rows are rejected, what rejects most of them first."""
        found = [Reason(field, rule, text, rows) for (field, rule), (text, rows) in self._found.items()]  # fmt: skip
        return tuple(sorted(found, key=lambda one: -one.rows)[:REASONS_MAX])


def _batches(source: Source) -> Iterator[Batch]:
    files = open_source(source, root=Path.cwd(), staged=(), stdin_fd=None)
    try:
        yield from files.batches()
    finally:
        files.close()
