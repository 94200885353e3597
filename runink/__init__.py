"""Runink: data pipelines on plain Linux machines.

What a project's own files import from here: `Contract`, `Field`, `Rule`, `context` and `step`.  They are loaded when first used, so
that `import runink` costs an agent or a command line next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runink.contracts.contract import Contract, Field, Rule
    from runink.steps.context import context
    from runink.steps.registry import step

__all__ = ["Contract", "Field", "Rule", "context", "step"]
__version__ = "0.1.0"

_HOMES = {
    "Contract": "runink.contracts.contract",
    "Field": "runink.contracts.contract",
    "Rule": "runink.contracts.contract",
    "context": "runink.steps.context",
    "step": "runink.steps.registry",
}


def __getattr__(name: str) -> object:
    from importlib import import_module  # noqa: PLC0415 - only when something is asked for

    if name in _HOMES:
        found = globals()[name] = getattr(import_module(_HOMES[name]), name)
        return found
    raise AttributeError(f"module 'runink' has no attribute {name!r}")
