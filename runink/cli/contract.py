"""`runi contract`: the commands about contracts, each imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from runink.cli.commands import Commands

# The name, where it is, and its line in the help.
CONTRACT_COMMANDS: Final = {
    "show": ("runink.cli.contract_show:show", "Print a contract's fields and rules."),
    "hash": ("runink.cli.contract_show:hash_", "Print a contract's hash, which knows neither layout nor prose."),
    "diff": ("runink.cli.contract_diff:diff", "Compare two versions: what has changed, and what that breaks."),
    "bump": ("runink.cli.contract_bump:bump", "Write the version that the changes ask for."),
    "publish": ("runink.cli.contract_registry:publish_contract", "Publish a version in the Barn."),
    "history": ("runink.cli.contract_registry:history", "List the published versions of a contract."),
    "catalog": ("runink.cli.contract_registry:catalog", "List all contracts, with owners, tags and personal data."),
    "approve": ("runink.cli.contract_approvals:approve", "Approve a published version, which somebody else has published."),
    "reject": ("runink.cli.contract_approvals:reject", "Reject a published version, and say why."),
    "approvals": ("runink.cli.contract_approvals:list_approvals", "List what people have said of published versions."),
    "validate": ("runink.cli.contract_validate:validate", "Hold data against a contract."),
    "infer": ("runink.cli.contract_infer:infer", "Write a first contract for data that has none."),
    "export": ("runink.cli.contract_export:export", "Write a contract in a form that others read: ODCS, JSON Schema, Arrow, SQL."),
    "import": ("runink.cli.contract_export:import_", "Write the Python class that a document of ODCS or a JSON Schema means."),
}  # fmt: skip


class ContractCommands(Commands):
    table = CONTRACT_COMMANDS


@click.command(cls=ContractCommands)
def contract() -> None:
    """Look at contracts, exchange them with others, and hold data against them."""
