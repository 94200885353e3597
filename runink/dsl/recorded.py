"""A pipeline that is compiled again later, elsewhere: its text, and what its project answered when it was compiled the first time.

So whoever makes its runs needs neither the project's folder nor its code, of which the contracts' part would have to be imported.  What was not asked for then
is not there: a pipeline whose parameters choose files or contracts by a tick's values is refused when that tick comes.
"""

from __future__ import annotations

from collections.abc import Mapping

from runink.calendars import Schedule
from runink.clearances import ClearancePolicy
from runink.contracts.fields import ContractSpec
from runink.dag import Dag
from runink.dsl.checker import outlined
from runink.dsl.compiler import Compilation, SourceText, compiled, read
from runink.dsl.diagnostics import Findings
from runink.dsl.outlines import expanded
from runink.dsl.project import Project
from runink.dsl.recipes import Answers, Recipe
from runink.errors import Invalid
from runink.identity.roles import Clearances
from runink.names import HerdName


def looked_through(
    source: SourceText, given: Mapping[str, str]
) -> tuple[Schedule | None, frozenset[str]]:
    """Return the schedule that a pipeline's text says, if it can be read, and the names of its parameters. Whatever is wrong is for `compiled` to tell."""
    document = read(source).document
    if document is None:
        return None, frozenset()
    findings = Findings(source.file, source.text)
    outline = outlined(expanded(document, findings), given, findings)
    return outline.schedule, frozenset(outline.parameters.values)


def compiled_and_recorded(
    source: SourceText, given: Mapping[str, str], filled: Mapping[str, str], project: Project
) -> tuple[Compilation, Recipe]:
    """Compile a pipeline with the parameters `given` and `filled`, and return what it takes to do so with others in the place of `filled`. Raises Invalid."""
    recording = _Recording(project)
    compilation = compiled(source, {**given, **filled}, recording)
    recipe = Recipe(
        source.text, source.file, source.path, source.root, dict(given), recording.answers
    )
    return compilation, recipe


def compiled_again(recipe: Recipe, filled: Mapping[str, str]) -> Dag:
    """Compile it with these parameters filled in. Raises Invalid."""
    source = SourceText(recipe.text, recipe.file, recipe.path, recipe.root)
    return compiled(source, {**recipe.given, **filled}, _Recorded(recipe.answers)).dag


class _Recording:
    """A project that takes down what it is asked and what it answers."""

    def __init__(self, project: Project) -> None:
        self.answers = Answers()
        self._project = project

    def step_files(self) -> tuple[str, ...]:
        self.answers.step_files = self._project.step_files()
        return self.answers.step_files

    def read(self, path: str) -> str | None:
        found = self._project.read(path)
        self.answers.texts[path] = found
        return found

    def exists(self, path: str) -> bool:
        found = self._project.exists(path)
        self.answers.present[path] = found
        return found

    def contract(self, reference: str) -> ContractSpec:
        found = self._project.contract(reference)
        self.answers.contracts[reference] = found
        return found

    def contract_references(self) -> tuple[str, ...]:
        self.answers.references = self._project.contract_references()
        return self.answers.references

    def check_herd(self, name: HerdName) -> ClearancePolicy:
        self.answers.clearances = self._project.check_herd(name)
        return self.answers.clearances

    def shown_by_roles(self, name: HerdName) -> Mapping[str, Clearances]:
        self.answers.roles = dict(self._project.shown_by_roles(name))
        return self.answers.roles


class _Recorded:
    """A project that answers what it answered before. Raises Invalid (`not_deployed`) for anything else."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    def step_files(self) -> tuple[str, ...]:
        if self._answers.step_files is None:
            raise _not_deployed("the list of steps")
        return self._answers.step_files

    def read(self, path: str) -> str | None:
        if path not in self._answers.texts:
            raise _not_deployed(path)
        return self._answers.texts[path]

    def exists(self, path: str) -> bool:
        if path not in self._answers.present:
            raise _not_deployed(path)
        return self._answers.present[path]

    def contract(self, reference: str) -> ContractSpec:
        if reference not in self._answers.contracts:
            raise _not_deployed(reference)
        return self._answers.contracts[reference]

    def contract_references(self) -> tuple[str, ...]:
        if self._answers.references is None:
            raise _not_deployed("the list of contracts")
        return self._answers.references

    def check_herd(self, _name: HerdName) -> ClearancePolicy:
        return self._answers.clearances

    def shown_by_roles(self, _name: HerdName) -> Mapping[str, Clearances]:
        return self._answers.roles


def _not_deployed(what: str) -> Invalid:
    hint = "what a tick fills in may name data, not code and contracts"
    return Invalid(f"{what} was not asked for when the pipeline was deployed", code="not_deployed", hint=hint)  # fmt: skip
