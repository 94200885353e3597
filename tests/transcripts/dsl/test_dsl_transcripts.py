"""Scripts of the language: a project in, what a person reads out.

A script is a text file; sections begin with `===`:

    === file PATH            a file of the project; the last .dsl is the one that is compiled
    === contract FILE:NAME   its fields, a line each: name kind, and what it says beside: pii=email mask=hash access=finance
    === roles                what the herd's roles show of fields, a line each: name marks
    === clear                which kinds of personal data every sink may hold
    === param NAME=VALUE     as given on the command line
    === errors | explain | mermaid | dot
                             what must come out

    RUNINK_REWRITE=1 pytest tests/transcripts/dsl    accepts what comes out now
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace as changed
from runink.clearances import NO_CLEARANCES, ClearancePolicy, SinkClearance
from runink.contracts.fields import ContractSpec, FieldSpec, Kind
from runink.dsl.diagnostics import rendered
from runink.dsl.explain import explained
from runink.dsl.pictures import as_dot, as_mermaid
from runink.errors import Invalid
from runink.identity.roles import Role, Rule
from runink.names import RoleName
from runink.testing.projects import MemoryProject, compile_text, contract_of

OURS = re.compile(r"error\[D0[0-37]")  # of lines, parts, places and parameters
SCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))
OUTPUTS = {"explain": explained, "mermaid": as_mermaid, "dot": as_dot}


@dataclass
class Script:
    files: dict[str, str] = field(default_factory=dict)
    contracts: dict[str, str] = field(default_factory=dict)
    roles: tuple[Role, ...] = ()
    policy: ClearancePolicy = NO_CLEARANCES
    parameters: dict[str, str] = field(default_factory=dict)
    expected: list[tuple[str, str]] = field(default_factory=list)
    head: str = ""

    def outputs(self) -> list[tuple[str, str]]:
        name = next(path for path in reversed(self.files) if path.endswith(".dsl"))
        specs = {
            reference: _contract(reference, fields) for reference, fields in self.contracts.items()
        }
        project = MemoryProject(self.files, specs, clearances=self.policy, roles=self.roles)
        try:
            compilation = compile_text(
                self.files[name], project=project, parameters=self.parameters, file=name
            )
        except Invalid as error:
            return [("errors", f"{error.text}\n\n{rendered(error.findings)}".rstrip())]
        wanted = [what for what, _ in self.expected if what in OUTPUTS] or ["explain"]
        notes = "".join(f"note: {note}\n" for note in compilation.notes)
        return [(what, notes + OUTPUTS[what](compilation.dag).rstrip()) for what in wanted]


def _contract(reference: str, body: str) -> ContractSpec:
    found = contract_of(reference, {})
    lines = [line.split() for line in body.split("\n") if line]
    return changed(found, fields=tuple(_field(*words) for words in lines))


def _field(name: str, kind: str, *said: str) -> FieldSpec:
    beside = dict(one.split("=") for one in said)
    access = tuple(beside.pop("access", "").split("|")) if "access" in beside else ()
    return FieldSpec(name, Kind(kind), access=access, **beside)


def _role(name: str, *marks: str) -> Role:
    return Role(RoleName(name), "default", (Rule(fields=marks),))


def read(path: Path) -> Script:
    script = Script()
    head: list[str] = []
    for section in path.read_text().split("\n=== ")[0:]:
        title, _, body = section.partition("\n")
        kind, _, name = title.removeprefix("=== ").partition(" ")
        if kind not in {"errors", *OUTPUTS}:
            head.append(f"=== {title.removeprefix('=== ')}\n{body}")
        match kind:
            case "file":
                script.files[name] = body
            case "contract":
                script.contracts[name] = body
            case "roles":
                script.roles = tuple(_role(*line.split()) for line in body.split("\n") if line)
            case "clear":
                script.policy = ClearancePolicy(sinks=(SinkClearance("*", tuple(body.split())),))
            case "param":
                key, _, value = name.partition("=")
                script.parameters[key] = value
            case _:
                script.expected.append((kind, body.rstrip()))
    script.head = "\n".join(head)
    return script


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_gives_what_it_says(path: Path) -> None:
    script = read(path)
    outputs = script.outputs()
    for _, text in outputs:
        mute = [one for one in text.split("\n\n") if OURS.match(one) and "= help" not in one]
        assert not mute, "every mistake of a file itself says how it is mended"
    if os.environ.get("RUNINK_REWRITE"):
        told = [f"=== {what}\n{text}\n" for what, text in outputs]
        path.write_text("\n".join([script.head.rstrip() + "\n", *told]))
        return
    assert outputs == script.expected
