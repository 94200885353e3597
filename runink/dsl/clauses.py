"""What annotations, sentences and blocks say, as typed values.

A clause knows its place in the file, but nothing of its neighbours; those are `streams.py`'s. What becomes a node has `meta`, what people say of it.
`reading.py` makes clauses of annotations, `sentences.py` of sentences, `blocks.py` of blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from runink.contracts.fields import ContractSpec, OnDrift
from runink.dag import Format, Limit, Limits, Mode, OnInvalid
from runink.dsl.syntax import Text
from runink.dsl.uris import Location
from runink.errors import Span
from runink.networks import Network
from runink.tries import Retry

DEFAULT_NULLS: Final = ("",)  # what means nothing in CSV where nothing is said


@dataclass(frozen=True, slots=True)
class SourceClause:
    span: Span
    location: Location
    alias: Text | None
    nulls: tuple[str, ...]
    delimiter: str
    isolate: bool
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ContractClause:
    """`on` names the stream that is checked; `on_invalid` is nothing where the scenario decides, `on_drift` where the contract does. `version` is the one that the edge speaks.

    `of_scenario` says that it checks the scenario's sources, wherever it stands. `spec` is the contract itself where it stands in the file.
    """

    span: Span
    path: Text
    on: Text | None
    on_invalid: OnInvalid | None
    isolate: bool
    on_drift: OnDrift | None = None
    version: Text | None = None
    of_scenario: bool = False
    spec: ContractSpec | None = None
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StepClause:
    """`name`, `sql` or `command`: one of them is there. `inputs` are the streams that it reads instead of the one above."""

    span: Span
    name: Text | None
    file: Text | None
    sql: Text | None
    run: Text | None
    command: tuple[str, ...]
    format: Format
    alias: Text | None
    inputs: tuple[Text, ...]
    isolate: bool
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkClause:
    span: Span
    location: Location
    mode: Mode
    when: Text | None
    inputs: tuple[Text, ...]
    isolate: bool
    meta: dict[str, str] = field(default_factory=dict)
    role: Text | None = None  # the name alone, where it stands


@dataclass(frozen=True, slots=True)
class DeadLetterClause:
    span: Span
    location: Location
    mode: Mode
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequiresClause:
    """`gpus`, `sees`, `labels` and `grace_ms` are nothing where it says nothing of them."""

    span: Span
    limits: Limits
    network: Network | None
    gpus: int | None = None
    sees: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    grace_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AffinityClause:
    """Each is nothing where it says nothing of it. `together` and `apart` name steps (`step:X`), `apart` words of the herd, too."""

    span: Span
    labels: tuple[str, ...] | None
    together: tuple[Text, ...] | None = None
    apart: tuple[Text, ...] | None = None
    domain: str | None = None
    skew: int | None = None


@dataclass(frozen=True, slots=True)
class RetryClause:
    span: Span
    retry: Retry


@dataclass(frozen=True, slots=True)
class TimeoutClause:
    span: Span
    limit: Limit  # milliseconds


@dataclass(frozen=True, slots=True)
class CheckpointClause:
    span: Span
    format: Format


@dataclass(frozen=True, slots=True)
class AssertClause:
    span: Span
    condition: Text


@dataclass(frozen=True, slots=True)
class GoldenClause:
    """`inputs` are `PATH` or `SOURCE=PATH` each: what a test reads in a source's place."""

    span: Span
    path: Text
    inputs: tuple[Text, ...]
    key: tuple[Text, ...]
    ignore: tuple[Text, ...]
    tolerance: float
    relative: float
    ordered: bool
    of_scenario: bool = False  # wherever it stands, it is for the scenario's one sink


@dataclass(frozen=True, slots=True)
class MetaClause:
    """What people say of the line above: kept, and enforced by nothing."""

    span: Span
    values: dict[str, str]


NodeClause = SourceClause | ContractClause | StepClause | SinkClause | DeadLetterClause
# What a step or a scenario asks for.
Asking = RequiresClause | AffinityClause | RetryClause | TimeoutClause
Clause = NodeClause | Asking | CheckpointClause | AssertClause | GoldenClause
