"""The keywords of JSON Schema by what becomes of them when a schema is read (drafts 2020-12 and 7).

A keyword that is none of these is an annotation of somebody's own, which the standard allows: it is told as left out. One that is nearly a keyword is a mistake.
"""

from __future__ import annotations

from typing import Final

from runink.contracts.fields import FieldSpec, Kind

DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
# What `$schema` may say, without the scheme and the empty fragment that some write.
NEWEST: Final = "json-schema.org/draft/2020-12/schema"
DRAFT_7: Final = "json-schema.org/draft-07/schema"
OURS: Final = "x-runink"

# The formats that JSON Schema has a name for; ours are the same forms.
STANDARD: Final = frozenset(
    {"date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri", "uuid"}
)
TYPES: Final = {
    Kind.INT: "integer",
    Kind.FLOAT: "number",
    Kind.DECIMAL: "number",
    Kind.BOOL: "boolean",
    Kind.RECORD: "object",
    Kind.LIST: "array",
}  # and all others are strings
KINDS: Final = {
    "integer": Kind.INT,
    "number": Kind.FLOAT,
    "boolean": Kind.BOOL,
    "string": Kind.STR,
    "object": Kind.RECORD,
    "array": Kind.LIST,
}
TYPE_NAMES: Final = frozenset({*KINDS, "null"})
BOUNDS: Final = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
STEP: Final = "multipleOf"
LENGTHS: Final = {Kind.STR: "Length", Kind.BYTES: "Length", Kind.LIST: "Items"}
FORMS: Final = {Kind.DATE: "date", Kind.DATETIME: "date-time"}
FORM_KINDS: Final = {form: kind for kind, form in FORMS.items()}
CLOCK: Final = r"^(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]+)?)?$"

_NUMBER_WORDS: Final = frozenset({*BOUNDS.values(), STEP})
_TEXT_WORDS: Final = frozenset({"minLength", "maxLength", "pattern", "format"})
_LIST_WORDS: Final = frozenset({"items", "prefixItems", "minItems", "maxItems"})
_RECORD_WORDS: Final = frozenset({"properties", "required"})
# The type that a keyword is about, where it is about one: a schema without `type` has what its keywords are about.
ABOUT: Final = {
    **dict.fromkeys(_NUMBER_WORDS, "number"),
    **dict.fromkeys(_TEXT_WORDS, "string"),
    **dict.fromkeys(_LIST_WORDS, "array"),
    **dict.fromkeys(_RECORD_WORDS, "object"),
}
# Whole numbers from 0 on.
COUNTS: Final = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
COMBINED: Final = frozenset({"allOf", "anyOf", "oneOf", "$ref"})
# What is about the document, and says nothing of values.
DOCUMENT: Final = frozenset(
    {"$schema", "$id", "$anchor", "$defs", "definitions", "$vocabulary", "version"}
)
# What says something of values that no contract can say.
UNENFORCED: Final = frozenset(
    [
        "additionalItems",
        "additionalProperties",
        "contains",
        "dependencies",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "maxContains",
        "maxProperties",
        "minContains",
        "minProperties",
        "not",
        "patternProperties",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
        "uniqueItems",
    ]
)
# What names schemas in ways that are not followed here.
UNFOLLOWED: Final = frozenset(
    {"$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor"}
)
# What is for people and other tools.
ANNOTATIONS: Final = frozenset(
    [
        "$comment",
        "contentEncoding",
        "contentMediaType",
        "contentSchema",
        "deprecated",
        "examples",
        "readOnly",
        "writeOnly",
    ]
)
# What narrows values: a keyword that is nearly one of these was meant to.
NARROWING: Final = frozenset({"type", "enum", "const", *ABOUT, *COMBINED, *UNENFORCED})
KNOWN: Final = frozenset(
    {"type", "enum", "const", "default", "title", "description", OURS, *ABOUT, *COMBINED}
    | DOCUMENT
    | UNENFORCED
    | UNFOLLOWED
    | ANNOTATIONS
)
# What stands below `x-runink` of a field: its attributes that the standard's keywords do not bring back.
ATTRIBUTES: Final = tuple(
    name for name in FieldSpec.__struct_fields__ if name not in ("name", "fields", "items")
)
# And of a whole contract.
CONTRACT_WORDS: Final = (
    *("contract", "version", "hash", "coercion", "on_drift", "key", "tags", "rules"),
)
