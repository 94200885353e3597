"""Where a source reads or a sink writes, in either of two spellings.

    @source("csv://data/x.csv")                                    one URI
    @source(type=csv, path="data/x.csv")                           its parts: type, and what goes with it
    @source(type=s3, path="bucket/x.parquet", format=parquet)
    @source(type=sf, schema=bronze, table=flights)
    @source(type=kafka, topic="topics.flights", format=json)

The second is put together to the first, and mistakes are told at the part that they are about.
"""

from __future__ import annotations

from typing import Final

from runink.dsl.arguments import Arguments
from runink.dsl.syntax import Place, Text
from runink.dsl.uris import DATASETS, Location, Mistake, located
from runink.dsl.vocabulary import PARTS

_STORES: Final = ("s3", "gs", "gcs", "az", "abfs", "http", "https", "ftp", "sftp")
_NAMED: Final = {"kafka": ("topic",)}  # what else names a thing, by type
_TABLES: Final = (DATASETS, "postgres", "postgresql", "snowflake", "mysql", "sqlite")


def location_of(arguments: Arguments, *, is_sink: bool) -> Location | None:
    """Return the place that an annotation names; nothing if it names none, which is told."""
    text = _joined(arguments) if arguments.has("type") else _whole(arguments)
    if text is None or not arguments.is_usable:
        return None
    found = located(text, is_sink=is_sink)
    if isinstance(found, Mistake):
        arguments.mistake(found, text)
        return None
    return found


def _whole(arguments: Arguments) -> Text | None:
    text = arguments.text("uri")
    for name in PARTS:
        if arguments.has(name):
            hint = "leave it away, or write type=… and its parts instead of the URI"
            arguments.unfit(name, f"{name} goes with type=", hint)
    return text


def _joined(arguments: Arguments) -> Text | None:
    """Put a URI together of its parts."""
    kind = arguments.text("type")
    if arguments.has("uri"):
        arguments.unfit("uri", "a place is said once: as a URI, or by type=…", code="D016")
    if kind is None or not arguments.is_usable:
        return None
    if kind.value in _TABLES:
        return _table(arguments, kind)
    wanted = _NAMED.get(kind.value, ("path",))
    _refuse_others(arguments, kind, (*wanted, "format"))
    said = arguments.text(wanted[0])
    if said is None:
        hint = f'as in type={kind.value}, {wanted[0]}="…"'
        arguments.unfit("type", f"type={kind.value} needs {wanted[0]}", hint, "D014")
        return None
    return _uri(_scheme(arguments, kind), kind, (said,))


def _scheme(arguments: Arguments, kind: Text) -> str:
    """Return what stands before `://`; a store of files or a plain file does not say its format by itself."""
    form = arguments.text("format")
    if kind.value != "file" and kind.value not in _STORES:
        if form is not None and form.value != kind.value and kind.value not in _NAMED:
            arguments.unfit("format", f"type={kind.value} says its format already", "leave it away")
        return kind.value
    if form is None:
        arguments.unfit("type", f"type={kind.value} needs format", "as in format=parquet", "D014")
        return kind.value
    return form.value if kind.value == "file" else f"{form.value}+{kind.value}"


def _table(arguments: Arguments, kind: Text) -> Text | None:
    _refuse_others(arguments, kind, ("schema", "table"))
    table, schema = arguments.text("table"), arguments.text("schema")
    if table is None:
        hint = f"as in type={kind.value}, schema=bronze, table=flights"
        arguments.unfit("type", f"type={kind.value} needs table", hint, "D014")
        return None
    return _uri(kind.value, kind, (table,) if schema is None else (schema, table))


def _refuse_others(arguments: Arguments, kind: Text, wanted: tuple[str, ...]) -> None:
    for name in PARTS[1:]:
        if arguments.has(name) and name not in wanted:
            hint = f"it goes with {' and '.join(wanted)}"
            arguments.unfit(name, f"type={kind.value} has no {name}", hint, "D011")


def _uri(scheme: str, kind: Text, parts: tuple[Text, ...]) -> Text:
    """Join the parts by dots; each character knows the argument that it came from."""
    value = f"{scheme}://"
    places = [Place(0, kind.span.line, kind.span.column, is_fixed=True)]
    for number, part in enumerate(parts):
        lead = "." if number else ""
        start = len(value) + len(lead)
        places += [
            Place(start + one.start, one.line, one.column, one.is_fixed) for one in part.places
        ] or [Place(start, part.span.line, part.span.column, is_fixed=True)]
        value += lead + part.value
    return Text(value, parts[-1].span, tuple(places))
