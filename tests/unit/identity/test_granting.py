"""Giving rights: what somebody may bind, write and take away, and how it is said that he may not."""

from __future__ import annotations

import pytest
from access_people import ANN, BOB, NIGHTLY, NOW_MS, OWNER, allow, bound, deny, index, role
from msgspec.structs import replace as changed
from runink.errors import Conflict, Forbidden, NotFound
from runink.identity.granting import (
    HerdAccess,
    check_may_bind,
    check_may_declare,
    check_may_delete_role,
    check_may_speak_for,
    check_may_unbind,
    check_may_write_role,
)
from runink.identity.roles import BUILT_IN, Binding, Effect, Role, Rule
from runink.identity.vocabulary import CLUSTER, EVERYTHING

ADMIN = bound("admins", "admin", ANN)
ROOT = bound("root", "cluster-admin", ANN, herd=EVERYTHING)
CLERK = role("clerk", allow("create update delete", "bindings roles tokens"))
CLERKS = bound("clerks", "clerk", ANN)


def refused(*parts: Role | Binding, giving: Binding) -> Forbidden:
    with pytest.raises(Forbidden) as caught:
        check_may_bind(index(*parts), ANN, giving, now_ms=NOW_MS)
    return caught.value


def test_an_administrator_of_a_herd_gives_there_what_he_has() -> None:
    at = index(ADMIN)
    for name in BUILT_IN:
        if name != "cluster-admin":
            check_may_bind(at, ANN, bound("new", name, BOB), now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not create bindings: no binding there allows"):
        check_may_bind(at, ANN, bound("new", "viewer", BOB, herd="stock"), now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not create bindings: no binding of the cluster"):
        check_may_bind(at, ANN, bound("new", "viewer", BOB, herd=EVERYTHING), now_ms=NOW_MS)


def test_nobody_binds_what_he_does_not_hold_and_is_told_what_that_is() -> None:
    error = refused(CLERK, CLERKS, bound("v", "viewer", ANN), giving=bound("me", "operator", ANN))
    assert error.code == "not_held"
    assert error.text == (
        "user:corp:ann may not bind operator without holding run of pipelines, run of runs, cancel of runs, "
        "update of runs, update of schedules, and more"
    )
    assert error.hint == "somebody may who holds it, or bind of that role"


def test_who_may_change_no_bindings_gives_nothing_however_much_he_holds() -> None:
    error = refused(bound("s", "steward", ANN), giving=bound("me", "viewer", BOB))
    assert error.code == "forbidden"


def test_bind_lets_give_a_role_that_one_does_not_hold() -> None:
    may = role("may", allow("bind", "roles", "op*"), allow("create", "bindings"))
    at = index(may, bound("m", "may", ANN))
    check_may_bind(at, ANN, bound("new", "operator", BOB), now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not bind viewer without"):
        check_may_bind(at, ANN, bound("new", "viewer", BOB), now_ms=NOW_MS)


def test_what_is_held_for_a_time_is_given_for_that_time_at_most() -> None:
    guest = changed(ADMIN, expires_ms=5_000)
    check_may_bind(index(guest), ANN, bound("new", "viewer", BOB, until_ms=5_000), now_ms=NOW_MS)
    assert refused(guest, giving=bound("new", "viewer", BOB, until_ms=5_001)).code == "not_held"
    assert refused(guest, giving=bound("admins", "admin", ANN)).code == "not_held"


def test_what_one_is_denied_one_does_not_give_but_the_rest_of_it() -> None:
    ban = role("ban", deny("delete", "runs", "prod-*"))
    parts = (ADMIN, ban, bound("b", "ban", ANN))
    some = role("some", allow("delete", "runs"), deny("delete", "runs", "prod-*"))
    assert "delete of runs" in refused(*parts, giving=bound("new", "admin", BOB)).text
    for_test = role("test", allow("delete", "runs", "test-*"))
    at = index(*parts, some, for_test)
    check_may_bind(at, ANN, bound("new", "some", BOB), now_ms=NOW_MS)
    check_may_bind(at, ANN, bound("new", "test", BOB), now_ms=NOW_MS)
    check_may_write_role(at, ANN, changed(some, name="more"), now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not write role some without holding delete of runs"):
        check_may_write_role(at, ANN, changed(some, rules=some.rules[:1]), now_ms=NOW_MS)


def test_fields_that_one_sees_masked_one_shows_nobody() -> None:
    parts = (CLERK, CLERKS, bound("s", "steward", ANN), bound("v", "viewer", ANN))
    mail = role("mail", Rule(fields=("pii:email",)))
    finance = role("finance", Rule(fields=("access:finance",)))
    check_may_bind(index(*parts, mail), ANN, bound("new", "mail", BOB), now_ms=NOW_MS)
    error = refused(*parts, finance, giving=bound("new", "finance", BOB))
    assert error.text.endswith("without holding sight of access:finance")
    hidden = role("hidden", Rule(fields=("pii:*",), effect=Effect.DENY))
    assert refused(*parts, mail, hidden, bound("h", "hidden", ANN), giving=bound("n", "mail", BOB))


def test_all_is_held_by_who_has_all_since_it_means_also_what_there_will_be() -> None:
    every = role("every", allow("get", "*"))
    each = role("each", allow("get", " ".join(BUILT_IN["admin"].rules[0].resources) + " herds"))
    parts = (CLERK, CLERKS, every, each)
    check_may_bind(index(*parts, bound("e", "every", ANN)), ANN, bound("n", "each", BOB), now_ms=NOW_MS)  # fmt: skip
    error = refused(*parts, bound("e", "each", ANN), giving=bound("n", "every", BOB))
    assert error.text.endswith("without holding get of *")


def test_a_role_is_written_by_who_holds_it_without_an_end() -> None:
    new = role("new", allow("delete", "runs"))
    check_may_write_role(index(ADMIN), ANN, new, now_ms=NOW_MS)
    for_a_time = index(changed(ADMIN, expires_ms=5_000))
    with pytest.raises(Forbidden, match="may not write role new"):
        check_may_write_role(for_a_time, ANN, new, now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not create roles: no binding of the cluster"):
        check_may_write_role(index(ADMIN), ANN, changed(new, herd=CLUSTER), now_ms=NOW_MS)


def test_escalate_lets_write_anything() -> None:
    may = role("may", allow("create escalate", "roles"))
    check_may_write_role(index(may, bound("m", "may", ANN)), ANN, role("new", allow("*", "*")), now_ms=NOW_MS)  # fmt: skip


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_role_is_neither_written_nor_deleted_by_anybody(name: str) -> None:
    at = index(ROOT)
    for herd in ("sales", CLUSTER):
        with pytest.raises(Forbidden) as caught:
            check_may_write_role(at, OWNER, role(name, herd=herd), now_ms=NOW_MS)
        assert caught.value.code == "built_in_role"
        with pytest.raises(Forbidden, match="cannot be deleted"):
            check_may_delete_role(at, OWNER, (herd, name), now_ms=NOW_MS)


def test_a_role_that_is_bound_is_not_deleted() -> None:
    mine = role("mine", allow("get", "runs"))
    with pytest.raises(Conflict) as caught:
        check_may_delete_role(index(ADMIN, mine, bound("m", "mine", BOB, until_ms=5)), ANN, ("sales", "mine"), now_ms=NOW_MS)  # fmt: skip
    assert (caught.value.code, caught.value.hint) == ("role_in_use", "take away first: m")
    check_may_delete_role(index(ADMIN, mine), ANN, ("sales", "mine"), now_ms=NOW_MS)
    with pytest.raises(NotFound):
        check_may_delete_role(index(ADMIN), ANN, ("sales", "mine"), now_ms=NOW_MS)
    with pytest.raises(Forbidden):
        check_may_delete_role(index(mine), ANN, ("sales", "mine"), now_ms=NOW_MS)


def test_who_is_denied_something_does_not_take_the_denial_back() -> None:
    ban = role("ban", deny("reveal", "secrets"))
    banned = bound("b", "ban", ANN)
    at = index(ADMIN, ban, banned)
    with pytest.raises(Forbidden) as caught:
        check_may_unbind(at, ANN, banned.key, now_ms=NOW_MS)
    assert caught.value.text == "user:corp:ann may not take back what b denies without holding reveal of secrets"  # fmt: skip
    for sly in (
        bound("b", "ban", BOB),
        bound("b", "ban", ANN, until_ms=2_000),
        bound("b", "viewer", ANN),
    ):
        with pytest.raises(Forbidden, match="may not take back"):
            check_may_bind(at, ANN, sly, now_ms=NOW_MS)
    with pytest.raises(Forbidden, match="may not write role ban"):
        check_may_write_role(at, ANN, changed(ban, rules=()), now_ms=NOW_MS)
    check_may_bind(at, ANN, bound("b", "ban", ANN, BOB), now_ms=NOW_MS)
    check_may_unbind(at, OWNER, banned.key, now_ms=NOW_MS)


def test_a_cluster_admin_takes_back_what_a_herd_denies_him() -> None:
    ban = role("ban", deny("*", "*"))
    at = index(ROOT, ban, bound("b", "ban", ANN))
    assert not at.allows(ANN, "delete", "bindings", "sales", "b", now_ms=NOW_MS)
    check_may_unbind(at, ANN, ("sales", "b"), now_ms=NOW_MS)


def test_the_last_cluster_admin_stays_whoever_asks() -> None:
    others = (
        changed(ROOT, name="guest", expires_ms=9_000),
        bound("robot", "cluster-admin", NIGHTLY, herd=EVERYTHING),
        bound("admins", "admin", BOB, herd=EVERYTHING),
    )
    at = index(ROOT, *others)
    for who in (ANN, OWNER):
        with pytest.raises(Conflict) as caught:
            check_may_unbind(at, who, ROOT.key, now_ms=NOW_MS)
        assert caught.value.code == "last_cluster_admin"
        for less in (
            changed(ROOT, expires_ms=9_000),
            bound("root", "viewer", ANN, herd=EVERYTHING),
            bound("root", "cluster-admin", NIGHTLY, herd=EVERYTHING),
        ):
            with pytest.raises(Conflict):
                check_may_bind(at, who, less, now_ms=NOW_MS)
    check_may_bind(at, ANN, bound("root", "cluster-admin", BOB, herd=EVERYTHING), now_ms=NOW_MS)
    second = bound("second", "cluster-admin", BOB, herd=EVERYTHING)
    check_may_unbind(index(ROOT, second), ANN, ROOT.key, now_ms=NOW_MS)


def test_a_binding_names_a_role_that_is_there_and_a_herds_is_not_for_all() -> None:
    at = index(ADMIN, ROOT, role("analyst", allow("get", "runs")))
    with pytest.raises(NotFound) as caught:
        check_may_bind(at, ANN, bound("new", "analist", BOB), now_ms=NOW_MS)
    assert (caught.value.code, caught.value.hint) == ("no_such_role", "did you mean analyst?")
    with pytest.raises(NotFound):
        check_may_bind(at, ANN, bound("new", "analyst", BOB, herd=EVERYTHING), now_ms=NOW_MS)
    with pytest.raises(NotFound, match="there is no role cluster/analyst"):
        check_may_bind(at, ANN, bound("new", "cluster/analyst", BOB), now_ms=NOW_MS)
    with pytest.raises(NotFound):
        check_may_unbind(at, ANN, ("sales", "nothing"), now_ms=NOW_MS)


def test_a_service_account_gives_rights_in_its_herd_and_never_for_all() -> None:
    everywhere = bound("root", "cluster-admin", NIGHTLY, herd=EVERYTHING)
    at = index(everywhere, bound("home", "admin", NIGHTLY))
    check_may_bind(at, NIGHTLY, bound("new", "viewer", BOB), now_ms=NOW_MS)
    with pytest.raises(Forbidden):
        check_may_bind(at, NIGHTLY, bound("n", "viewer", BOB, herd=EVERYTHING), now_ms=NOW_MS)
    other = bound("other", "viewer", "service-account:sales/other", herd=EVERYTHING)
    at = index(everywhere, bound("home", "admin", NIGHTLY), other)
    with pytest.raises(Forbidden, match="may not speak for sales/other"):
        check_may_speak_for(at, NIGHTLY, "sales/other", until_ms=2_000, now_ms=NOW_MS)


def test_what_one_herd_denies_somebody_he_gives_nobody_for_all_herds() -> None:
    everywhere = bound("all", "admin", ANN, herd=EVERYTHING)
    ban = role("ban", deny("reveal", "secrets"), herd="stock")
    at = index(everywhere, ban, bound("b", "ban", ANN, herd="stock"))
    check_may_bind(at, ANN, bound("new", "admin", BOB), now_ms=NOW_MS)
    for herd in ("stock", EVERYTHING):
        with pytest.raises(Forbidden, match="without holding reveal of secrets"):
            check_may_bind(at, ANN, bound("new", "admin", BOB, herd=herd), now_ms=NOW_MS)


def test_who_is_let_out_of_his_herd_for_a_time_gives_in_the_other_for_that_time() -> None:
    out = role("out", allow("cross", "herds", "stock"))
    at = index(
        out,
        bound("out", "out", NIGHTLY, until_ms=5_000),
        bound("in", "admin", NIGHTLY, herd="stock"),
    )
    for_bob = bound("new", "viewer", BOB, herd="stock", until_ms=5_000)
    check_may_bind(at, NIGHTLY, for_bob, now_ms=NOW_MS)
    with pytest.raises(Forbidden) as caught:
        check_may_bind(at, NIGHTLY, changed(for_bob, expires_ms=5_001), now_ms=NOW_MS)
    assert caught.value.code == "not_held"


def test_a_token_of_an_account_is_for_who_holds_all_that_the_account_may() -> None:
    def speak(*parts: Role | Binding, until_ms: int = 2_000) -> None:
        check_may_speak_for(index(*parts), ANN, NIGHTLY.name, until_ms=until_ms, now_ms=NOW_MS)

    author, viewer = bound("n", "author", NIGHTLY), bound("in", "viewer", NIGHTLY, herd="stock")
    speak(ADMIN, author)
    speak(changed(ADMIN, expires_ms=5_000), author, until_ms=5_000)
    speak(changed(ADMIN, expires_ms=5_000), changed(author, expires_ms=3_000), until_ms=9_000)
    for parts in (
        (CLERK, CLERKS, author),
        (ADMIN, author, viewer),
        (ADMIN, bound("all", "viewer", NIGHTLY, herd=EVERYTHING)),
        (bound("v", "author", ANN), author),
    ):
        with pytest.raises(Forbidden):
            speak(*parts)
    with pytest.raises(Forbidden, match="may not speak for sales/nightly without holding get of herds"):  # fmt: skip
        speak(changed(ADMIN, expires_ms=5_000), author, until_ms=5_001)


def test_an_account_renews_its_own_token() -> None:
    may = role("may", allow("create", "tokens", "nightly"))
    at = index(may, bound("m", "may", NIGHTLY), bound("in", "viewer", NIGHTLY, herd="stock"))
    check_may_speak_for(at, NIGHTLY, NIGHTLY.name, until_ms=9_000, now_ms=NOW_MS)
    with pytest.raises(Forbidden):
        check_may_speak_for(at, NIGHTLY, "sales/other", until_ms=9_000, now_ms=NOW_MS)


def declare(*parts: Role | Binding, roles: tuple[Role, ...] = (), bindings: tuple[Binding, ...] = ()) -> None:  # fmt: skip
    check_may_declare(index(*parts), ANN, HerdAccess("sales", roles, bindings), now_ms=NOW_MS)


def test_a_herds_file_changes_roles_and_bindings_as_one_by_one() -> None:
    mine, other = role("mine", allow("get", "runs")), bound("x", "viewer", BOB, herd="stock")
    at = (ADMIN, mine, bound("m", "mine", BOB), other)
    new = role("new", allow("delete", "runs"))
    declare(*at, roles=(new,), bindings=(ADMIN, bound("n", "new", BOB)))
    more = changed(new, rules=(allow("bind", "roles"),))
    with pytest.raises(Forbidden, match="may not write role new without holding bind of roles"):
        declare(*at, roles=(more,), bindings=(ADMIN,))
    with pytest.raises(NotFound, match="there is no role gone"):
        declare(*at, bindings=(ADMIN, bound("n", "gone", BOB)))
    with pytest.raises(Conflict, match="role mine is bound 1 times"):
        declare(*at, bindings=(ADMIN, bound("m", "mine", BOB)))


def test_what_a_herds_file_leaves_as_it_is_needs_no_right() -> None:
    clerk = role("clerk", allow("create", "bindings"))
    kept = (bound("c", "clerk", ANN), bound("a", "admin", BOB, made_by="user:corp:boss"))
    again = tuple(changed(one, made_by=ANN.subject, made_ms=9) for one in kept)
    declare(clerk, *kept, roles=(clerk,), bindings=again)
    with pytest.raises(Forbidden, match="may not delete bindings"):
        declare(clerk, *kept, roles=(clerk,), bindings=again[:1])
    with pytest.raises(Forbidden, match="may not bind admin"):
        declare(clerk, *kept, roles=(clerk,), bindings=(*again, bound("me", "admin", ANN)))


def test_a_denial_that_a_herds_file_leaves_out_is_taken_back() -> None:
    ban = role("ban", deny("reveal", "secrets"))
    with pytest.raises(Forbidden, match="may not take back what b denies"):
        declare(ADMIN, ban, bound("b", "ban", ANN), roles=(ban,), bindings=(ADMIN,))
