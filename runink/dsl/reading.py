"""What each annotation of a scenario's body means: its clause, read from its arguments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import Final

from runink.contracts.fields import OnDrift
from runink.contracts.versions import is_within
from runink.dag import Format, Limit, Limits, Mode, OnInvalid
from runink.dsl.arguments import Arguments
from runink.dsl.clauses import (
    DEFAULT_NULLS,
    AssertClause,
    Clause,
    ContractClause,
    DeadLetterClause,
    GoldenClause,
    MetaClause,
    RequiresClause,
    SinkClause,
    SourceClause,
    StepClause,
)
from runink.dsl.locations import location_of
from runink.dsl.patience import checkpoint_clause, grace_of, retry_clause, timeout_clause
from runink.dsl.places import affinity_clause, gpus_of, labels_of, names_seen
from runink.dsl.syntax import Text
from runink.networks import Network
from runink.quantities import format_memory, parse_bytes, parse_count, parse_cpu

CPU_M_MAX: Final = 1_024_000  # a machine of 1,024 cores; more is a slip of the unit
PROCESSES_MIN: Final = 16  # a slice's own: it reads, works and writes at the same time
PROCESSES_MAX: Final = 1 << 20
SIZE_MIN: Final = 1 << 20  # less is a slip of the unit
SIZE_MAX: Final = 1 << 50
_MODES: Final = {one.value: "" for one in Mode}
_ON_INVALID: Final = {
    OnInvalid.DEAD_LETTER.value: "",
    OnInvalid.FAIL.value: "",
    OnInvalid.TAG.value: "set such rows aside with @deadletter, or let them fail the run",
}
_ON_DRIFT: Final = {one.value: "" for one in OnDrift}
_NETWORKS: Final = {one.value: "" for one in Network}
_ROLE: Final = re.compile(r"role=([A-Za-z_][\w-]*)")
_PROGRAM_FORMATS: Final = {one.value: "" for one in (Format.JSONL, Format.CSV, Format.ARROW)}


def clause_of(arguments: Arguments) -> Clause | MetaClause | None:
    """Return what an annotation of a scenario's body means; nothing if it could not be read, which is told then."""
    clause = _READERS[arguments.kind.name](arguments)
    return clause if arguments.is_usable else None


def _source(arguments: Arguments) -> SourceClause | None:
    location = location_of(arguments, is_sink=False)
    nulls = tuple(dict.fromkeys(one.value for one in arguments.texts("nulls")))
    delimiter = arguments.text("delimiter")
    alias = _identifier(arguments, "as")
    isolate = arguments.flag("isolate")
    if location is None:
        return None
    for name in ("nulls", "delimiter"):
        if arguments.has(name) and location.format is not Format.CSV:
            arguments.unfit(name, f"{name} is for CSV", "leave it away")
    if delimiter is not None and (
        len(delimiter.value.encode()) != 1 or delimiter.value in '"\r\n\0'
    ):
        arguments.unfit(
            "delimiter",
            "a delimiter is one character of ASCII",
            r'as in delimiter=";" or delimiter="\t"',
        )
    return SourceClause(
        arguments.annotation.span,
        location,
        alias,
        nulls if arguments.has("nulls") else DEFAULT_NULLS,
        delimiter.value if delimiter is not None else ",",
        isolate,
    )


def _identifier(arguments: Arguments, name: str) -> Text | None:
    """Return a stream's name: it is a Python argument and an SQL table, too."""
    text = arguments.text(name)
    if text is not None and arguments.is_usable:
        if not (text.value.isidentifier() and text.value.isascii()):
            arguments.unfit(
                name, f"{text.value!r} is no name", "letters, digits and _, the first a letter"
            )
        elif text.value in {"main", "rejected", "input"}:
            arguments.unfit(name, f"{text.value} has a meaning of its own", "choose another name")
    return text


