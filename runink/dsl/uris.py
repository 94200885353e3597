"""URIs of sources and sinks: the format, and where.

    csv://data/flights.csv               relative to the project's folder; globs for sources: csv://data/*.csv
    csv:///srv/data/flights.csv          absolute
    csv://-                              standard input, standard output
    parquet+s3://bucket/key              elsewhere: the format, +, and the URI as its library knows it
    sf:bronze.flights                    a dataset of the project by its name: the same as parquet://out/bronze/flights.parquet

`csv:x` is `csv://x`, and so on: what stands behind the colon is the path, with or without two slashes before it.

A relative path never leaves the project: `..` is refused, because what it means depends on where a project lies; an absolute path says what it
means and may be anywhere.  URIs are compared as normalised here: `csv://./out//a.csv` is `csv://out/a.csv`, and what has one place has one URI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from runink.dag import STANDARD, Format
from runink.dsl.syntax import Text
from runink.jobs import STATE_FOLDER
from runink.suggestions import near_or_all

PATH_MAX: Final = 4096  # the kernel's own limit
DATASET_CHARACTERS_MAX: Final = (
    200  # with `.parquet` and a name for what is aside, less than a file's name may have
)
DATASETS: Final = "sf"  # upstream's word for what a project keeps between its layers
DATASETS_FOLDER: Final = "out"
_SCHEME: Final = re.compile(
    r"(?P<format>[A-Za-z][A-Za-z0-9]*)(?:\+(?P<remote>[A-Za-z][\w.-]*))?:(?://)?"
)
_DATASET: Final = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*", re.ASCII)
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
    "mysql",
    "sqlite",
)
_ALL: Final = ", ".join((*_FORMATS, DATASETS))


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
    scheme, remote = found["format"].lower(), found["remote"]
    rest = uri[found.end() :]
    if scheme == DATASETS and remote is None:
        return _dataset(text, rest, found.end())
    kind = _FORMATS.get(scheme)
    if kind is None:
        return _unknown_format(found["format"], uri)
    path = _normalised(rest) if remote is None else f"{remote.lower()}://{rest}"
    mistake = _path_mistake(rest, found.end(), uri) or (
        _sink_mistake(path, found.end(), rest) if is_sink else _source_mistake(path, kind, rest)
    )
    if mistake is not None:
        return mistake
    whole = kind.value if remote is None else f"{kind.value}+{remote.lower()}"
    tail = path if remote is None else rest
    return Location(f"{whole}://{tail}", kind, path, text)


def _dataset(text: Text, name: str, start: int) -> Location | Mistake:
    """Return where a dataset of the project is kept: its name's parts are folders."""
    if len(name) > DATASET_CHARACTERS_MAX or not _DATASET.fullmatch(name):
        likely = ".".join(re.findall(r"[A-Za-z_][\w-]*", name, re.ASCII))[:DATASET_CHARACTERS_MAX]
        hint = f"did you mean {DATASETS}://{likely}?" if likely else f"as in {DATASETS}://bronze.x"
        told = f"{name!r} is no name of a dataset: names, joined by dots"
        return Mistake("D030", told, hint, start, max(len(name), 1))
    path = f"{DATASETS_FOLDER}/{name.replace('.', '/')}.parquet"
    return Location(f"{Format.PARQUET.value}://{path}", Format.PARQUET, path, text)


def _normalised(path: str) -> str:
    """Leave out what means nothing: `./`, `//`. A leading / stays, and so does a path that is one folder."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    lead = "/" if path.startswith("/") else ""
    return lead + "/".join(parts)


def _without_scheme(uri: str) -> Mistake:
    if not uri.strip():
        return Mistake("D030", "the URI is empty", 'write format and path: "csv://data/x.csv"')
    suffix = uri.removesuffix(".gz").removesuffix(".zst").rpartition(".")[2].lower()
    kind = suffix if suffix in _FORMATS else "csv"
    hint = f"did you mean {kind}://{uri}?"
    return Mistake("D030", f"{uri} does not say its format", hint, 0, len(uri))


def _unknown_format(name: str, uri: str) -> Mistake:
    if name.lower() in _NOT_YET:
        return Mistake("D012", f"{name}:// is not there yet", f"there are {_ALL}", 0, len(name))
    if re.match(r"(s3|gs|gcs|az|abfs|file):", uri, re.IGNORECASE):
        hint = f"did you mean parquet+{uri}?"
        return Mistake("D030", f"{uri} does not say its format", hint, 0, len(name))
    hint = near_or_all(name.lower(), (*_FORMATS, DATASETS))
    return Mistake("D030", f"there is no format {name}", hint, 0, len(name))


def _path_mistake(path: str, start: int, uri: str) -> Mistake | None:
    length = max(len(path), 1)
    if not path.strip("/."):
        return Mistake("D030", f"{uri} has no path", "as in csv://data/x.csv", 0, len(uri))
    if any(not char.isprintable() for char in path):
        return Mistake(
            "D030",
            "the path holds a character that cannot be printed",
            "take it away",
            start,
            length,
        )
    if path != path.strip():
        text = "the path begins or ends with a blank"
        return Mistake("D030", text, "take it away", start, length)
    if len(path) > PATH_MAX:
        hint = "no file of Linux has so long a name"
        return Mistake(
            "D030", f"the path is longer than {PATH_MAX} characters", hint, start, length
        )
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


def _sink_mistake(path: str, start: int, rest: str) -> Mistake | None:
    length = len(rest)
    if rest.endswith("/"):
        hint = f"name the file: {rest}x.parquet"
        return Mistake("D030", f"{rest} is a folder, and a sink writes a file", hint, start, length)
    if _MAGIC.search(path):
        return Mistake(
            "D030",
            "a sink writes one file, so its name holds no * ? [",
            "give it a name",
            start,
            length,
        )
    if path.partition("/")[0] == STATE_FOLDER:
        return Mistake("D031", f"{STATE_FOLDER}/ belongs to runi", "write to out/", start, length)
    return None
