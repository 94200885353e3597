"""`runi schedule`: the commands about schedules, each imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from runink.cli.commands import Commands

# The name, where it is, and its line in the help.
SCHEDULE_COMMANDS: Final = {
    "list": ("runink.cli.schedule_show:list_", "List what is deployed, and when it is due next."),
    "show": ("runink.cli.schedule_show:show", "Say when a pipeline is due, and what its ticks came to."),
    "pause": ("runink.cli.schedule_changes:pause", "Let ticks pass without a run."),
    "resume": ("runink.cli.schedule_changes:resume", "Let ticks make runs again."),
    "run": ("runink.cli.backfill:run", "Make a run now, for the last tick or another one."),
    "backfill": ("runink.cli.backfill:backfill", "Make runs for the ticks of a range of the past."),
    "stop": ("runink.cli.backfill:stop", "Let backfills make no other run."),
    "remove": ("runink.cli.schedule_changes:remove", "Take a pipeline out of force."),
}  # fmt: skip


class ScheduleCommands(Commands):
    table = SCHEDULE_COMMANDS


@click.command(cls=ScheduleCommands)
def schedule() -> None:
    """Look at what is due, pause it, and run for ticks of the past. `runi deploy` puts a pipeline in force."""