def _contract(arguments: Arguments) -> ContractClause | None:
    path = arguments.text("path")
    policy = arguments.choice("on_invalid", _ON_INVALID)
    drift = arguments.choice("on_drift", _ON_DRIFT)
    version = arguments.text("version")
    if version is not None and arguments.is_usable and is_within("0.0.0", version.value) is None:
        text = f"{version.value!r} is no version of a contract"
        arguments.unfit("version", text, 'as in version="1", version="1.2" or version="1.2.0"')
    clause_on = arguments.text("on")
    isolate = arguments.flag("isolate")
    if path is None:
        return None
    return ContractClause(
        arguments.annotation.span,
        path,
        clause_on,
        OnInvalid(policy) if policy else None,
        isolate,
        OnDrift(drift) if drift else None,
        version,
    )


def _step(arguments: Arguments) -> StepClause | None:
    said = [name for name in ("name", "sql", "run") if arguments.has(name)]
    for name in said[1:]:
        arguments.unfit(name, f"a step is one thing: {said[0]} or {name}", "write two @step lines")
    format_name = arguments.choice("format", _PROGRAM_FORMATS)
    if arguments.has("format") and "run" not in said:
        arguments.unfit("format", "format is for programs", "leave it away")
    if arguments.has("file") and "name" not in said:
        arguments.unfit("file", "file is for functions", "leave it away")
    function = arguments.text("name")
    if function is not None and arguments.is_usable and not function.value:
        arguments.unfit("name", "this names no step", 'as in @step("clean")', "D014")
    sql = arguments.text("sql", is_code=True)
    if sql is not None and arguments.is_usable and not sql.value.strip():
        arguments.unfit("sql", "the query is empty", 'as in sql="SELECT * FROM input"')
    run = arguments.text("run")
    return StepClause(
        span=arguments.annotation.span,
        name=function,
        file=arguments.text("file"),
        sql=sql,
        run=run,
        command=_command(arguments, run),
        format=Format(format_name or "jsonl"),
        alias=_identifier(arguments, _one_of(arguments, "as", "id")),
        inputs=_inputs(arguments),
        isolate=arguments.flag("isolate"),
    )


def _one_of(arguments: Arguments, ours: str, theirs: str) -> str:
    """Return which of two words for the same thing is there; both are too many."""
    if arguments.has(ours) and arguments.has(theirs):
        text = f"{theirs} is another word for {ours}, which stands here, too"
        arguments.unfit(theirs, text, "leave one of them away", "D016")
    return theirs if arguments.has(theirs) else ours


def _inputs(arguments: Arguments) -> tuple[Text, ...]:
    """Return the names of what a line reads instead of the line above."""
    word = _one_of(arguments, "from", "after")
    names = arguments.texts(word)
    if arguments.has(word) and arguments.is_usable and not names:
        arguments.unfit(word, f"{word} names nothing", "leave it away to read the line above")
    return names


def _command(arguments: Arguments, run: Text | None) -> tuple[str, ...]:
    if run is None or not arguments.is_usable:
        return ()
    try:
        command = tuple(shlex.split(run.value))
    except ValueError as error:
        arguments.unfit("run", f"the command cannot be split: {error}", "quote it as a shell would")
        return ()
    if not command:
        arguments.unfit("run", "the command is empty", 'as in run="./bin/clean --fast"')
    return command


def _sink(arguments: Arguments) -> SinkClause | None:
    location = location_of(arguments, is_sink=True)
    mode = arguments.choice("mode", _MODES)
    when = arguments.text("when", is_code=True)
    role = _role(arguments)
    inputs = _inputs(arguments)
    isolate = arguments.flag("isolate")
    if location is None:
        return None
    return SinkClause(
        arguments.annotation.span,
        location,
        Mode(mode or "overwrite"),
        when,
        inputs,
        isolate,
        role=role,
    )


