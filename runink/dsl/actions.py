"""What a step does: a query, a program, or a function, which is found among the project's files without importing them."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Final

from runink.dag import Executable, Function, Sql, Step
from runink.dsl.checker import named
from runink.dsl.clauses import StepClause
from runink.dsl.diagnostics import Findings
from runink.dsl.project import Project
from runink.dsl.stepfiles import StepFile, StepFunction, scanned
from runink.dsl.syntax import Text
from runink.errors import Refused
from runink.suggestions import near, near_or_all

LISTED_MAX: Final = 10  # names in a hint: more are not read
_READS_INPUT: Final = re.compile(r"\b(?:FROM|JOIN)\s+input\b", re.IGNORECASE)
_OWN_INPUT: Final = re.compile(
    r"\binput\s+AS\s*\(", re.IGNORECASE
)  # a query may call a part of its own so
_NOT_NAMES: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*[\s\S]*?\*/")  # of SQL: texts, comments


@dataclass(frozen=True, slots=True)
class Found:
    """A function that a step names, and its file."""

    file: StepFile
    function: StepFunction


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a step stands: the streams it may name, and whether one comes in."""

    scenario: str
    names: tuple[str, ...]
    has_input: bool


@dataclass(frozen=True, slots=True)
class Acting:
    """What a step is called, which streams are its side inputs, and the step but for its id; no step if it could not be found."""

    name: str
    sides: tuple[str, ...]
    step: Step | None


