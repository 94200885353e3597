"""SARIF 2.1.0, the document in which code scanning takes findings: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.

Columns are counted in characters, as everywhere in Runink.  A file is named by a URI: relative to where the command runs, or with `file:` if
it was named absolutely.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec

from runink import __version__
from runink.dsl.codes import codes
from runink.dsl.lint_codes import LINT_CODES, Severity
from runink.dsl.linting import Lint
from runink.errors import Finding, Span

SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
LEVELS: Final = {
    Severity.ERROR: "error",
    Severity.WARNING: "warning",
    Severity.NOTE: "note",
}


def sarif(told: Iterable[tuple[Path, tuple[Lint, ...]]]) -> str:
    """Return the document of what was found in these files."""
    every = [(file, one) for file, found in told for one in found]
    names = sorted({one.finding.code for _, one in every})
    driver = {
        "name": "runi lint",
        "version": __version__,
        "rules": [_rule(name) for name in names],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(file, one) for file, one in every],
    }
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _rule(name: str) -> dict[str, Any]:
    lint, code = LINT_CODES.get(name), codes().get(name)
    if lint is not None:
        title, text, level = lint.title, lint.text, LEVELS[lint.severity]
    elif code is not None:
        title, text, level = code.title, code.means, LEVELS[Severity.ERROR]
    else:
        return {"id": name}
    return {
        "id": name,
        "shortDescription": {"text": title},
        "fullDescription": {"text": text},
        "defaultConfiguration": {"level": level},
    }


def _result(file: Path, one: Lint) -> dict[str, Any]:
    finding = one.finding
    physical = (
        _physical(finding.span)
        if finding.span is not None
        else {"artifactLocation": {"uri": _uri(str(file))}}
    )
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": LEVELS[one.severity],
        "message": {"text": "\n".join(part for part in (finding.text, finding.hint) if part)},
        "locations": [{"physicalLocation": physical}],
    }
    related = _related(finding)
    return result | {"relatedLocations": related} if related else result


def _related(finding: Finding) -> list[dict[str, Any]]:
    return [
        {"id": number, "physicalLocation": _physical(label.span), "message": {"text": label.text}}
        for number, label in enumerate(finding.labels)
    ]


def _physical(span: Span) -> dict[str, Any]:
    return {
        "artifactLocation": {"uri": _uri(span.file)},
        "region": {
            "startLine": span.line,
            "startColumn": span.column,
            "endColumn": span.column + span.length,
        },
    }


def _uri(file: str) -> str:
    return Path(file).as_uri() if Path(file).is_absolute() else quote(file)
