"""All that is to be told about a page: what the compiler finds, and what lint finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from runink.dag import Dag
from runink.dsl.compiler import SourceText, compiled
from runink.dsl.linting import Lint, linted
from runink.errors import Finding, Invalid, RuninkError
from runink.lsp.contract_reader import Answer
from runink.lsp.project import Offers


@dataclass(frozen=True, slots=True)
class Analysis:
    """What was found, with spans in this file or others of the project; `missing` are contracts that must be read first."""

    text: str
    file: str
    root: Path
    found: tuple[Lint, ...]
    missing: frozenset[str] = frozenset()

    def told_of(self, file: str) -> list[Lint]:
        """Return what was found in a file."""
        return [
            one
            for one in self.found
            if one.finding.span is not None and one.finding.span.file == file
        ]


def analysed(text: str, file: Path, answers: Mapping[str, Answer]) -> Analysis:
    """Compile a page in its project and return what is wrong. Never raises for what a person wrote."""
    offers = Offers.of(file, answers)
    path = _within(file, offers.root)
    source = SourceText(text, path, path, str(offers.root))
    findings: tuple[Finding, ...] = ()
    dag: Dag | None = None
    try:
        dag = compiled(source, {}, offers).dag
    except Invalid as error:
        findings = error.findings or (Finding(error.code, error.text, None, error.hint),)
    except RuninkError as error:
        findings = (Finding(error.code, error.text, None, error.hint),)
    missing = frozenset(offers.asked) - answers.keys()
    found = linted(text, path, dag, _judged(findings))
    return Analysis(text, path, offers.root, found, missing)


def _judged(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Leave out what is no mistake in an editor: a parameter that only gets its value when the pipeline is run."""
    return (one for one in findings if one.code != "D071")


def _within(file: Path, root: Path) -> str:
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return file.name