@dataclass(slots=True)
class Actions:
    """Looks steps up; each file is read once, and its mistakes are told once."""

    project: Project
    findings: Findings
    _files: dict[str, StepFile | None] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    def acting(self, clause: StepClause, scene: Scene) -> Acting:
        """Return what a step does; what is wrong with it is told."""
        if clause.sql is not None:
            if not scene.has_input:
                self._check_reached(clause.sql)
            step = Step("", scene.scenario, Sql(clause.sql.value), ("duckdb",))
            return Acting("sql", _tables(clause.sql.value, scene.names), step)
        if clause.name is None:
            program = self._program(clause)
            name = named(PurePosixPath(clause.command[0]).stem, "program")
            return Acting(name, (), Step("", scene.scenario, program))
        name = named(clause.name.value, "step")
        found = self._function(clause)
        if found is None:
            return Acting(name, (), None)
        sides = self._sides(found, clause.name, scene)
        each = found.function.each
        maps = found.function.maps
        name_there = found.function.name
        function = Function(found.file.path, name_there, each, sides, scene.has_input, maps)
        return Acting(name, sides, Step("", scene.scenario, function, found.file.modules))

    def _check_reached(self, query: Text) -> None:
        """Tell of a query that reads a stream where none is; one that only makes rows needs none."""
        bare = _NOT_NAMES.sub(" ", query.value)
        if _READS_INPUT.search(bare) and not _OWN_INPUT.search(bare):
            hint = "put a @source above it, or say from=NAME"
            text = "nothing reaches this query, and it reads input"
            self.findings.add("D025", text, query.span, hint)

    def _program(self, clause: StepClause) -> Executable:
        assert clause.run is not None, "a step is a function, a query or a program"
        program = clause.command[0]
        path = posixpath.normpath(program)
        if path.startswith("../"):
            hint = "a program is a part of the project, or stands as a whole path"
            place = clause.run.at(0, len(program))
            self.findings.add("D031", f"{program} leaves the project", place, hint)
        elif "/" in program and not program.startswith("/") and not self.project.exists(path):
            self.findings.add(
                "D050",
                f"there is no program {program} in the project",
                clause.run.at(0, len(program)),
                "a path is relative to the project's folder; a name without / is looked for on the PATH of the agent's machine",
            )
        return Executable(clause.command, clause.format)

    def _sides(self, found: Found, name: Text, scene: Scene) -> tuple[str, ...]:
        """Return the side inputs that a function asks for by its arguments' names."""
        arguments = found.function.arguments
        place = f"{found.file.path}:{found.function.line}"
        if scene.has_input and not arguments:
            self.findings.add(
                "D054",
                f"step {name.value} takes no input ({place})",
                name.span,
                "give the function an argument, or take the @source away",
            )
            return ()
        sides: list[str] = []
        for argument in arguments[1:] if scene.has_input else arguments:
            if argument.name in scene.names:
                sides.append(argument.name)
            elif argument.is_needed:
                self.findings.add(
                    "D054",
                    f"step {name.value} asks for {argument.name}, which nothing is called ({place})",
                    name.span,
                    near(argument.name, scene.names) or f"name a source so: as={argument.name}",
                )
        return tuple(sides)

    # Finding functions.

    def _function(self, clause: StepClause) -> Found | None:
        """Return the function that a step names, or nothing, which is told."""
        assert clause.name is not None, "the caller has looked"
        if clause.file is not None:
            return self._in_file(clause.name, clause.file)
        files = [self._file(path) for path in self.project.step_files()]
        holders = [one for one in files if one is not None and self._offers(one, clause.name.value)]
        if len(holders) > 1:
            paths = " and ".join(one.path for one in holders)
            self.findings.add(
                "D051",
                f"two files have a step {clause.name.value}: {paths}",
                clause.name.span,
                f'say which: @step("{clause.name.value}", file="{holders[0].path}")',
            )
            return None
        if holders:
            return self._taken(holders[0], clause.name)
        self._missing(clause.name, [one for one in files if one is not None])
        return None

    def _offers(self, file: StepFile, name: str) -> bool:
        return name in file.functions or name in file.broken

    def _in_file(self, name: Text, path: Text) -> Found | None:
        if path.value.startswith(("/", "~")) or ".." in path.value.split("/"):
            self.findings.add(
                "D031",
                f"{path.value} leaves the project",
                path.span,
                "a step's file is a part of the project",
            )
            return None
        if not path.value.endswith(".py"):
            self.findings.add(
                "D050", f"{path.value} is no Python file", path.span, 'as in file="steps/x.py"'
            )
            return None
        file = self._file(posixpath.normpath(path.value))
        if file is None:
            self.findings.add(
                "D050",
                f"there is no file {path.value}",
                path.span,
                near(path.value, self.project.step_files())
                or "paths are relative to the project's folder",
            )
            return None
        if not self._offers(file, name.value):
            self._missing(name, [file])
            return None
        return self._taken(file, name)

    def _taken(self, file: StepFile, name: Text) -> Found | None:
        self._tell(file)
        function = file.functions.get(name.value)
        return None if function is None else Found(file, function)

    def _tell(self, file: StepFile) -> None:
        if file.path not in self._told:
            self._told.add(file.path)
            self.findings.take(file.mistakes)

    def _missing(self, name: Text, files: list[StepFile]) -> None:
        """Tell that a step is nowhere; files that could not be read may have it."""
        for file in files:
            if file.mistakes and not file.functions:
                self._tell(file)
        offered = sorted({step for file in files for step in file.functions})
        where = files[0].path if len(files) == 1 else "steps/*.py"
        hint = _named_alone(name.value, files) or near(name.value, offered)
        if not hint and offered:
            hint = near_or_all("", offered[:LISTED_MAX])
        if not hint:
            hint = f"{where} has no function with @step(each=…) above it"
        self.findings.add("D050", f"there is no step {name.value} in {where}", name.span, hint)

    def _file(self, path: str) -> StepFile | None:
        if path not in self._files:
            self._files[path] = self._read(path)
        return self._files[path]

    def _read(self, path: str) -> StepFile | None:
        try:
            text = self.project.read(path)
        except Refused as error:
            told = Findings(path, "")
            told.add("D053", error.text, None, error.hint)
            return StepFile(path, {}, mistakes=told.told())
        return None if text is None else scanned(text, path)


def _tables(query: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the named streams that a query mentions: they are its tables. One mentioned too many costs its reading, nothing more."""
    words = {word.lower() for word in re.findall(r"[A-Za-z_]\w*", _NOT_NAMES.sub(" ", query))}
    return tuple(name for name in names if name.lower() in words)


def _named_alone(name: str, files: list[StepFile]) -> str:
    """Return how a step is written that was named as contracts are, with its file in front, or as Python does it."""
    alone = name.replace(":", ".").rpartition(".")[2]
    if alone == name:
        return ""
    found = next((file.path for file in files if alone in file.functions), "")
    return f'a step is named alone: @step("{alone}", file="{found}")' if found else ""