def _role(arguments: Arguments) -> Text | None:
    """Return whom a sink is for: the name in `with "role=NAME"`."""
    text = arguments.text("with")
    if text is None or not arguments.is_usable:
        return None
    found = _ROLE.fullmatch(text.value)
    if found is None:
        example = 'as in with "role=finance"'
        arguments.unfit("with", "with says whom a sink is for, by the name of a role", example)
        return None
    return Text(found[1], text.at(found.start(1), len(found[1])))


def _deadletter(arguments: Arguments) -> DeadLetterClause | None:
    location = location_of(arguments, is_sink=True)
    mode = arguments.choice("mode", _MODES)
    if location is None:
        return None
    return DeadLetterClause(arguments.annotation.span, location, Mode(mode or "overwrite"))


def _requires(arguments: Arguments) -> RequiresClause:
    cpu = _limit(arguments, "cpu", parse_cpu)
    if cpu is not None and cpu.amount > CPU_M_MAX:
        arguments.unfit(
            "cpu", "no machine has so many cores", "write cores: cpu=2, or a part: cpu=250m"
        )
    processes = _limit(arguments, "processes", parse_count)
    if processes is not None and not PROCESSES_MIN <= processes.amount <= PROCESSES_MAX:
        arguments.unfit(
            "processes",
            f"a slice may have {PROCESSES_MIN} to {PROCESSES_MAX:,} processes",
            "threads count, and a slice has some of its own",
        )
    memory = _limit(arguments, "memory", parse_bytes)
    disk = _limit(arguments, "disk", parse_bytes)
    io = _limit(arguments, "io", parse_bytes)
    for name, limit in (("memory", memory), ("disk", disk), ("io", io)):
        if limit is not None and not SIZE_MIN <= limit.amount <= SIZE_MAX:
            text = f"{name} is from {format_memory(SIZE_MIN)} to {format_memory(SIZE_MAX)}"
            arguments.unfit(name, text, f"as in {name}=512Mi")
    network = arguments.choice("network", _NETWORKS)
    return RequiresClause(
        arguments.annotation.span,
        Limits(cpu, memory, processes, disk, io),
        Network(network) if network else None,
        gpus_of(arguments),
        names_seen(arguments),
        labels_of(arguments),
        grace_of(arguments),
    )


def _limit(arguments: Arguments, name: str, parse: Callable[[str], int]) -> Limit | None:
    amount = arguments.quantity(name, parse)
    return None if amount is None else Limit(amount, arguments.span(name).line)


def _assert(arguments: Arguments) -> AssertClause | None:
    condition = arguments.text("condition", is_code=True)
    return None if condition is None else AssertClause(arguments.annotation.span, condition)


def _golden(arguments: Arguments) -> GoldenClause | None:
    path = arguments.text("path")
    clause = GoldenClause(
        arguments.annotation.span,
        path or Text("", arguments.annotation.span),
        arguments.texts("input"),
        arguments.texts("key"),
        arguments.texts("ignore"),
        arguments.number("tolerance"),
        arguments.number("relative"),
        arguments.flag("ordered"),
    )
    return None if path is None else clause


def _meta(arguments: Arguments) -> MetaClause:
    values = {
        name: ", ".join(one.value for one in arguments.texts(name)) for name in arguments.names
    }
    if not values and arguments.is_usable:
        hint = f"as in {arguments.kind.example}"
        arguments.lacks("something to keep", hint)
    for name, value in values.items():
        if not value and arguments.is_usable:
            arguments.unfit(name, f"{name} has no value", f"leave {name} away", "D014")
    return MetaClause(arguments.annotation.span, values)


_READERS: Final[dict[str, Callable[[Arguments], Clause | MetaClause | None]]] = {
    "source": _source,
    "contract": _contract,
    "step": _step,
    "sink": _sink,
    "deadletter": _deadletter,
    "requires": _requires,
    "affinity": affinity_clause,
    "assert": _assert,
    "golden": _golden,
    "checkpoint": checkpoint_clause,
    "retry": retry_clause,
    "timeout": timeout_clause,
    "meta": _meta,
}
