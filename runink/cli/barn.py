"""`runi barn`: the commands about the Barn, each imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from runink.cli.commands import Commands

# The name, where it is, and its line in the help.
BARN_COMMANDS: Final = {
    "get": ("runink.cli.barn_keys:get", "Print a key, or the keys with a prefix, now or at an older revision."),
    "put": ("runink.cli.barn_keys:put", "Set a key."),
    "delete": ("runink.cli.barn_keys:delete", "Delete a key, or the keys with a prefix."),
    "txn": ("runink.cli.barn_txn:txn", "Do a transaction: conditions, and what is done if they all hold."),
    "watch": ("runink.cli.barn_watch:watch", "Print every change as it happens, from an older revision if wanted."),
    "lease": ("runink.cli.barn_lease:lease", "Leases: keys that go when nobody keeps them."),
    "status": ("runink.cli.barn_state:status", "Say how large the store is and what it keeps."),
    "metrics": ("runink.cli.barn_state:metrics", "Print the metrics of this member, as Prometheus reads them."),
    "limits": ("runink.cli.barn_state:limits", "Set or print the quota and how much of the past is kept."),
    "compact": ("runink.cli.barn_state:compact", "Forget old changes."),
    "defrag": ("runink.cli.barn_state:defrag", "Write a snapshot and drop the log before it."),
    "hash": ("runink.cli.barn_state:hash_", "Print the running hash, by which members are compared."),
    "backup": ("runink.cli.barn_backup:backup", "Write the whole state to a file."),
    "restore": ("runink.cli.barn_backup:restore", "Make a new cluster's state from such a file."),
    "check": ("runink.cli.barn_check:check", "Verify the log and the snapshot of a Barn that does not run."),
    "repair": ("runink.cli.barn_repair:repair", "Mend what a crash left behind; cut a damaged log where it is told to."),
    "recover": ("runink.cli.barn_recover:recover", "When the majority is lost for good: make a member the founder of a new group."),
}  # fmt: skip


class BarnCommands(Commands):
    table = BARN_COMMANDS


@click.command(cls=BarnCommands)
def barn() -> None:
    """Look at the Barn, the store of the cluster's state, and mend it."""
