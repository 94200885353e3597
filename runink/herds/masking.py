"""`[masking]` and `[[clearances]]` of a herd's file: how personal data is masked, and which sinks may hold it."""

from __future__ import annotations

from typing import Any, Final

from runink.clearances import ClearancePolicy, SinkClearance
from runink.contracts.masks import KINDS_OF
from runink.herds.reading import Section

KEYS: Final = ("default", "fields")
CLEARANCE_KEYS: Final = ("sink", "pii")
CLEARANCES: Final = "clearances"


def clearances_of(masking: Section, document: Section) -> ClearancePolicy:
    fields = masking.found.get("fields", {})
    if not isinstance(fields, dict):
        masking.tell("masking.fields is a table", "fields", 'as in fields = { email = "hash" }')
        fields = {}
    return ClearancePolicy(
        _mask(masking, masking.found.get("default", ""), "default"),
        {name: _mask(masking, mask, name) for name, mask in fields.items()},
        tuple(_clearance(one) for one in document.tables(CLEARANCES, CLEARANCE_KEYS)),
    )


def _mask(section: Section, found: Any, key: str) -> str:
    """Return a mask's text; whether it is one for a field's kind, the compiler knows."""
    if found == "keep":
        hint = 'which sinks may hold it is said so: [[clearances]] sink = "…", pii = ["…"]'
        section.tell("to keep personal data as it is, is no mask", "keep", hint)
    elif not isinstance(found, str):
        section.tell(f"{key} is a mask's name", key, 'as in default = "hash"')
    elif found and found.partition("(")[0].strip() not in KINDS_OF:
        section.tell(f"there is no mask {found}", found, f"there are {', '.join(KINDS_OF)}")
    else:
        return found
    return ""


def _clearance(section: Section) -> SinkClearance:
    sink, pii = section.found.get("sink"), section.found.get("pii")
    head = f"[[{CLEARANCES}]]"
    if not isinstance(sink, str) or not sink:
        hint = 'as in sink = "parquet://out/secure/*"'
        section.tell("a clearance names its sinks by their URI", head, hint)
        sink = ""
    if isinstance(pii, str):
        pii = [pii]
    if not isinstance(pii, list) or not pii or not all(isinstance(one, str) for one in pii):
        hint = 'as in pii = ["email"]; "*" are all'
        section.tell("a clearance names kinds of personal data", head, hint)
        pii = []
    return SinkClearance(sink, tuple(dict.fromkeys(pii)))
