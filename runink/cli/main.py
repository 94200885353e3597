"""`runi`: the command line. Commands are imported when they are called, so that `runi --version` costs a tenth of a second."""

from __future__ import annotations

import difflib
import sys
from importlib import import_module
from typing import Any, Final

import click

from runink import __version__
from runink.cli.exits import ExitCode, error_json, error_text, exit_code_of
from runink.errors import RuninkError

# The name, where it is, and its line in the help: known without importing it.
COMMANDS: Final = {
    "run": ("runink.cli.run:run", "Run a pipeline, and show how far it is."),
    "up": ("runink.cli.up:up", "Keep a cluster of one node running, for runs to be submitted to."),
    "compile": ("runink.cli.pipeline:compile_", "Check a pipeline and print what it compiles to."),
    "explain": ("runink.cli.pipeline:explain", "Say what a pipeline does, and what of its text is not enforced."),
    "graph": ("runink.cli.pipeline:graph", "Print a pipeline's graph, for mermaid or dot."),
    "test": ("runink.cli.test:test", "Run pipelines without publishing, and compare with their goldens."),
    "status": ("runink.cli.status:status", "Say whether a cluster runs here, and what it does."),
    "runs": ("runink.cli.runs:runs", "List the runs, newest first."),
    "logs": ("runink.cli.runs:logs", "Print what a run's slices printed."),
    "lineage": ("runink.cli.runs:lineage", "Print what a run read, did and wrote."),
    "dead": ("runink.cli.dead:dead", "Look at the rows that a run rejected."),
    "cancel": ("runink.cli.runs:cancel", "Cancel a run."),
    "clean": ("runink.cli.clean:clean", "Forget runs that are over, with their logs."),
    "doctor": ("runink.cli.doctor:doctor", "Check this machine and this project, and say what to mend."),
}  # fmt: skip


class Commands(click.Group):
    """Commands by name, each imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, n=1)
            hint = f" Did you mean {near[0]}?" if near else " `runi --help` lists them."
            ctx.fail(f"there is no command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runi")
def runi() -> None:
    """Data pipelines on plain Linux machines."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit; see `exits` for the codes."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        code: Any = runi.main(args=words, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = ExitCode.INTERRUPTED
    except RuninkError as error:
        if _wants_json(words):
            click.echo(error_json(error))
        click.echo(error_text(error), err=True)
        code = exit_code_of(error)
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes.
        sys.stdout = None
        code = ExitCode.FAILED
    sys.exit(int(code or 0))


def _wants_json(words: list[str]) -> bool:
    pairs = zip(words, [*words[1:], ""], strict=True)
    return any(
        word in ("-ojson", "--output=json") or (word in ("-o", "--output") and behind == "json")
        for word, behind in pairs
    )


if __name__ == "__main__":
    main()
