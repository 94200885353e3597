"""`runi barn`: the commands about the Barn, each imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from runink.cli.commands import Commands

# The name, where it is, and its line in the help.
BARN_COMMANDS: Final = {
    "check": ("runink.cli.barn_check:check", "Verify the log and the snapshot of a Barn that does not run."),
    "repair": ("runink.cli.barn_repair:repair", "Mend what a crash left behind; cut a damaged log where it is told to."),
}  # fmt: skip


class BarnCommands(Commands):
    table = BARN_COMMANDS


@click.command(cls=BarnCommands)
def barn() -> None:
    """Look at the Barn, the store of the cluster's state, and mend it."""
