"""What a pipeline is compiled from, as values: `recorded.py` makes them and compiles them again."""

from __future__ import annotations

import msgspec

from runink.clearances import NO_CLEARANCES, ClearancePolicy
from runink.contracts.fields import ContractSpec
from runink.identity.roles import Clearances


class Answers(msgspec.Struct, omit_defaults=True):
    """What a project has answered so far, by what it was asked."""

    step_files: tuple[str, ...] | None = None
    texts: dict[str, str | None] = {}
    present: dict[str, bool] = {}
    contracts: dict[str, ContractSpec] = {}
    references: tuple[str, ...] | None = None
    clearances: ClearancePolicy = NO_CLEARANCES
    roles: dict[str, Clearances] = {}


class Recipe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a pipeline is compiled from: its text with its names, the parameters that were given, and its project's answers."""

    text: str
    file: str
    path: str
    root: str
    given: dict[str, str]
    answers: Answers
