"""The commands by name, and how whatever one of them raises is told.

A command is imported when it is called, so that `runi --version` costs a tenth of a second.  Whatever goes wrong is a text on standard error
and an exit code; with `-o json` also a document on standard output, so that a program always finds one there.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, ClassVar, Final

import click

from runink import __version__
from runink.cli.exits import (
    ExitCode,
    error_json,
    error_text,
    exit_code_of,
    first_of,
    interrupted,
    told,
    usage,
)
from runink.errors import RuninkError
from runink.suggestions import nearest

# The name, where it is, and its line in the help: known without importing it.
COMMANDS: Final = {
    "init": ("runink.cli.init:init", "Make a project to begin with, with golden tests that pass."),
    "run": ("runink.cli.run:run", "Run a pipeline, and show how far it is."),
    "up": ("runink.cli.up:up", "Keep a cluster of one node running, for runs to be submitted to."),
    "spawn": ("runink.cli.spawn:spawn", "Start slices as root for a node that runs as another user."),
    "agent": ("runink.cli.agent:agent", "Be a worker node of a cluster that runs elsewhere."),
    "identity": ("runink.cli.identity:identity", "Sign tokens for a cluster, on a node of its own."),
    "server": ("runink.cli.server:server", "Be one member of a Barn of one, three or five."),
    "compile": ("runink.cli.pipeline:compile_", "Check a pipeline and print what it compiles to."),
    "fmt": ("runink.cli.fmt:fmt", "Write pipeline files in the one way in which they are written."),
    "explain": ("runink.cli.pipeline:explain", "Say what a pipeline does, and what of its text is not enforced."),
    "graph": ("runink.cli.pipeline:graph", "Print a pipeline's graph: for mermaid or dot, or as a picture."),
    "diff": ("runink.cli.difference:diff", "Say what differs between two pipelines, and what of it is breaking."),
    "contract": ("runink.cli.contract:contract", "Look at contracts, exchange them, and hold data against them."),
    "eval": ("runink.cli.eval:eval_", "Say what an expression gives on records, to try a condition."),
    "test": ("runink.cli.test:test", "Run pipelines without publishing, and compare with their goldens."),
    "watch": ("runink.cli.watch:watch", "Compile, test or run pipelines at each save."),
    "synth": ("runink.cli.synth:synth", "Make data from a contract: rows that keep it, edges, and rows that break it."),
    "pipeline": ("runink.cli.pipelines:pipeline", "Publish versions of pipelines, and look at them."),
    "submit": ("runink.cli.submit:submit", "Run a pipeline that is published or deployed, in a cluster elsewhere."),
    "deploy": ("runink.cli.deploy:deploy", "Put a pipeline in force, to be run whenever it is due."),
    "schedule": ("runink.cli.schedule:schedule", "Look at what is due, pause it, and run for ticks of the past."),
    "lint": ("runink.cli.lint:lint", "Find what is most likely a slip, or could be said better."),
    "lsp": ("runink.cli.lsp:lsp", "Answer an editor: mistakes, completion, definitions."),
    "status": ("runink.cli.status:status", "Say whether a cluster runs here, and what it does."),
    "node": ("runink.cli.node:node", "Look at the nodes: what they have, offer and can do."),
    "herd": ("runink.cli.herd:herd", "Declare herds, limit them, change and delete them."),
    "runs": ("runink.cli.runs:runs", "List the runs, newest first."),
    "events": ("runink.cli.events:events", "Print what happens in a herd, as it happens."),
    "slice": ("runink.cli.slices:slice_", "Look at a run's slices: what closes them off and what they used."),
    "logs": ("runink.cli.logs:logs", "Print what a run's slices printed."),
    "why": ("runink.cli.why:why", "Say why a run waits, or why it is where it is."),
    "lineage": ("runink.cli.lineage:lineage", "Print what a run read, did and wrote."),
    "sample": ("runink.cli.sample:sample", "Look at the first rows of what a run has published."),
    "dead": ("runink.cli.dead:dead", "Look at the rows that a run rejected."),
    "cancel": ("runink.cli.runs:cancel", "Cancel a run."),
    "pause": ("runink.cli.pausing:pause", "Begin nothing new of a run."),
    "unpause": ("runink.cli.pausing:unpause", "Go on with a run that is paused."),
    "resume": ("runink.cli.resuming:resume", "Go on from a run that failed or was cancelled."),
    "restart": ("runink.cli.resuming:restart", "Do a step of a failed run, and all behind it, again."),
    "clean": ("runink.cli.clean:clean", "Forget runs that are over, with their logs."),
    "barn": ("runink.cli.barn:barn", "Look at the Barn, the store of the cluster's state, and mend it."),
    "cluster": ("runink.cli.cluster:cluster", "Look after the members of the Barn."),
    "auth": ("runink.cli.auth:auth", "Ask who may what: whoami, can-i, explain, who-can."),
    "role": ("runink.cli.role:role", "Say what may be done, under a name."),
    "binding": ("runink.cli.binding:binding", "Say who has which role."),
    "issuer": ("runink.cli.issuer:issuer", "Say whose word the cluster takes on who people are."),
    "audit": ("runink.cli.audit:audit", "Look at who has done what."),
    "context": ("runink.cli.context:context", "Keep the clusters that you ask, by names, and how to log in there."),
    "account": ("runink.cli.account:account", "Look after service accounts: programs of a herd, and their secrets."),
    "token": ("runink.cli.tokens:token", "Look after tokens of programs."),
    "login": ("runink.cli.login:login", "Log in to a cluster with your provider."),
    "logout": ("runink.cli.login:logout", "Forget a login."),
    "api": ("runink.cli.api:api", "Ask the HTTP API as it stands: a method and a path."),
    "completion": ("runink.cli.completion:completion", "Print what has a shell complete commands and names."),
    "doctor": ("runink.cli.doctor:doctor", "Check this machine and this project, and say what to mend."),
}  # fmt: skip


class Commands(click.Group):
    """Commands by name, each imported when it is called."""

    table: ClassVar[dict[str, tuple[str, str]]] = COMMANDS

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        if cmd_name not in self.table:
            return None
        module, _, name = self.table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.table and not args[0].startswith("-"):
            near = nearest(args[0], self.table)
            hint = f"Did you mean {near}?" if near else f"`{ctx.command_path} --help` lists them."
            ctx.fail(f"there is no command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.table.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="runi")
def runi() -> None:
    """Data pipelines on plain Linux machines."""


def called(words: list[str]) -> int:
    """Run the command and return its exit code. Raises nothing that a person or the machine could have caused."""
    try:
        return _done(words)
    except BaseException as error:
        code = _told(words, first_of(error))
        if code is None:
            raise
        return code


def _told(words: list[str], error: BaseException) -> int | None:
    """Tell what went wrong and return the exit code, or nothing for what nobody foresaw."""
    match error:
        case click.ClickException():
            error.show()
            return _ended(words, usage(error.format_message()), error.exit_code)
        case click.Abort() | KeyboardInterrupt():
            return _ended(words, interrupted(), ExitCode.INTERRUPTED)
        case BrokenPipeError():
            return _unread()
        case RuninkError() | OSError():
            known = told(error)
            click.echo(error_text(known), err=True)
            return _ended(words, known, exit_code_of(known))
        case _:
            return None


def _done(words: list[str]) -> int:
    code: Any
    try:
        code = runi.main(args=words, prog_name="runi", standalone_mode=False)
    except SystemExit as ended:
        code = ended.code
    if sys.stdout is not None:
        sys.stdout.flush()  # now, while it can still be told that nobody reads or the disk is full
    return int(code or 0)


def _ended(words: list[str], error: RuninkError, code: int) -> int:
    """Print the error for programs, if one reads."""
    if _wants_json(words):
        try:
            click.echo(error_json(error, command=words[0]))
        except OSError:  # nobody reads it, or it takes nothing
            return _unread()
    return code


def _unread() -> int:
    """Give up standard output: whoever read it has had enough, and Python would complain once more when it flushes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
    return ExitCode.FAILED


def _wants_json(words: list[str]) -> bool:
    pairs = zip(words, [*words[1:], ""], strict=True)
    return any(
        word in ("-ojson", "--output=json") or (word in ("-o", "--output") and behind == "json")
        for word, behind in pairs
    )
