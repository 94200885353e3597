"""What an editor says about annotations: a sentence for each, one for each of its parameters, and the values that a parameter may have.

Which annotations and parameters there are, `runink.dsl.vocabulary` says; a test holds the two together. `docs/reference/dsl.md` says more.
"""

from __future__ import annotations

from typing import Final

from runink.calendars import Missed, Overlap
from runink.contracts.fields import OnDrift
from runink.dag import Format, Mode, OnInvalid
from runink.networks import Network

ANNOTATIONS: Final = {
    "affinity": "Where the step above is to stand: on nodes with these labels, beside another step or apart from it; above the first step, all of the scenario.",
    "assert": "What must be true of the scenario's figures, or nothing of the run is published.",
    "checkpoint": "Keeps the stream on disk where it stands, until the run has succeeded: a retry of what is below begins there. Above the first step, behind each step that another one reads.",
    "contract": "Checks every row of the stream where it stands; what breaks it is set aside with the reasons.",
    "deadletter": "Where the scenario's contracts put rows that break them, with the reasons. One a scenario.",
    "feature": "The pipeline's title and herd; another way to write `Feature:` and `@herd`.",
    "golden": "The rows that the sink above must give; `runi test` compares them.",
    "herd": "Whose quotas, roles and secrets the pipeline runs under.",
    "meta": "What people want to know beside: it is kept and shown, and changes nothing.",
    "module": "What the scenario is part of. Its layer is the scenario's id.",
    "param": "A parameter of the pipeline, set by `--param name=value` and used as `${name}`.",
    "priority": "Which of the runs that wait is served first: more is sooner, 0 if not said.",
    "requires": "What the step above asks for, and the most that it gets; above the first step, all of the scenario.",
    "retry": "How often the step above is tried again when it fails; above the first step, all of the scenario; above `Feature:`, all of the file.",
    "schedule": "When the pipeline is due, once `runi deploy` has put it in force: a line of cron, or `every=`.",
    "sink": "Takes the stream where it stands; the lines below go on with it.",
    "timeout": "How long the process of the step above may take; above the first step, all processes of the scenario; above `Feature:`, a run as a whole.",
    "source": "Reads rows. The sources of a scenario together are its stream, unless they have a name: then they are side inputs.",
    "step": "A Python function, a SQL query or a program that takes the stream and gives the next.",
}

# By parameter, or by annotation and parameter where it means something else there.
PARAMETERS: Final = {
    "affinity.anti": "a step (`step:clean`) that it never shares a node with, or a word: who says it, too, is never on the same node",
    "affinity.colocate_with": "a step that it shares a node with: `step:clean`",
    "affinity.domain": "the label over whose values the pipeline's slices are spread: `zone`",
    "affinity.label": "what the node's labels must be: `gpu`, `zone=eu`, `!spot`, `disk in (nvme, ssd)`; or a list",
    "affinity.skew": "makes the spread a rule: by how many a value of `domain` may have more of the pipeline's slices than the one that has the fewest: `1`",
    "after": "what it reads instead of the line above: a name or a list; another word for `from`",
    "as": "names the stream, for `from=` and for steps that take it as an argument",
    "assert.condition": "a condition over `records`, `rows_out`, `rejected`, `rejected_ratio` and the like",
    "checkpoint.every": "it is not there yet: what has an end is kept once",
    "checkpoint.format": "`arrow`, or `parquet`, which is smaller and slower; `arrow` if not said",
    "contract.on": "the named stream that it checks, instead of the chain",
    "contract.on_invalid": "what becomes of a row that breaks it",
    "contract.on_drift": "what becomes of input whose shape leaves the contract",
    "contract.version": "the version of the contract that it speaks",
    "contract.path": "`FILE:CLASS`, the file relative to the project",
    "delimiter": "CSV: the one character between values; `,` if not said",
    "requires.cpu": "cores: `2`, or thousandths of one: `250m`",
    "requires.disk": "the size of its own `/tmp`, which is in memory: `1Gi`",
    "requires.grace": "how long it goes on, 10 minutes at most, when it is told that it is to give way: `2m`",
    "requires.gpu": "how many graphics processors: `1`",
    "requires.label": "what the node's labels must be; as in `@affinity`, and beside it",
    "requires.sees": "names of secrets and data that the node must be allowed to see",
    "requires.io": "bytes a second of each disk, read and written apiece: `50Mi`",
    "requires.memory": "bytes: `512Mi`",
    "requires.network": "which network its process has; none if not said",
    "requires.processes": "the most processes and threads, from 16",
    "file": "the file that has the step, if it is not found in `steps/*.py`",
    "format": "what it is written in",
    "step.format": "what the program reads and writes; `jsonl` if not said",
    "from": "what it reads instead of the line above: a name or a list",
    "feature.herd": "whose quotas, roles and secrets the pipeline runs under",
    "feature.name": "the pipeline's title",
    "golden.ignore": "fields that are not compared",
    "golden.input": "rows that take a source's place in the test",
    "golden.ordered": "`true`: the order of the rows counts",
    "golden.relative": "how much a float may differ, as a part of it",
    "golden.key": "the fields that tell rows apart",
    "golden.path": "a file of the project with the rows; `.csv`, `.jsonl`, `.json`, `.parquet` or `.arrow`",
    "golden.tolerance": "how much a float may differ",
    "herd.name": "the herd; `herds/NAME.toml` holds its limits",
    "id": "names the stream; another word for `as`",
    "isolate": "`true`: a process of its own",
    "module.herd": "whose quotas, roles and secrets the pipeline runs under; a pipeline has one",
    "module.domain": "what part of the business it is about",
    "module.layer": "`bronze`, `silver`, `gold` or another; the scenario's id",
    "module.owner": "who answers for it",
    "mode": "what becomes of what is there already",
    "step.name": "a function with `@step(each=…)` above it, looked for in `steps/*.py`",
    "nulls": 'CSV: the values that mean nothing; `[""]` if not said',
    "param.default": "its value where none is given; without one it must be given",
    "param.description": "what it is, for people",
    "param.name": "its name: letters, digits and `_`",
    "path": "where it lies, where `type=` says what it is",
    "step.run": "a program and its arguments, split as a shell would",
    "priority.level": "a whole number from -100 to 100",
    "retry.delay": "the wait before the second try, as in `10s`; it doubles from try to try; `500ms` if not said",
    "retry.delay_max": "the longest wait between two tries; `60s` if not said",
    "retry.times": "how many tries more, 0 to 1,000",
    "timeout.after": "a duration, as in `30m`",
    "schedule.cron": "minute, hour, day, month, weekday; or `hourly`, `daily`, `weekly`, `monthly`, `yearly`",
    "schedule.deadline": "a run that has not ended so long after it was made is cancelled",
    "schedule.end": "the first moment that is no tick any more: `2027-01-01`, or with a time",
    "schedule.every": "the distance from tick to tick: `15m`",
    "schedule.missed": "what becomes of ticks that passed without a run",
    "schedule.overlap": "what becomes of a tick while a run of the schedule is under way",
    "schedule.start": "the first moment that may be a tick: `2026-12-01`, or with a time",
    "schedule.timezone": "another word for `tz`",
    "schedule.tz": "the time zone that cron's fields are in, like `Europe/Berlin`; UTC if not said",
    "schema": "the schema of a table, where `type=` says what it is",
    "step.sql": "one query over the whole stream, which it reads as `input`; side inputs are tables",
    "table": "the table, where `type=` says what it is",
    "topic": "the topic, where `type=` says what it is",
    "type": "what it is, where the parts of its URI are said apart",
    "uri": "format and place: `csv://data/x.csv`",
    "sink.with": "whom it is for: `role=NAME`; what that role does not see is masked",
    "sink.when": "only rows for which the condition is true are written",
}

