"""Whether a pipeline hangs together that somebody else has sent: what runs, and what it is connected with, is there, and it can be read again.

Runink's compiler makes no other. A program may send any, and what is in the Barn is looked at by every start of the control plane, so an unsound one
is refused before it is there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from runink.dag import Dag, Function, Sink, Source, Step
from runink.errors import Invalid

ID_BYTES_MAX: Final = 200  # a file's name has 255 on every file system that we know; ours put an attempt and an ending behind it
NUL: Final = "\0"  # ends a path in the kernel, and is one that Python opens for nobody


def check_run(dag: Dag, names: Mapping[str, str], places: Iterable[str]) -> None:
    """Check the pipeline of a run, what the run, its herd and its bundle are called (by what each is), and the places that it names. Raises Invalid (`invalid_name`, `place_invalid`, `pipeline_unsound`)."""
    for what, name in names.items():
        _check_id(name, what)
    for place in places:
        _check_place(place)
    _check_dag(dag)


def _check_id(text: str, what: str) -> None:
    """Raise Invalid (`invalid_name`) for an id that could be no part of a file's name."""
    if not _is_file_name(text):
        raise Invalid(
            f"{text[:200]!r} is no id of a {what}",
            code="invalid_name",
            hint=f"it has 1 to {ID_BYTES_MAX} bytes and no /, and begins with no dot",
        )


def _is_file_name(text: str) -> bool:
    size = len(text.encode(errors="replace"))
    return 0 < size <= ID_BYTES_MAX and text[0] != "." and "/" not in text and NUL not in text


def _check_place(path: str) -> None:
    """Raise Invalid (`place_invalid`) for what is no path from the root of a disk."""
    if not path.startswith("/") or NUL in path:
        raise Invalid(
            f"{path[:200]!r} is no path from the root of a disk",
            code="place_invalid",
            hint="send the whole path",
        )


def _check_dag(dag: Dag) -> None:
    """Raise Invalid (`pipeline_unsound`) for a pipeline that does not hang together."""
    found = next(_mistakes(dag), None)
    if found is not None:
        raise Invalid(
            f"the pipeline {dag.pipeline} does not hang together: {found}",
            code="pipeline_unsound",
            hint="send one that Runink's compiler has made",
        )


def _mistakes(dag: Dag) -> Iterator[str]:
    nodes = Counter(node.id for node in dag.nodes)
    homes = Counter(name for spec in dag.slices for name in spec.nodes)
    slices = Counter(spec.id for spec in dag.slices)
    sinks = [(one.id, one.staged_from) for one in dag.nodes if isinstance(one, Source)]
    yield from _twice("node", nodes)
    yield from _twice("slice", slices)
    yield from _twice("node in slices", homes)
    yield from _unknown("a slice", homes, nodes)
    yield from (f"no slice has the node {name!r}" for name in nodes if name not in homes)
    yield from _unknown(
        "a link", (end for one in dag.links for end in (one.source, one.target)), nodes
    )
    yield from _unknown("a source", (sink for _, sink in sinks if sink), nodes)
    yield from _unknown("an assertion", (name for one in dag.assertions for name in one.of), nodes)
    for name in (*nodes, *slices, *(spec.gang for spec in dag.slices)):
        if not _is_file_name(name):
            yield f"{name[:200]!r} is no id"
    for path in _paths(dag):
        if NUL in path:
            yield f"the path {path[:200]!r} has a character 0"
    if not dag.slices:
        yield "it has no slices"
    if _waits_for_itself(dag.gang_needs()):
        yield "its gangs wait for each other"
    try:
        again = msgspec.json.decode(msgspec.json.encode(dag), type=Dag)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError) as error:
        yield f"it cannot be kept: {error}"
    else:
        if again.hash != dag.hash:
            yield "it is another when it was kept"


def _paths(dag: Dag) -> Iterator[str]:
    for node in dag.nodes:
        match node:
            case Source() | Sink():
                yield from (node.path, node.uri)
            case Step(action=Function(file=file)):
                yield file
            case _:
                pass


def _twice(what: str, names: Counter[str]) -> Iterator[str]:
    for name, count in names.items():
        if count > 1:
            yield f"the {what} {name!r} is there {count} times"


def _unknown(who: str, names: Iterable[str], known: Mapping[str, int]) -> Iterator[str]:
    for name in names:
        if name not in known:
            yield f"{who} has the node {name!r}, which is not there"


def _waits_for_itself(needs: Mapping[str, frozenset[str]]) -> bool:
    left = dict(needs)
    while left:  # each round takes out a gang at least, or says that none can begin
        ready = [gang for gang, wanted in left.items() if not wanted & left.keys()]
        if not ready:
            return True
        for gang in ready:
            del left[gang]
    return False
