"""All services of a cluster, put together: the one that HTTP and the wire are given; and the same, each loaded when it is first asked, for a command that asks one or two."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

from runink.operations.calls import Caller, Context
from runink.operations.catalog.table import CATALOG
from runink.operations.declarations import Asked, Operation
from runink.services.auditing import Auditing
from runink.services.behind import Behind
from runink.services.service import Handlers, Services

# Each part, by its module and class, and the words that names of its operations begin with.
PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "herds:HerdService": ("herds",),
    "bundles:BundleService": ("bundles",),
    "annotations:AnnotationService": ("annotations",),
    "nodes:NodeService": ("nodes", "members", "decisions"),
    "roles:RoleService": ("roles", "cluster-roles"),
    "bindings:BindingService": ("bindings", "cluster-bindings"),
    "schedules:ScheduleService": ("schedules",),
    "pipelines:PipelineService": ("pipelines",),
    "contracts:ContractService": ("contracts",),
    "approvals:ApprovalService": ("contracts", "contract-approvals"),
    "access_questions:QuestionService": ("auth",),
    "issuers:IssuerService": ("issuers", "auth"),
    "audit:AuditService": ("audit", "cluster-audit"),
    "accounts:AccountService": ("accounts",),
    "tokens:TokenService": ("tokens", "issuers", "auth"),
    "identity:IdentityService": ("access", "signing-keys"),
    "runs:RunService": ("runs",),
    "submissions:SubmissionService": ("runs",),
    "run_events:RunEventService": ("runs", "events"),
    "slices:SliceService": ("slices", "placements"),
    "logs:LogService": ("logs",),
    "facts:FactService": ("lineage", "quality"),
    "dead_letters:DeadLetterService": ("dead-letters",),
    "samples:SampleService": ("samples",),
}


def services_of(behind: Behind) -> Auditing:
    """Return what carries out every operation of the catalog, and writes down who has asked for it."""
    return Auditing(unaudited(behind), behind)


def unaudited(behind: Behind) -> Services:
    """Return what carries out every operation of the catalog."""
    return Services(CATALOG, *(handlers_of(part, behind) for part in PARTS))


def handlers_of(part: str, behind: Behind) -> Handlers:
    """Load a part, and return what it carries out."""
    module, _, name = part.partition(":")
    made: Handlers = getattr(import_module(f"runink.services.{module}"), name)(behind).handlers()
    return made


class LoadedServices(Services):
    """Carries out every operation of the catalog; each part is loaded with the first operation that may be its own."""

    def __init__(self, behind: Behind) -> None:
        super().__init__(())
        self._behind = behind

    async def call(
        self, operation: Operation, request: Asked, caller: Caller, context: Context
    ) -> Any:
        """Return what the operation's kind says. Raises Refused and Unavailable."""
        if operation.name not in self._handlers:
            word = operation.name.partition(".")[0]
            for part in (part for part, words in PARTS.items() if word in words):
                found = handlers_of(part, self._behind)
                self._handlers |= {one.name: handler for one, handler in found.items()}
        return await super().call(operation, request, caller, context)
