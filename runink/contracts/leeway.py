"""What a policy on drift lets be missing: the contract as it is enforced, and as a source reads by it. Free of Arrow, because pipelines are compiled with it."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from runink.contracts.fields import ContractSpec, FieldSpec, OnDrift

HIDDEN_KIND: Final = "hidden"  # of a field that holds what another contract says is personal


def enforced(spec: ContractSpec, policy: OnDrift, hides: tuple[str, ...] = ()) -> ContractSpec:
    """Return the contract that rows are held against: under EVOLVE every field that may hold nothing may be missing, too. Of the fields that it `hides` no message shows a value."""
    if hides:
        fields = (
            replace(one, pii=one.pii or HIDDEN_KIND) if one.name in hides else one
            for one in spec.fields
        )
        spec = replace(spec, fields=tuple(fields))
    if policy is not OnDrift.EVOLVE:
        return spec
    return replace(spec, fields=tuple(_optional(field) for field in spec.fields))


def parsed_by(spec: ContractSpec, policy: OnDrift) -> ContractSpec:
    """Return the contract by whose types a source reads text. Where rows of a wrong shape are set aside, no column is needed to read them."""
    if policy is OnDrift.DEAD_LETTER:
        fields = tuple(replace(field, has_default=True) for field in spec.fields)
        return replace(spec, fields=fields)
    return enforced(spec, policy)


def _optional(field: FieldSpec) -> FieldSpec:
    return replace(field, has_default=True) if field.nullable else field
