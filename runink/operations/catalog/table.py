"""All operations of a cluster: what HTTP, the wire, the clients and the access matrix are made of."""

from __future__ import annotations

from typing import Final

from runink.operations.catalog.accounts import ACCOUNTS
from runink.operations.catalog.annotations import ANNOTATIONS
from runink.operations.catalog.approvals import APPROVALS
from runink.operations.catalog.audit import AUDITS
from runink.operations.catalog.bindings import BINDINGS
from runink.operations.catalog.bundles import BUNDLES
from runink.operations.catalog.contracts import CONTRACTS
from runink.operations.catalog.facts import FACTS
from runink.operations.catalog.herds import HERDS
from runink.operations.catalog.identity import IDENTITY
from runink.operations.catalog.issuers import ISSUERS
from runink.operations.catalog.logs import LOGS
from runink.operations.catalog.nodes import NODES
from runink.operations.catalog.pipelines import PIPELINES
from runink.operations.catalog.questions import QUESTIONS
from runink.operations.catalog.roles import ROLES
from runink.operations.catalog.run_events import RUN_EVENTS
from runink.operations.catalog.runs import RUNS
from runink.operations.catalog.samples import SAMPLES
from runink.operations.catalog.schedules import SCHEDULES
from runink.operations.catalog.slices import SLICES
from runink.operations.catalog.tokens import TOKENS
from runink.operations.declarations import Operation

CATALOG: Final[tuple[Operation, ...]] = (
    *HERDS,
    *BUNDLES,
    *ANNOTATIONS,
    *NODES,
    *ROLES,
    *BINDINGS,
    *SCHEDULES,
    *PIPELINES,
    *CONTRACTS,
    *APPROVALS,
    *QUESTIONS,
    *ISSUERS,
    *AUDITS,
    *ACCOUNTS,
    *TOKENS,
    *IDENTITY,
    *RUNS,
    *RUN_EVENTS,
    *SLICES,
    *LOGS,
    *FACTS,
    *SAMPLES,
)
