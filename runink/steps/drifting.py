"""What a check does about the shape of what comes: look at it once for each schema, count it, and act as its policy says."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

from runink.contracts.drift import Drift, Extras, acted_upon, drift_of, set_aside
from runink.contracts.fields import OnDrift
from runink.dag import Check
from runink.errors import Refused
from runink.jobs import Drifted
from runink.pipes.batch import Batch
from runink.steps.counters import Counter

DRIFTS_SHOWN_MAX: Final = 10  # of a run that ends because of them: the others are in its document


class Gate:
    """The shape's side of one check. A stream has few schemas, so a batch costs a comparison of two."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._schema: pa.Schema | None = None
        self._drifts: tuple[Drift, ...] = ()
        self._acted: tuple[Drift, ...] = ()
        self._extras = Extras(check.contract) if check.on_drift is OnDrift.EVOLVE else None

    def look(self, batch: Batch, counter: Counter) -> Any:
        """Count how a batch departs from the contract. Returns its rows as rejected if they are to be set aside, else nothing. Raises Refused (`contract_drift`)."""
        schema = batch.data.schema
        if self._schema is None or not schema.equals(self._schema):
            check = self._check
            self._schema = schema
            self._drifts = drift_of(check.contract, schema, check.on_drift, is_typed=check.is_typed)
            self._acted = acted_upon(self._drifts)
        if not self._drifts:
            return None
        self._count(batch, counter)
        if self._acted and self._check.on_drift is OnDrift.FAIL:
            raise self._refused(batch)
        if self._acted and self._check.on_drift is OnDrift.DEAD_LETTER and batch.data.num_rows:
            return set_aside(batch.data, self._acted)
        return None

    def extended(self, good: pa.RecordBatch, batch: Batch, rejected: Any) -> pa.RecordBatch:
        """Return the good rows, with the columns that the contract does not name where those go on."""
        if self._extras is None:
            return good
        return self._extras.extended(good, batch.data, rejected)

    def _count(self, batch: Batch, counter: Counter) -> None:
        rows = batch.data.num_rows
        if self._acted:
            counter.drifted += rows
        for one in self._drifts:
            found = Drifted(
                self._check.id,
                one.column,
                one.departure.value,
                one.text,
                rows,
                batch.origin,
                one.is_allowed,
            )
            counter.drift(found)

    def _refused(self, batch: Batch) -> Refused:
        contract = self._check.contract
        lines = [f"  {one.text}" for one in self._acted[:DRIFTS_SHOWN_MAX]]
        more = len(self._acted) - len(lines)
        if more:
            lines.append(f"  and {more} more")
        head = f"the shape of {batch.origin} is not that of {contract.name} {contract.version}:"
        return Refused(
            "\n".join([head, *lines]),
            code="contract_drift",
            hint="mend the input or the contract, or let the edge take it: on_drift=note, deadletter or evolve",
        )
