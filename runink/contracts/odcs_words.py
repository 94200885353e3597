"""The words of the Open Data Contract Standard that are read here, by the part of a document they stand in (versions 3.0 to 3.2).

A word that is none of these is a mistake: `requred: true` would otherwise mean nothing, silently.
"""

from __future__ import annotations

from typing import Final

from runink.contracts.fields import Kind

WRITTEN: Final = "v3.1.0"  # the version of the standard that exports follow
READ: Final = ("v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0")
KIND: Final = "DataContract"
ENGINE: Final = "runink"  # of custom quality rules that hold an expression of ours
OURS: Final = "runink"  # what the names of our custom properties begin with
ITEM: Final = "item"  # what the items of a list are called where nothing is said

DOCUMENT_KEYS: Final = frozenset(
    [
        "apiVersion",
        "authoritativeDefinitions",
        "context",
        "contractCreatedTs",
        "customProperties",
        "dataProduct",
        "description",
        "domain",
        "id",
        "kind",
        "name",
        "price",
        "roles",
        "schema",
        "servers",
        "slaDefaultElement",
        "slaProperties",
        "status",
        "support",
        "tags",
        "team",
        "tenant",
        "version",
    ]
)
_ELEMENT_KEYS: Final = frozenset(
    [
        "authoritativeDefinitions",
        "businessName",
        "customProperties",
        "deprecated",
        "description",
        "id",
        "logicalType",
        "name",
        "physicalName",
        "physicalType",
        "quality",
        "relationships",
        "synonyms",
        "tags",
    ]
)
OBJECT_KEYS: Final = _ELEMENT_KEYS | {"context", "dataGranularityDescription", "properties"}
PROPERTY_KEYS: Final = _ELEMENT_KEYS | frozenset(
    [
        "classification",
        "criticalDataElement",
        "encryptedName",
        "enum",
        "examples",
        "items",
        "logicalTypeOptions",
        "map",
        "partitionKeyPosition",
        "partitioned",
        "primaryKey",
        "primaryKeyPosition",
        "properties",
        "required",
        "semanticType",
        "transformDescription",
        "transformLogic",
        "transformSourceObjects",
        "unique",
    ]
)
OPERATORS: Final = (
    "mustBe",
    "mustNotBe",
    "mustBeGreaterThan",
    "mustBeGreaterOrEqualTo",
    "mustBeLessThan",
    "mustBeLessOrEqualTo",
    "mustBeBetween",
    "mustNotBeBetween",
)
QUALITY_KEYS: Final = frozenset(
    [
        "arguments",
        "authoritativeDefinitions",
        "businessImpact",
        "customProperties",
        "description",
        "dimension",
        "engine",
        "id",
        "implementation",
        "method",
        "metric",
        "name",
        "query",
        "rule",
        "schedule",
        "scheduler",
        "severity",
        "tags",
        "type",
        "unit",
    ]
) | frozenset(OPERATORS)

LOGICAL: Final = {
    Kind.INT: "integer",
    Kind.FLOAT: "number",
    Kind.DECIMAL: "number",
    Kind.BOOL: "boolean",
    Kind.STR: "string",
    Kind.BYTES: "string",
    Kind.DATE: "date",
    Kind.DATETIME: "timestamp",
    Kind.TIME: "time",
    Kind.RECORD: "object",
    Kind.LIST: "array",
}
KINDS: Final = {
    "integer": Kind.INT,
    "number": Kind.FLOAT,
    "boolean": Kind.BOOL,
    "string": Kind.STR,
    "date": Kind.DATE,
    "timestamp": Kind.DATETIME,
    "time": Kind.TIME,
    "object": Kind.RECORD,
    "array": Kind.LIST,
}
_BOUND_OPTIONS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_CLOCK_OPTIONS: Final = (*_BOUND_OPTIONS, "format", "timezone", "defaultTimezone")
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "integer": (*_BOUND_OPTIONS, "multipleOf", "format"),
    "number": (*_BOUND_OPTIONS, "multipleOf", "format"),
    "boolean": (),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "date": (*_BOUND_OPTIONS, "format"),
    "timestamp": _CLOCK_OPTIONS,
    "time": _CLOCK_OPTIONS,
    "object": ("maxProperties", "minProperties", "required"),
    "array": ("maxItems", "minItems", "uniqueItems"),
}
BOUNDS: Final = {
    "ge": "minimum",
    "le": "maximum",
    "gt": "exclusiveMinimum",
    "lt": "exclusiveMaximum",
}
INTEGER_FORMATS: Final = {
    f"{sign}{bits}": (0, (1 << bits) - 1)
    if sign == "u"
    else (-(1 << bits - 1), (1 << bits - 1) - 1)
    for sign in "iu"
    for bits in (8, 16, 32, 64)
}
FORMATS: Final = {"byte": "base64"}  # the standard's names for forms of ours that have another
