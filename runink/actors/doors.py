"""The real doors of a chain: connectors, pipes and contracts, joined to the engine of `steps/` here, above all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from runink.connectors.publishing import discard, leftovers, publish
from runink.connectors.sinks import open_sink
from runink.connectors.sources import open_source
from runink.contracts.fields import ContractSpec, FieldSpec
from runink.contracts.hiding import hidden
from runink.contracts.plan import compile_plan
from runink.dag import Check, Sink, Source
from runink.jobs import Port, Prepared, Ticket, Transport
from runink.pipes import os_pipe, slots
from runink.pipes.batch import Batch
from runink.pipes.dead_letter import dead_batch
from runink.pipes.edge import ConsumerGone, EdgeReader, EdgeWriter, ProducerFailed
from runink.steps.doors import Plan, SinkWriter, SourceReader
from runink.stores import NO_STORES, Stores


class RealDoors:
    """See `steps.doors.Doors`. Sources and sinks in object stores are reached by `stores`; `masking_key` is the herd's, for masks that need it."""

    def __init__(self, stores: Stores = NO_STORES, masking_key: bytes = b"") -> None:
        self._stores = stores
        self._masking_key = masking_key

    @property
    def neighbour_failures(self) -> tuple[type[BaseException], ...]:
        return (ProducerFailed, ConsumerGone)

    def source(
        self, node: Source, *, root: Path, staged: tuple[str, ...], stdin_fd: int | None
    ) -> SourceReader:
        return open_source(node, root=root, staged=staged, stdin_fd=stdin_fd, stores=self._stores)

    def sink(self, node: Sink, *, root: Path, ticket: Ticket, stdout_fd: int | None) -> SinkWriter:
        return open_sink(node, root=root, ticket=ticket, stdout_fd=stdout_fd, stores=self._stores)

    def hidden(self, data: pa.RecordBatch, fields: tuple[FieldSpec, ...]) -> pa.RecordBatch:
        return hidden(data, fields, self._masking_key)

    def publish(self, prepared: Prepared) -> None:
        publish(prepared, stores=self._stores)

    def discard(self, prepared: Prepared) -> None:
        discard(prepared, stores=self._stores)

    def leftovers(self, node: Sink, *, root: Path, ticket: Ticket) -> None:
        leftovers(node, root=root, ticket=ticket, stores=self._stores)

    def plan(self, spec: ContractSpec) -> Plan:
        return compile_plan(spec)

    def dead(self, rejected: Any, *, batch: Batch, check: Check, ticket: Ticket) -> Batch:
        return dead_batch(rejected, batch=batch, check=check, ticket=ticket)

    def reader(self, descriptor: int, *, port: Port) -> EdgeReader:
        if port.transport is Transport.SLOTS:
            return slots.open_reader(descriptor, fingerprint=port.fingerprint)
        return os_pipe.open_reader(descriptor, fingerprint=port.fingerprint)

    def writer(self, descriptor: int, *, port: Port, memory_bytes: int) -> EdgeWriter:
        if port.transport is Transport.SLOTS:
            return slots.open_writer(
                descriptor, fingerprint=port.fingerprint, memory_bytes=memory_bytes
            )
        return os_pipe.open_writer(descriptor, fingerprint=port.fingerprint)
