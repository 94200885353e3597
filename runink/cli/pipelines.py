"""`runi pipeline`: the commands about published pipelines, each imported when it is called."""

from __future__ import annotations

from typing import Final

import click

from runink.cli.commands import Commands

# The name, where it is, and its line in the help.
PIPELINE_COMMANDS: Final = {
    "push": ("runink.cli.pipeline_versions:push", "Publish a version of a pipeline in the Barn."),
    "list": ("runink.cli.pipeline_versions:list_", "List the published pipelines, with their highest versions."),
    "show": ("runink.cli.pipeline_versions:show", "Say what a published version does."),
    "history": ("runink.cli.pipeline_versions:history", "List the published versions of a pipeline."),
}  # fmt: skip


class PipelineCommands(Commands):
    table = PIPELINE_COMMANDS


@click.command(cls=PipelineCommands)
def pipeline() -> None:
    """Publish versions of pipelines, and look at them."""
