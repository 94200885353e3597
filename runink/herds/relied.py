"""What a compiled pipeline relies on of its herd, held against the herd as it is now: where its sinks may hold what they get, whom their roles show it to, and how it is masked.

It is asked when a run is submitted or a schedule's time has come, and again when a slice begins: a herd may be declared otherwise while a run goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from runink.clearances import NOT_CLEARED, ClearancePolicy
from runink.contracts.hidden import Clearance
from runink.dag import Node, Sink
from runink.errors import Refused
from runink.identity.roles import Clearances, Role, shown_by_roles
from runink.names import HerdName

HIDES_ALL: Final = "redact"  # no other mask leaves less


def check_relied(
    herd: HerdName,
    nodes: Iterable[Node],
    policy: ClearancePolicy,
    roles: Iterable[Role] | None = None,
) -> None:
    """Raise Refused (`not_cleared`) where a sink among these relies on a clearance or a mask that its herd has changed since the pipeline was compiled, or on a role (of the herd's
    `roles`, nothing where they are not declared) that shows less by now.
    """
    shown = None if roles is None else shown_by_roles(roles)
    for node in nodes:
        if isinstance(node, Sink) and node.clearance is not None:
            for text in _gone(node, node.clearance, policy, shown):
                hint = f"it was so in herd {herd} when the pipeline was compiled: compile it again"
                raise Refused(f"{text} any more", code=NOT_CLEARED, hint=hint)


def _gone(
    node: Sink, relied: Clearance, policy: ClearancePolicy, shown: dict[str, Clearances] | None
) -> Iterator[str]:
    """Yield what a sink relies on and is not so any more."""
    lacking = policy.lacks(node.uri, relied.cleared)
    if lacking:
        yield f"{node.uri} is not cleared for {', '.join(lacking)}"
    if node.role and shown is not None:
        seen = shown.get(node.role, Clearances())
        hidden = [mark for mark in relied.marks if not seen.shows(mark)]
        if hidden:
            yield f"role {node.role}, for which {node.uri} is, does not see {', '.join(hidden)}"
    other = [
        f"{one.contract}.{one.field} by {one.mask}"
        for one in relied.by_herd
        if one.mask not in (HIDES_ALL, policy.mask_of(one.contract, one.field))
    ]
    if other:
        yield f"the herd does not mask {', '.join(other)}, as {node.uri} would,"
