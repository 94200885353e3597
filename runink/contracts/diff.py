"""What differs between two versions of a contract, field by field, and what each difference does.

A contract takes rows that have no column which it does not name, and in which a field with a default may be missing; that is what data *written under* it is.  Whether one
version takes what was written under the other is told change by change (`changes.py`): each one compares one thing, so that all of them together are compatible
where each of them is.  Where that cannot be told (two patterns, two rules) the answer is no: *compatible* is a promise, *breaking* a warning.

The order of fields is no matter of compatibility: columns are found by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from runink.contracts.changes import Bump, Change, Diff, Effect, Rename, Sort, Value, effect_of
from runink.contracts.constraints import constraint_changes, type_effect
from runink.contracts.fields import Coercion, ContractSpec, FieldSpec, Kind, RuleSpec
from runink.expressions import names_in

RENAME_LIKENESS_MIN: Final = 0.55
RENAMES_COMPARED_MAX: Final = 200  # removed fields: more of them are another contract
_FREEDOM: Final = (Coercion.STRICT, Coercion.SAFE, Coercion.LENIENT)


def diff(old: ContractSpec, new: ContractSpec) -> Diff:
    """Return what differs. It never fails: any two contracts can be compared."""
    around = _Around((old.coercion, new.coercion), _ruled(old) & _ruled(new))
    changes = (*_whole(old, new), *_fields(old.fields, new.fields, "", around))
    return Diff(new.name, old.version, new.version, old.hash, new.hash, changes, _renames(old, new))


@dataclass(frozen=True, slots=True)
class _Around:
    """What holds for a field by what is around it: the policies of both versions, and whether rules of both look at it.

    What such a field is taken for counts, too: a row may keep a rule by one default, and break it by another.
    """

    policies: tuple[Coercion, Coercion]
    ruled: frozenset[str]
    is_ruled: bool = False


def _ruled(spec: ContractSpec) -> frozenset[str]:
    return frozenset(name for rule in spec.rules for name in names_in(rule.expression))


def _whole(old: ContractSpec, new: ContractSpec) -> Iterator[Change]:
    if old.name != new.name:
        yield Change("", Sort.NAME, "name", f"it was called {old.name}", old=old.name, new=new.name)
    if set(old.key) != set(new.key):
        yield _key(old, new)
    if old.coercion is not new.coercion:
        inherited = any(field.coercion is None for field in (*old.fields, *new.fields))
        text = f"coercion: {old.coercion.value} → {new.coercion.value}"
        effect = _coercion(old.coercion, new.coercion) if inherited else Effect.SAME
        yield Change("", Sort.COERCION, "coercion", text, effect, old=old.coercion.value, new=new.coercion.value)  # fmt: skip
    if old.on_drift is not new.on_drift:
        drifts = (old.on_drift.value, new.on_drift.value)
        text = f"on_drift: {drifts[0]} → {drifts[1]}"
        yield Change("", Sort.ANNOTATION, "on_drift", text, old=drifts[0], new=drifts[1])
    yield from _rules(old.rules, new.rules)
    yield from _tags("", old.tags, new.tags)
    if old.description != new.description:
        yield _prose("", "description")


def _key(old: ContractSpec, new: ContractSpec) -> Change:
    """Rows that a longer key tells apart may be the same by a shorter one; without a key no two are the same."""
    before, after = set(old.key), set(new.key)
    effect = effect_of(
        backward=not after or (bool(before) and before <= after),
        forward=not before or (bool(after) and after <= before),
    )
    text = f"key: {', '.join(old.key) or 'none'} → {', '.join(new.key) or 'none'}"
    return Change("", Sort.KEY, "key", text, effect, Bump.MAJOR, old=old.key, new=new.key)


def _coercion(old: Coercion, new: Coercion) -> Effect:
    before, after = _FREEDOM.index(old), _FREEDOM.index(new)
    return effect_of(backward=after >= before, forward=before >= after)


def _rules(old: tuple[RuleSpec, ...], new: tuple[RuleSpec, ...]) -> Iterator[Change]:
    before, after = {rule.name: rule for rule in old}, {rule.name: rule for rule in new}
    gone = [rule for rule in old if rule.name not in after]
    for rule in new:
        was = before.get(rule.name)
        if was is None:
            was = next((one for one in gone if one.expression == rule.expression), None)
            if was is None:
                yield _rule(rule.name, f"rule {rule.name} was added: {rule.text}", Effect.NARROWER, None, rule.text)  # fmt: skip
            else:
                gone.remove(was)
                yield _rule(rule.name, f"rule {was.name} is called {rule.name}", Effect.SAME, was.name, rule.name)  # fmt: skip
        elif was.expression != rule.expression:
            text = f"rule {rule.name}: {was.text} → {rule.text}"
            yield _rule(rule.name, text, Effect.OTHER, was.text, rule.text)
        elif (was.text, was.description) != (rule.text, rule.description):
            yield _prose("", f"rule {rule.name}")
    for rule in gone:
        text = f"rule {rule.name} was removed: {rule.text}"
        yield _rule(rule.name, text, Effect.WIDER, rule.text, None)


def _rule(name: str, text: str, effect: Effect, old: str | None, new: str | None) -> Change:
    return Change("", Sort.RULE, name, text, effect, old=old, new=new)


def _fields(
    old: tuple[FieldSpec, ...],
    new: tuple[FieldSpec, ...],
    within: str,
    around: _Around,
) -> Iterator[Change]:
    """Compare two lists of fields, of the contract or of a record; `within` is the path before their names."""
    before, after = {field.name: field for field in old}, {field.name: field for field in new}
    common = [name for name in before if name in after]
    moved = [name for name in after if name in before]
    if common != moved:
        text = f"{within + ': ' if within else ''}order: {', '.join(common)} → {', '.join(moved)}"
        yield Change(
            within.rstrip("."), Sort.ORDER, "order", text, old=tuple(common), new=tuple(moved)
        )
    for field in new:
        was = before.get(field.name)
        if was is None:
            yield _added(field, within)
        else:
            is_ruled = around.is_ruled or (not within and field.name in around.ruled)
            here = replace(around, is_ruled=is_ruled)
            yield from _field(was, field, within + field.name, here)
    for field in old:
        if field.name not in after:
            yield _removed(field, within)


def _added(field: FieldSpec, within: str) -> Change:
    is_optional = "missing" in _takes(field, is_inner=bool(within))
    how = "optional" if is_optional else "required"
    text = f"{within}{field.name} was added: {field.kind.value}, {how}"
    # Who reads by the old version drops the column, and needs it no more than before.
    effect = Effect.SAME if is_optional else Effect.NARROWER
    return Change(within + field.name, Sort.ADDED, "field", text, effect, new=field.kind.value)


def _removed(field: FieldSpec, within: str) -> Change:
    is_optional = "missing" in _takes(field, is_inner=bool(within))
    how = "optional" if is_optional else "required"
    text = f"{within}{field.name} was removed: {field.kind.value}, {how}"
    effect = Effect.SAME if is_optional else Effect.WIDER
    return Change(
        within + field.name, Sort.REMOVED, "field", text, effect, Bump.MAJOR, old=field.kind.value
    )


def _field(old: FieldSpec, new: FieldSpec, path: str, around: _Around) -> Iterator[Change]:
    """Compare one field; what is inside a record or a list goes by its policy, if it has one."""
    policies = (old.coercion or around.policies[0], new.coercion or around.policies[1])
    if old.kind is not new.kind:
        effect = Effect.OTHER if around.is_ruled else type_effect(old, new, policies)
        text = f"{path}: {old.kind.value} → {new.kind.value}"
        yield Change(path, Sort.TYPE, "type", text, effect, Bump.MAJOR, old.kind.value, new.kind.value)  # fmt: skip
    yield from _optionality(old, new, path, is_ruled=around.is_ruled)
    if old.coercion is not new.coercion and policies[0] is not policies[1]:
        before, after = (one.value if one else None for one in (old.coercion, new.coercion))
        text = f"{path}: coercion: {before or 'as around it'} → {after or 'as around it'}"
        yield Change(path, Sort.COERCION, "coercion", text, _coercion(*policies), old=before, new=after)  # fmt: skip
    yield from constraint_changes(old, new, path, policies)
    inside = replace(around, policies=policies)
    if old.kind is new.kind is Kind.RECORD:
        yield from _fields(old.fields, new.fields, f"{path}.", inside)
    if old.items is not None and new.items is not None:
        yield from _field(old.items, new.items, f"{path}[]", inside)
    yield from _annotations(old, new, path)


def _optionality(old: FieldSpec, new: FieldSpec, path: str, *, is_ruled: bool) -> Iterator[Change]:
    """A null and a missing column are two things that a field takes or does not."""
    is_inner = "." in path or "[" in path
    before, after = _takes(old, is_inner=is_inner), _takes(new, is_inner=is_inner)
    effect = effect_of(backward=before <= after, forward=after <= before)
    is_other = (old.default, type(old.default)) != (new.default, type(new.default))
    if is_other and is_ruled:
        effect = Effect.OTHER
    if (old.nullable, old.has_default) != (new.nullable, new.has_default):
        text = f"{path}: {_optional(old)} → {_optional(new)}"
        yield Change(path, Sort.OPTIONALITY, "optional", text, effect, old=_optional(old), new=_optional(new))  # fmt: skip
    elif is_other:
        text = f"{path}: default: {_shown(old.default)} → {_shown(new.default)}"
        yield Change(path, Sort.DEFAULT, "default", text, effect, old=old.default, new=new.default)


def _takes(field: FieldSpec, *, is_inner: bool) -> set[str]:
    """Return what a field does without. Inside a record what is missing is nothing; a column is missing for a whole file, so it needs a default."""
    takes_null = field.nullable or field.default is not None
    takes = {"null"} if takes_null else set()
    return takes | ({"missing"} if (takes_null if is_inner else field.has_default) else set())


def _optional(field: FieldSpec) -> str:
    null = "may hold nothing" if field.nullable else "must hold something"
    if not field.has_default:
        return f"{null}, must be there"
    return f"{null}, {_shown(field.default)} where it is missing"


def _shown(value: Value) -> str:
    return "nothing" if value is None else repr(value)


def _annotations(old: FieldSpec, new: FieldSpec, path: str) -> Iterator[Change]:
    if old.unit != new.unit:
        # The same number means another amount, which no check can see.
        is_other = bool(old.unit and new.unit)
        yield Change(
            path,
            Sort.ANNOTATION,
            "unit",
            f"{path}: unit: {old.unit or 'none'} → {new.unit or 'none'}",
            Effect.OTHER if is_other else Effect.SAME,
            Bump.MAJOR if is_other else Bump.MINOR,
            old.unit,
            new.unit,
        )
    for what in ("pii", "mask"):
        before, after = getattr(old, what), getattr(new, what)
        if before != after:
            text = f"{path}: {what}: {before or 'none'} → {after or 'none'}"
            yield Change(path, Sort.ANNOTATION, what, text, old=before, new=after, exposes=not after)  # fmt: skip
    if set(old.access) != set(new.access):
        text = f"{path}: access: {', '.join(old.access) or 'everybody'} → {', '.join(new.access) or 'everybody'}"
        exposes = (bool(old.access) and not set(new.access) <= set(old.access)) or not new.access
        yield Change(path, Sort.ANNOTATION, "access", text, old=old.access, new=new.access, exposes=exposes)  # fmt: skip
    yield from _tags(path, old.tags, new.tags)
    for what in ("description", "lineage"):
        if getattr(old, what) != getattr(new, what):
            yield _prose(path, what)


def _tags(path: str, old: dict[str, str], new: dict[str, str]) -> Iterator[Change]:
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before != after:
            text = f"{path + ': ' if path else ''}tag {name}: {_shown(before)} → {_shown(after)}"
            yield Change(path, Sort.ANNOTATION, f"tag {name}", text, old=before, new=after)


def _prose(path: str, what: str) -> Change:
    text = f"{path + ': ' if path else ''}{what} is worded anew"
    return Change(path, Sort.PROSE, what, text, bump=Bump.PATCH)


def _renames(old: ContractSpec, new: ContractSpec) -> tuple[Rename, ...]:
    """Return pairs of removed and added fields that are alike, the likeliest first; each field is in one pair."""
    after, before = {field.name for field in new.fields}, {field.name for field in old.fields}
    gone = [(place, field) for place, field in enumerate(old.fields) if field.name not in after]
    come = [(place, field) for place, field in enumerate(new.fields) if field.name not in before]
    if max(len(gone), len(come)) > RENAMES_COMPARED_MAX:
        return ()
    pairs = [
        Rename(was.name, field.name, likeness)
        for place, was in gone
        for at, field in come
        if (likeness := _likeness(was, field, is_near=place == at)) >= RENAME_LIKENESS_MIN
    ]
    chosen: list[Rename] = []
    for pair in sorted(pairs, key=lambda pair: (-pair.likeness, pair.old, pair.new)):
        if all(pair.old != one.old and pair.new != one.new for one in chosen):
            chosen.append(pair)
    return tuple(chosen)


def _likeness(old: FieldSpec, new: FieldSpec, *, is_near: bool) -> float:
    """Half of it is the name's, the rest that both hold the same and stand at the same place."""
    if old.kind is not new.kind:
        return 0.0
    matcher = difflib.SequenceMatcher(None, old.name.lower(), new.name.lower(), autojunk=False)
    same = msgspec.structs.replace(old, name="", description="") == msgspec.structs.replace(
        new, name="", description=""
    )
    likeness = 0.5 * matcher.ratio() + (0.35 if same else 0.1) + (0.15 if is_near else 0.0)
    return round(likeness, 2)
