"""URIs of sources and sinks: the format, and where.

    csv://data/flights.csv               relative to the project's folder; globs for sources: csv://data/*.csv
    csv:///srv/data/flights.csv          absolute
    csv://-                              standard input, standard output
    parquet+s3://bucket/key              elsewhere: the format, +, and the URI as its library knows it

A relative path never leaves the project: `..` is refused, because what it means depends on where a project lies; an absolute path says what it
means and may be anywhere.  URIs are compared as normalised here: `csv://./out//a.csv` is `csv://out/a.csv`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from runink.dag import Format
from runink.dsl.diagnostics import near_or_all
from runink.dsl.syntax import Text

STANDARD: Final = "-"
STATE_FOLDER: Final = ".runink"  # what belongs to the cluster is no place for data
PATH_MAX: Final = 4096  # the kernel's own limit
_SCHEME: Final = re.compile(
    r"(?P<format>[A-Za-z][A-Za-z0-9]*)(?:\+(?P<remote>[A-Za-z][\w.-]*))?://"
)
_MAGIC: Final = re.compile(r"[*?[]")
_FORMATS: Final = {one.value: one for one in Format}
_NOT_YET: Final = (
    "kafka",
    "postgres",
    "postgresql",
    "snowflake",
    "http",
    "https",
    "mqtt",
    "sf",
    "mysql",
    "sqlite",
)


@dataclass(frozen=True, slots=True)
class Location:
    """What a URI means. `path` is relative to the project, absolute, a remote URI, or `-`."""

    uri: str
    format: Format
    path: str
    text: Text

    @property
    def is_standard(self) -> bool:
        return self.path == STANDARD

    @property
    def is_remote(self) -> bool:
        return "://" in self.path

    @property
    def is_glob(self) -> bool:
        return not self.is_standard and bool(_MAGIC.search(self.path))


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a text is no URI that we can use: its code, what and how to mend it, and which part of it."""

    code: str
    text: str
    hint: str = ""
    at: int = 0
    length: int = 1


def located(text: Text, *, is_sink: bool) -> Location | Mistake:
    """Return what the URI means, or what is wrong with it."""
    uri = text.value
    found = _SCHEME.match(uri)
    if found is None:
        return _without_scheme(uri)
    kind = _FORMATS.get(found["format"].lower())
    if kind is None:
        return _unknown_format(found["format"], uri)
    rest = uri[found.end() :]
    path = rest if found["remote"] is None else f"{found['remote'].lower()}://{rest}"
    if found["remote"] is None:
        path = _normalised(rest)
    mistake = _path_mistake(rest, found.end(), uri) or (
        _sink_mistake(path, found.end(), len(rest))
        if is_sink
        else _source_mistake(path, kind, rest)
    )
    if mistake is not None:
        return mistake
    scheme = kind.value if found["remote"] is None else f"{kind.value}+{found['remote'].lower()}"
    tail = path if found["remote"] is None else rest
    return Location(f"{scheme}://{tail}", kind, path, text)


def _normalised(path: str) -> str:
    """Leave out what means nothing: `./`, `//`. A leading / stays, and so does a path that is one folder."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    lead = "/" if path.startswith("/") else ""
    return lead + "/".join(parts)


def _without_scheme(uri: str) -> Mistake:
    length = max(len(uri), 1)
    if not uri.strip():
        return Mistake("D030", "the URI is empty", 'write format and path: "csv://data/x.csv"')
    scheme, colon, rest = uri.partition(":")
    if colon and scheme in _FORMATS:
        return Mistake(
            "D030", f"{uri} is no URI", f"did you mean {scheme}://{rest.lstrip('/')}?", 0, length
        )
    if colon and scheme in _NOT_YET:
        return Mistake(
            "D012", f"{scheme}: is not there yet", f"there are {', '.join(_FORMATS)}", 0, length
        )
    suffix = uri.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2].lower()
    kind = suffix if suffix in _FORMATS else "csv"
    return Mistake(
        "D030", f"{uri} does not say its format", f"did you mean {kind}://{uri}?", 0, length
    )


def _unknown_format(name: str, uri: str) -> Mistake:
    if name.lower() in _NOT_YET:
        return Mistake(
            "D012", f"{name}:// is not there yet", f"there are {', '.join(_FORMATS)}", 0, len(name)
        )
    if re.match(r"(s3|gs|gcs|az|abfs|file)://", uri, re.IGNORECASE):
        return Mistake(
            "D030", f"{uri} does not say its format", f"did you mean parquet+{uri}?", 0, len(name)
        )
    return Mistake(
        "D030", f"there is no format {name}", near_or_all(name.lower(), _FORMATS), 0, len(name)
    )


def _path_mistake(path: str, start: int, uri: str) -> Mistake | None:
    length = max(len(path), 1)
    if not path.strip("/."):
        return Mistake("D030", f"{uri} has no path", "", 0, len(uri))
    if any(not char.isprintable() for char in path):
        return Mistake(
            "D030", "the path holds a character that cannot be printed", "", start, length
        )
    if len(path) > PATH_MAX:
        return Mistake("D030", f"the path is longer than {PATH_MAX} characters", "", start, length)
    inner = re.match(r"([a-z][a-z0-9]*)://", path)
    if inner is not None:
        scheme = uri.partition("://")[0]
        return Mistake(
            "D030", "a URI within a URI", f"join them by +: {scheme}+{path}", start, len(inner[0])
        )
    if path.startswith("~"):
        return Mistake("D031", "~ means nothing here", "write the whole path: csv:///home/…", start)
    if ".." in path.split("/"):
        return Mistake(
            "D031",
            f"{path} leaves the project",
            "a path is relative to the project and stays in it; for a place elsewhere write it whole: csv:///srv/…",
            start,
            length,
        )
    return None


def _source_mistake(path: str, kind: Format, rest: str) -> Mistake | None:
    if path == STANDARD and kind is Format.PARQUET:
        return Mistake(
            "D030",
            "Parquet is read from its end, so not from standard input",
            "write it to a file first",
        )
    if rest.endswith("/"):
        return Mistake("D030", f"{rest} is a folder", f"name its files: {rest}*.{kind.value}", 0, 1)
    return None


def _sink_mistake(path: str, start: int, length: int) -> Mistake | None:
    if _MAGIC.search(path):
        return Mistake(
            "D030", "a sink writes one file, so its name holds no * ? [", "", start, length
        )
    if path.partition("/")[0] == STATE_FOLDER:
        return Mistake("D031", f"{STATE_FOLDER}/ belongs to runi", "write to out/", start, length)
    return None
