"""What stands beside a herd's file: what was written by itself stays, and what the file has brought goes with it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as changed
from runink.errors import Conflict, Invalid
from runink.herds.beside import Shown, beside
from runink.herds.record import Apart, HerdRecord
from runink.identity.roles import ROLES_MAX, Binding, Role, RoleOf, Rule
from runink.names import BindingName, HerdName, RoleName

CRM = HerdName("crm")
NOTHING = Apart()


def role(name: str, verb: str = "get") -> Role:
    return Role(RoleName(name), "crm", (Rule((verb,), ("runs",)),))


def binding(name: str, of: str, *, by: str = "") -> Binding:
    made = Binding(BindingName(name), "crm", RoleName(of), RoleOf.HERD, ("user:x:ann",))
    return changed(made, made_by=by)


def herd(*parts: Role | Binding, apart: Apart = NOTHING) -> HerdRecord:
    roles = tuple(one for one in parts if isinstance(one, Role))
    bindings = tuple(one for one in parts if isinstance(one, Binding))
    return HerdRecord(CRM, roles=roles, bindings=bindings, apart=apart)


OWN = Apart(("own",), ("own",))
KNOWN = herd(role("filed"), role("own"), binding("own", "own", by="ann"), apart=OWN)


def test_what_was_written_by_itself_stays_and_what_the_file_had_brought_goes() -> None:
    after = beside(herd(role("new")), KNOWN)
    assert after == herd(role("own"), role("new"), binding("own", "own"), apart=OWN)


def test_what_the_file_says_as_it_is_stays_whose_it_was() -> None:
    said = herd(role("own"), binding("own", "own"), role("filed"))
    assert beside(said, KNOWN) == herd(role("filed"), role("own"), binding("own", "own"), apart=OWN)


def test_what_the_file_says_otherwise_is_the_files_from_then_on() -> None:
    once = beside(herd(role("own", "list"), binding("own", "own")), KNOWN)
    assert once == herd(role("own", "list"), binding("own", "own"), apart=Apart((), ("own",)))
    assert beside(herd(role("own", "list")), once).roles == (role("own", "list"),)


def test_what_is_not_shown_to_who_declares_the_herd_stays() -> None:
    def not_filed(name: str) -> bool:
        return name != "filed"

    after = beside(herd(), KNOWN, Shown(role=not_filed))
    assert after == herd(role("filed"), role("own"), binding("own", "own"), apart=OWN)


def test_a_role_that_a_binding_beside_the_file_names_does_not_go() -> None:
    known = herd(role("filed"), binding("own", "filed"), apart=Apart((), ("own",)))
    for shown, is_told in ((Shown(), True), (Shown(binding=lambda _: False), False)):
        with pytest.raises(Conflict) as refused:
            beside(herd(), known, shown)
        assert refused.value.code == "role_in_use"
        assert ("by own" in refused.value.text) is is_told


def test_with_what_stays_a_herd_has_no_more_than_any() -> None:
    said = herd(*(role(f"r{place}") for place in range(ROLES_MAX)))
    with pytest.raises(Invalid, match="257 roles"):
        beside(said, KNOWN)
