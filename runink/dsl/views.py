"""A view: what of a stream somebody sees as it is, what masked and how, and what must not get there. The one rule for sinks and for what is read of a run.

    the column has a contract's field as it is     masked by the contract, or as the herd's file says; of a record or a list only the parts that are not seen
    it was made of such fields                     the contract in front names it and a mask; else it has to be seen whole
    columns are not known                          all that may be in them has to be seen

What cannot be masked is `refused`, with the reason: a sink is not compiled then, and a reader gets nothing of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from msgspec.structs import replace as changed

from runink.clearances import ClearancePolicy, HerdMask
from runink.contracts.fields import FieldSpec, Kind
from runink.contracts.hidden import hidden_field, parts_of, unmasked, with_parts
from runink.contracts.masks import BadMask, read_mask
from runink.dsl.audiences import Audience
from runink.dsl.carried import Carried, Held, Origins, origins_of

MADE: Final = ", in a form of its own: no @contract in front of the sink names it and a mask"


@dataclass(slots=True)
class View:
    """`masked` are the fields that say how columns are masked, `held` is what columns hold behind that, `refused` are columns by what they hold and why that
    cannot be masked, `rest` is what any other column may hold and must not. `by_herd` are the masks that are the policy's, and no contract's.
    """

    rest: Origins
    masked: list[FieldSpec] = field(default_factory=list)
    held: dict[str, Held] = field(default_factory=dict)
    refused: dict[tuple[Origins, str], list[str]] = field(default_factory=dict)
    by_herd: set[HerdMask] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Masks:
    """Where masks come from that contracts do not name; which of them were `used` is noted."""

    policy: ClearancePolicy
    used: set[HerdMask]

    def of(self, contract: str, spec: FieldSpec) -> str:
        """Return a field's mask, or nothing."""
        if spec.mask:
            return spec.mask
        mask = self.policy.mask_of(contract, spec.name)
        if mask:
            self.used.add(HerdMask(contract, spec.name, mask))
        return mask


def view_of(came: Carried, audience: Audience, policy: ClearancePolicy) -> View:
    """Return what an audience sees of a stream. `policy` masks fields whose contract names no mask."""
    view = View(audience.lacks(came.rest))
    masks = _Masks(policy, view.by_herd)
    for name, held in (came.columns or {}).items():
        lacking = audience.lacks(held.origins)
        if not lacking:
            view.held[name] = held
            continue
        found, problem = _masked(held, lacking, audience, masks)
        if found is None:
            view.refused.setdefault((lacking, problem), []).append(name)
        else:
            view.masked.append(changed(found, name=name))
            view.held[name] = Held(held.origins - lacking, hidden_field(changed(found, name=name)))
    return view


def _masked(
    held: Held, lacking: Origins, audience: Audience, masks: _Masks
) -> tuple[FieldSpec | None, str]:
    """Return the field that says how a column is masked; nothing, and why, where it cannot be."""
    if held.field is None:
        return None, MADE
    contract = min(lacking).contract
    if any(one.is_whole for one in lacking):  # by whichever contract says so
        return _with_mask(held.field, contract, masks)
    return _with_masks(held.field, contract, audience, masks)


def _with_masks(
    spec: FieldSpec, contract: str, audience: Audience, masks: _Masks
) -> tuple[FieldSpec | None, str]:
    """Return a field that has a mask wherever it is or holds what is not seen, and none elsewhere."""
    parts = parts_of(spec)
    lacks = [bool(audience.lacks(frozenset(origins_of(contract, one)))) for one in parts]
    own = origins_of(contract, changed(spec, fields=(), items=None))
    if not any(lacks) or audience.lacks(frozenset(own)):
        return _with_mask(spec, contract, masks)
    found = []
    for part, is_lacking in zip(parts, lacks, strict=True):
        if not is_lacking:
            found.append(unmasked(part))
            continue
        one, problem = _with_masks(part, contract, audience, masks)
        if one is None:
            return None, problem
        found.append(one)
    return with_parts(spec, tuple(found)), ""


def _with_mask(spec: FieldSpec, contract: str, masks: _Masks) -> tuple[FieldSpec | None, str]:
    mask = masks.of(contract, spec)
    if not mask:
        return None, ", and nothing says how it is masked"
    try:
        read_mask(mask, spec.kind)
    except BadMask as error:
        if spec.mask or spec.kind not in (Kind.RECORD, Kind.LIST):
            return None, f": {error}"
        mask = "redact"  # the herd's mask is meant for values, and these are several
    return changed(spec, mask=mask), ""
