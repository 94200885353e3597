"""`runi completion`: what has a shell complete commands, options, and names that live in a cluster."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_RUNI_COMPLETE"  # by which the shell's function calls us


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(*, shell: str) -> None:
    """Print what has SHELL complete commands, options, and the names of contexts, herds, nodes, pipelines, contracts and runs.

    \b
    bash    runi completion bash > ~/.local/share/bash-completion/completions/runi
    zsh     runi completion zsh > a folder of $fpath, as _runi
    fish    runi completion fish > ~/.config/fish/completions/runi.fish
    """  # noqa: D301 - click's mark for lines that it leaves as they are
    from runink.cli.commands import runi  # noqa: PLC0415 - it imports us

    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    click.echo(kind(runi, {}, "runi", VARIABLE).source())
