"""Roles and bindings as people and programs write them: plain dicts of TOML or JSON in, values and all mistakes in them out.

    [[roles]]
    name, description
    verbs, resources, names, effect, fields     its first rule, for roles that need one only
    [[roles.rules]]
    verbs, resources, names, effect, fields     further ones

    [[bindings]]
    name, description
    role                                        a built-in role, one of the herd, or `cluster/NAME`
    subjects                                    `user:ISSUER:SUBJECT`, `group:ISSUER:GROUP`, `service-account:HERD/NAME`
    expires                                     a time with its offset; leave it away for ever

A mistake is a value that names the word it is about, so that who knows the text can show the line. What has a mistake is not among the values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec

from runink.errors import Invalid
from runink.identity.patterns import mistake_in
from runink.identity.roles import (
    ACCESS,
    BINDINGS_MAX,
    BUILT_IN,
    CLUSTER_ADMIN,
    CLUSTER_ROLE,
    DESCRIPTION_MAX,
    FIELD_MAX,
    FIELDS_MAX,
    NAMES_MAX,
    NEVER,
    PII,
    ROLES_MAX,
    RULES_MAX,
    SUBJECT_MAX,
    SUBJECTS_MAX,
    Binding,
    Effect,
    Role,
    RoleOf,
    Rule,
)
from runink.identity.vocabulary import CLUSTER, EVERYTHING, OF_THE_CLUSTER, Resource, Verb
from runink.names import BindingName, RoleName, binding_name, herd_name, role_name
from runink.suggestions import near, near_or_all

_RULE_KEYS: Final = ("verbs", "resources", "names", "effect", "fields")
_ROLE_KEYS: Final = ("name", "description", *_RULE_KEYS, "rules")
_BINDING_KEYS: Final = ("name", "description", "role", "subjects", "expires")
_SUBJECT_KINDS: Final = ("user", "group", "service-account")
_SUBJECT_HINT: Final = "user:ISSUER:SUBJECT, group:ISSUER:GROUP or service-account:HERD/NAME"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")  # of issuers and service accounts
_WORD_SHOWN_MAX: Final = 120  # characters of what was written that a mistake repeats


class Mistake(msgspec.Struct, frozen=True):
    """What is wrong. `word` is the word of the text that it is about, `hint` how to mend it; both may be empty."""

    text: str
    word: str = ""
    hint: str = ""


def read_roles(tables: object, *, herd: str) -> tuple[tuple[Role, ...], tuple[Mistake, ...]]:
    """Return the roles of a herd (or of the CLUSTER), in their order, and all that is wrong with them."""
    reader = _Reader(herd)
    roles = reader.each(tables, "roles", ROLES_MAX, reader.role)
    return roles, tuple(reader.mistakes)


def read_bindings(
    tables: object, *, herd: str, roles: Iterable[str], made_by: str = "", made_ms: int = 0
) -> tuple[tuple[Binding, ...], tuple[Mistake, ...]]:
    """Return the bindings of a herd (or of EVERYTHING: all herds and the cluster), and all that is wrong with them.

    `roles` are the names of the herd's own roles, which bindings may name beside the built-in ones. Whether there is a role `cluster/NAME`, is not known here.
    """
    reader = _Reader(herd, tuple(roles))
    found = reader.each(tables, "bindings", BINDINGS_MAX, reader.binding)
    signed = (msgspec.structs.replace(one, made_by=made_by, made_ms=made_ms) for one in found)
    return tuple(signed), tuple(reader.mistakes)


_Read = TypeVar("_Read", Role, Binding)


class _Reader:
    """Reads a list of tables. `_what` is the one that is read, as mistakes name it: `role analyst`."""

    def __init__(self, herd: str, roles: Iterable[str] = ()) -> None:
        self._herd = herd
        self._roles = tuple(roles)
        self._what = ""
        self.mistakes: list[Mistake] = []

    def each(
        self, tables: object, what: str, limit: int, read: Callable[[dict[str, Any]], _Read]
    ) -> tuple[_Read, ...]:
        """Return what the tables say, each name once."""
        if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
            self._mistake(f"{what} is a list of tables", what, f"write [[{what}]]")
            return ()
        if len(tables) > limit:
            self._mistake(f"{len(tables):,} {what}: there are {limit:,} at most", what)
            return ()
        found: dict[str, _Read] = {}
        for number, table in enumerate(tables, 1):
            self._what = f"{what.removesuffix('s')} {number}"
            before = len(self.mistakes)
            one = read(table)
            if one.name and one.name in found:
                self._mistake(f"there are two {what} {one.name}", one.name)
            elif len(self.mistakes) == before:
                found[one.name] = one
        return tuple(found.values())

    def role(self, table: dict[str, Any]) -> Role:
        name = self._name(table, role_name)
        if name in BUILT_IN:
            hint = f"it is there without being written; choose another name, as in my-{name}"
            self._mistake(f"{name} is a built-in role, which cannot be changed", name, hint)
        self._known(table, _ROLE_KEYS)
        rules = [table] if any(key in table for key in _RULE_KEYS) else []
        further = table.get("rules", [])
        if not isinstance(further, list) or not all(isinstance(one, dict) for one in further):
            self._mistake("rules is a list of tables", "rules", "write [[roles.rules]]")
            further = []
        for one in further:
            self._known(one, _RULE_KEYS)
        rules += further
        if not rules:
            self._mistake("it has no rules", name, "write its verbs and resources")
        if len(rules) > RULES_MAX:
            self._mistake(f"{len(rules)} rules: a role has {RULES_MAX} at most", name)
            rules = []
        read = tuple(self._rule(one) for one in rules)
        if sum(len(one.names) for one in read) > NAMES_MAX:
            self._mistake(f"a role names {NAMES_MAX} patterns of names at most", "names")
        return Role(RoleName(name), self._herd, read, self._description(table))

    def binding(self, table: dict[str, Any]) -> Binding:
        name = self._name(table, binding_name)
        self._known(table, _BINDING_KEYS)
        role, role_of = self._role_named(table)
        subjects = self._words(table, "subjects", SUBJECTS_MAX)
        if table.get("subjects", []) == []:
            self._mistake("it names no subjects", "subjects", _SUBJECT_HINT)
        for one in subjects:
            self._subject(one)
        return Binding(
            BindingName(name),
            self._herd,
            RoleName(role),
            role_of,
            subjects,
            self._expires_ms(table),
            description=self._description(table),
        )

    def _mistake(self, text: str, word: str = "", hint: str = "") -> None:
        where = f"{self._what}: " if self._what else ""
        self.mistakes.append(Mistake(f"{where}{text}", word[:SUBJECT_MAX], hint))

    def _known(self, table: dict[str, Any], keys: tuple[str, ...]) -> None:
        for key in table:
            if key not in keys:
                hint = near(key, keys) or f"there are {', '.join(keys)}"
                self._mistake(f"there is no {_shown(key)} here", key, hint)

    def _name(self, table: dict[str, Any], checked: Callable[[str], str]) -> str:
        said = table.get("name")
        kind = self._what.partition(" ")[0]
        if not isinstance(said, str):
            self._mistake("it has no name", kind, f'write name = "…" below [[{kind}s]]')
            return ""
        try:
            name = checked(said)
        except Invalid as error:
            self._mistake(_cut(error.text), said, error.hint)
            return ""
        self._what = f"{kind} {name}"
        return name

    def _description(self, table: dict[str, Any]) -> str:
        said = table.get("description", "")
        if isinstance(said, str) and len(said) <= DESCRIPTION_MAX:
            return said
        text = f"description is a text of {DESCRIPTION_MAX:,} characters at most"
        self._mistake(text, "description")
        return ""

    def _words(self, table: dict[str, Any], key: str, limit: int) -> tuple[str, ...]:
        """Return a list of texts, each once; what is none, and what is longer than `limit`, is told."""
        said = table.get(key, [])
        if not isinstance(said, list) or not all(isinstance(one, str) for one in said):
            self._mistake(f"{key} is a list of texts", key, f'as in {key} = ["…"]')
            return ()
        if len(said) > limit:
            self._mistake(f"{len(said):,} {key}: there are {limit} at most", key)
            return ()
        return tuple(dict.fromkeys(said))

    def _rule(self, table: dict[str, Any]) -> Rule:
        verbs = self._vocabulary(table, "verbs", [one.value for one in Verb])
        resources = self._vocabulary(table, "resources", [one.value for one in Resource])
        names = self._words(table, "names", NAMES_MAX)
        fields = self._words(table, "fields", FIELDS_MAX)
        effect = table.get("effect", Effect.ALLOW.value)
        if effect not in tuple(Effect):
            hint = near_or_all(str(effect), [one.value for one in Effect])
            self._mistake(f"there is no effect {_shown(effect)}", "effect", hint)
            effect = Effect.ALLOW
        for one in names:
            if wrong := mistake_in(one):
                self._mistake(_cut(wrong), one or "names")
        for one in fields:
            self._field(one)
        self._goes_together(table)
        self._belongs(verbs, resources)
        every = EVERYTHING in names  # which is as good as to name none
        return Rule(verbs, resources, () if every else names, Effect(effect), fields)

    def _goes_together(self, table: dict[str, Any]) -> None:
        """Tell of a rule whose parts do not go together, so that it would say nothing or something else."""
        verbs, resources, names, fields = (
            table.get(key, []) for key in ("verbs", "resources", "names", "fields")
        )
        if bool(verbs) != bool(resources):
            has, lacks = ("verbs", "resources") if verbs else ("resources", "verbs")
            self._mistake(f"a rule with {has} has {lacks}, too", has, f'as in {lacks} = ["*"]')
        elif not verbs and not fields:
            self._mistake("a rule has verbs and resources, or fields", "rules")
        if names and fields:
            hint = "fields hold in the whole herd: write a rule of its own for them"
            self._mistake("a rule with fields has no names", "fields", hint)

    def _belongs(self, verbs: tuple[str, ...], resources: tuple[str, ...]) -> None:
        """Tell of words that say nothing where they are written."""
        if Verb.CROSS in verbs and not {Resource.HERDS, EVERYTHING} & set(resources):
            hint = 'resources = ["herds"], and names = ["…"] for the other herds'
            self._mistake("cross is a verb of herds", "cross", hint)
        if self._herd != CLUSTER:
            for one in resources:
                if one in OF_THE_CLUSTER:
                    hint = "write it into a role of the cluster, which is bound for all herds"
                    self._mistake(f"{one} belong to the cluster, and to no herd", one, hint)

    def _vocabulary(self, table: dict[str, Any], key: str, known: list[str]) -> tuple[str, ...]:
        found = self._words(table, key, len(known) + 1)
        for one in found:
            if one not in known and one != EVERYTHING:
                kind = key.removesuffix("s")
                self._mistake(f"there is no {kind} {_shown(one)}", one, near_or_all(one, known))
        return found

    def _field(self, mark: str) -> None:
        kind, colon, what = mark.partition(":")
        if mark == EVERYTHING:
            return
        if not colon or f"{kind}:" not in {PII, ACCESS} or not what or len(mark) > FIELD_MAX:
            hint = f"did you mean {PII}{_cut(mark)} or {ACCESS}{_cut(mark)}?" if not colon else ""
            text = f"{_shown(mark)} marks no fields: {PII}KIND, {ACCESS}ROLE and * do"
            self._mistake(text, mark or "fields", hint)
        elif not what.isprintable() or (what != EVERYTHING and set(what) & {"*", "?"}):
            text = f"{_shown(mark)}: after the colon stands one word, or * for all"
            self._mistake(text, mark)

    def _role_named(self, table: dict[str, Any]) -> tuple[str, RoleOf]:
        said = table.get("role")
        if not isinstance(said, str) or not said:
            self._mistake(
                "it names no role",
                "role" if "role" in table else "bindings",
                'as in role = "viewer"',
            )
            return "", RoleOf.BUILT_IN
        if said.startswith(CLUSTER_ROLE):
            name = said.removeprefix(CLUSTER_ROLE)
            try:
                role_name(name)
            except Invalid as error:
                self._mistake(_cut(error.text), said, error.hint)
            return name, RoleOf.CLUSTER
        if said == CLUSTER_ADMIN and self._herd != EVERYTHING:
            hint = "it is bound for all herds; all that one herd has is held by admin"
            self._mistake(f"{CLUSTER_ADMIN} is not bound in one herd", said, hint)
        elif said not in BUILT_IN and said not in self._roles:
            hint = near_or_all(said, [*BUILT_IN, *self._roles])
            self._mistake(f"there is no role {_shown(said)}", said, hint)
        return said, RoleOf.BUILT_IN if said in BUILT_IN else RoleOf.HERD

    def _subject(self, subject: str) -> None:
        kind, _, name = subject.partition(":")
        if len(subject) > SUBJECT_MAX or not subject.isprintable() or subject != subject.strip():
            text = f"a subject is 1 to {SUBJECT_MAX} printed characters without spaces around them"
            self._mistake(text, subject or "subjects", _SUBJECT_HINT)
        elif kind not in _SUBJECT_KINDS:
            hint = near(kind, _SUBJECT_KINDS, prefix="") or _SUBJECT_HINT
            self._mistake(f"{_shown(subject)} is no subject", subject, hint)
        elif kind == "service-account":
            self._account(name, subject)
        elif not _of_an_issuer(name):
            hint = "ISSUER is the id that the cluster knows a provider by, and no URL"
            text = f"{_shown(subject)} says no issuer, or no name there"
            self._mistake(text, subject, hint)
        elif "*" in name:
            hint = "name a group for many"
            self._mistake(f"{_shown(subject)}: no pattern stands for subjects", subject, hint)

    def _account(self, name: str, subject: str) -> None:
        herd, slash, account = name.partition("/")
        try:
            herd_name(herd)
            is_account = _ID.fullmatch(account) is not None
        except Invalid:
            is_account = False
        if not slash or not is_account:
            hint = "as in service-account:analytics/nightly"
            self._mistake(f"{_shown(subject)} names no service account", subject, hint)

    def _expires_ms(self, table: dict[str, Any]) -> int:
        said = table.get("expires")
        if said is None:
            return NEVER
        at = said
        if isinstance(said, str):
            try:
                at = datetime.fromisoformat(said)
            except ValueError:
                at = None
        if isinstance(at, datetime) and at.tzinfo is not None:
            ms = (at - _EPOCH) // timedelta(milliseconds=1)
            if ms > 0:
                return ms
        hint = "as in expires = 2027-01-31T18:00:00Z"
        self._mistake("expires is a time of a day, with its offset", "expires", hint)
        return NEVER


def _of_an_issuer(name: str) -> bool:
    """Say whether a name is an issuer's id and what it calls somebody. `https://…` would be an issuer of the id `https`."""
    issuer, _, theirs = name.partition(":")
    return _ID.fullmatch(issuer) is not None and theirs != "" and not theirs.startswith("//")


def _shown(word: object) -> str:
    return _cut(str(word)) or "without letters"


def _cut(text: str) -> str:
    """Return a text that a mistake can repeat: what people sent may be a megabyte."""
    return text if len(text) <= _WORD_SHOWN_MAX else f"{text[:_WORD_SHOWN_MAX]}…"