_FLAG: Final = {"true": "", "false": "what it is if not said"}
CHOICES: Final = {
    "contract.on_invalid": {
        OnInvalid.DEAD_LETTER.value: "set it aside, with the reasons",
        OnInvalid.FAIL.value: "end the run",
    },
    "contract.on_drift": {
        OnDrift.NOTE.value: "count it and say so",
        OnDrift.FAIL.value: "end the run",
        OnDrift.DEAD_LETTER.value: "set such rows aside",
        OnDrift.EVOLVE.value: "let optional fields be missing, and hand on what it does not name",
    },
    "isolate": _FLAG,
    "mode": {
        Mode.OVERWRITE.value: "replace what is there; what happens if not said",
        Mode.APPEND.value: "put a new part beside it",
        Mode.ERROR.value: "refuse if something is there",
    },
    "requires.network": {
        Network.NONE.value: "a network namespace with nothing in it",
        Network.EGRESS.value: "the herd's network: the public internet, and what the herd allows",
        Network.HOST.value: "the node's own network, on nodes that allow it",
    },
    "schedule.missed": {
        Missed.SKIP.value: "no run",
        Missed.LAST.value: "a run for the last of them; what happens if not said",
        Missed.ALL.value: "a run for each, one after the other",
    },
    "schedule.overlap": {
        Overlap.FORBID.value: "it waits, and counts as missed; what happens if not said",
        Overlap.ALLOW.value: "a run beside the one under way",
        Overlap.REPLACE.value: "the run under way is cancelled",
    },
    "step.format": {one.value: "" for one in (Format.JSONL, Format.CSV, Format.ARROW)},
    "format": {one.value: "" for one in Format},
    "module.layer": {"bronze": "", "silver": "", "gold": ""},
}

UNITS: Final = {
    "requires.cpu": ("m", ""),
    "requires.memory": ("Mi", "Gi"),
    "requires.disk": ("Mi", "Gi"),
    "requires.io": ("Mi", "Gi"),
}
AMOUNTS: Final = {
    "requires.cpu": ("1", "2", "250m", "500m"),
    "requires.memory": ("256Mi", "512Mi", "1Gi", "2Gi"),
    "requires.disk": ("256Mi", "1Gi"),
    "requires.io": ("50Mi", "100Mi"),
    "requires.processes": ("16", "64", "256"),
    "requires.grace": ("30s", "2m"),
}


def about(annotation: str, parameter: str) -> str:
    """Return what is said about a parameter, or nothing."""
    return PARAMETERS.get(f"{annotation}.{parameter}") or PARAMETERS.get(parameter, "")


def choices(annotation: str, parameter: str) -> dict[str, str]:
    """Return the values that a parameter may have, if they are few."""
    return CHOICES.get(f"{annotation}.{parameter}") or CHOICES.get(parameter, {})
