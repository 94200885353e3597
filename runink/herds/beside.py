"""What stands beside a herd's file: roles and bindings that were written one by one.

    a role or binding that the file does not say      once the herd is declared anew
    was declared by the file before                   is gone
    was written by itself                             stays as it is
    is not shown to who declares it                   stays as it is
    the file says as it is there                      stays whose it was
    the file says otherwise                           is as the file says, which from then on declares it

So a file takes away what it has brought, and nothing that it never had; what was written by itself is deleted by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeVar

from msgspec.structs import replace as changed

from runink.errors import Conflict, Invalid
from runink.herds.record import Apart, HerdRecord
from runink.identity.roles import BINDINGS_MAX, ROLES_MAX, Binding, Role, RoleOf

T = TypeVar("T", Role, Binding)


def _every(_: str) -> bool:
    return True


class Shown(NamedTuple):
    """Which roles and bindings are shown to somebody, by their names."""

    role: Callable[[str], bool] = _every
    binding: Callable[[str], bool] = _every


EVERYTHING: Shown = Shown()


def beside(said: HerdRecord, known: HerdRecord, shown: Shown = EVERYTHING) -> HerdRecord:
    """Return what a herd is to be that a file declares anew: with all that stays beside the file.

    Raises Invalid for more roles or bindings than a herd has, Conflict (`role_in_use`) where a binding that stays names a role that does not.
    """
    roles, apart_roles = _with_kept(said.roles, known.roles, known.apart.roles, shown.role)
    plain = tuple(changed(one, made_by="", made_ms=0) for one in known.bindings)
    bindings, apart_bindings = _with_kept(said.bindings, plain, known.apart.bindings, shown.binding)
    _check_room(len(roles), ROLES_MAX, "roles")
    _check_room(len(bindings), BINDINGS_MAX, "bindings")
    names = {one.name for one in roles}
    for one in bindings:
        if one.role_of is RoleOf.HERD and one.role not in names:
            by = one.name if shown.binding(one.name) else "a binding"
            raise Conflict(
                f"role {one.role} is bound by {by}, which stands beside the herd's file",
                code="role_in_use",
                hint="take that binding away first, or let the file say the role",
            )
    return changed(said, roles=roles, bindings=bindings, apart=Apart(apart_roles, apart_bindings))


def _with_kept(
    said: Iterable[T], known: Iterable[T], apart: Iterable[str], shown: Callable[[str], bool]
) -> tuple[tuple[T, ...], tuple[str, ...]]:
    """Return what is said with what stays, in the order that they have, and the names of those that no file declares."""
    theirs: dict[str, T] = {str(one.name): one for one in said}
    before: dict[str, T] = {str(one.name): one for one in known}
    of_nobody = frozenset(apart)
    stays = {
        name: one
        for name, one in before.items()
        if name not in theirs and (name in of_nobody or not shown(name))
    }
    whole = theirs | stays
    ordered = [name for name in dict.fromkeys((*before, *theirs)) if name in whole]
    unclaimed = {name for name in of_nobody if whole.get(name) == before.get(name)}
    return tuple(whole[name] for name in ordered), tuple(sorted(unclaimed & whole.keys()))


def _check_room(count: int, most: int, what: str) -> None:
    if count > most:
        raise Invalid(
            f"with those that stand beside its file the herd would have {count:,} {what}, and may have {most:,}",
            hint=f"delete {what} that nobody needs",
        )
