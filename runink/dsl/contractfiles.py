"""Which contracts a Python file defines, read from its text: a contract is found by its name without importing any file that may hold it."""

from __future__ import annotations

import ast


def contract_classes(text: str) -> tuple[str, ...]:
    """Return the classes at the file's top that derive from `Contract`, or from one that does there, in their order; none of a file that is no Python."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()  # what is wrong with it is told by whoever imports it
    bases = {"Contract"}
    found: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            bases |= {
                one.asname
                for one in node.names
                if one.name == "Contract" and one.asname is not None
            }
        if isinstance(node, ast.ClassDef) and any(_last(base) in bases for base in node.bases):
            found.append(node.name)
            bases.add(node.name)
    return tuple(found)


def _last(base: ast.expr) -> str:
    match base:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""
