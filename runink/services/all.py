"""All services of a cluster, put together: the one that HTTP and the wire are given."""

from __future__ import annotations

from runink.operations.catalog.table import CATALOG
from runink.services.access_questions import QuestionService
from runink.services.accounts import AccountService
from runink.services.annotations import AnnotationService
from runink.services.audit import AuditService
from runink.services.auditing import Auditing
from runink.services.behind import Behind
from runink.services.bindings import BindingService
from runink.services.bundles import BundleService
from runink.services.contracts import ContractService
from runink.services.dead_letters import DeadLetterService
from runink.services.facts import FactService
from runink.services.herds import HerdService
from runink.services.identity import IdentityService
from runink.services.issuers import IssuerService
from runink.services.logs import LogService
from runink.services.nodes import NodeService
from runink.services.pipelines import PipelineService
from runink.services.roles import RoleService
from runink.services.run_events import RunEventService
from runink.services.runs import RunService
from runink.services.schedules import ScheduleService
from runink.services.service import Services
from runink.services.slices import SliceService
from runink.services.submissions import SubmissionService
from runink.services.tokens import TokenService


def services_of(behind: Behind) -> Auditing:
    """Return what carries out every operation of the catalog, and writes down who has asked for it."""
    return Auditing(unaudited(behind), behind)


def unaudited(behind: Behind) -> Services:
    """Return what carries out every operation of the catalog."""
    parts = (
        HerdService(behind),
        BundleService(behind),
        AnnotationService(behind),
        NodeService(behind),
        RoleService(behind),
        BindingService(behind),
        ScheduleService(behind),
        PipelineService(behind),
        ContractService(behind),
        QuestionService(behind),
        IssuerService(behind),
        AuditService(behind),
        AccountService(behind),
        TokenService(behind),
        IdentityService(behind),
        RunService(behind),
        SubmissionService(behind),
        RunEventService(behind),
        SliceService(behind),
        LogService(behind),
        FactService(behind),
        DeadLetterService(behind),
    )
    return Services(CATALOG, *(part.handlers() for part in parts))
