"""`runi lsp`: what an editor talks to, on standard input and output."""

from __future__ import annotations

import sys

import click

from runink.errors import Refused


@click.command()
@click.option("--stdio", is_flag=True, help="Editors say so; there is no other way.")
def lsp(*, stdio: bool) -> None:  # noqa: ARG001 - the way it is anyhow
    """Answer an editor: mistakes while one types, completion, definitions, formatting.

    An editor starts it and speaks the Language Server Protocol with it; docs/editors.md says how to set one up.
    """
    try:
        from runink.lsp.serving import serve  # noqa: PLC0415 - an extra, and half a second
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("pygls", "lsprotocol")):
            raise
        text = f"the language server needs {error.name}, which is not installed"
        hint = "pip install 'runink[lsp]'"
        raise Refused(text, code="extra_missing", hint=hint) from None
    sys.exit(serve())
