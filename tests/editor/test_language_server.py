"""`runi lsp`, spoken to by a real client: what an editor sees of a pipeline while it is written."""

from __future__ import annotations

import pytest
from editor_client import PIPELINE, Editor
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException
from runink.dsl.formatting import formatted

pytestmark = pytest.mark.anyio


async def test_a_pipeline_in_order_has_nothing_wrong(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    assert await shared.told(uri) == []


async def test_mistakes_come_and_go_while_one_types(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE.replace("@step", "@stp", 1))
    (found,) = [one for one in await shared.told(uri) if one.code == "D010"]
    assert shared.within(uri, found.range) == "@stp"
    assert "did you mean @step?" in found.message
    shared.change(uri, PIPELINE)
    assert await shared.told(uri) == []


async def test_mistakes_of_contracts_and_steps_are_found_too(shared: Editor) -> None:
    uri = shared.open(
        "features/flights.dsl", PIPELINE.replace("flights.py:Flight", "flights.py:Fligth")
    )
    (found,) = await shared.told(uri)
    assert (found.code, shared.within(uri, found.range)) == (
        "D040",
        '"contracts/flights.py:Fligth"',
    )
    assert "did you mean Flight?" in found.message


async def test_a_contract_that_was_mended_is_read_anew(editor: Editor) -> None:
    editor.write_project()
    broken = editor.write("contracts/flights.py", "1 / 0\n")
    uri = editor.open("features/flights.dsl", PIPELINE)
    assert {one.code for one in await editor.told(uri)} >= {"D040"}
    editor.write_project()
    editor.client.text_document_did_save(
        lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(uri))
    )
    assert await editor.told(uri, lambda last: not last.diagnostics) == []
    assert broken.exists()


SCHEMA = '{"type": "object", "properties": {"carrier": {"type": "string"}, "dep_delay": {"type": "integer"}}}'
ODCS = """\
apiVersion: v3.1.0
kind: DataContract
id: flights
version: 1.0.0
status: active
schema:
- name: Flight
  properties:
  - {name: carrier, logicalType: string}
  - {name: dep_delay, logicalType: integer}
"""


@pytest.mark.parametrize(
    ("file", "text"), [("contracts/f.schema.json", SCHEMA), ("contracts/f.odcs.yaml", ODCS)]
)
async def test_a_contract_that_is_a_document_is_read_and_read_anew_when_it_changes(
    editor: Editor, file: str, text: str
) -> None:
    editor.write_project()
    editor.write(file, text)
    uri = editor.open("features/flights.dsl", PIPELINE.replace("contracts/flights.py:Flight", file))
    assert await editor.told(uri) == []
    editor.write(file, text.replace("integer", "intger"))
    editor.client.text_document_did_save(
        lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(uri))
    )
    await editor.told(uri, lambda last: "D040" in {one.code for one in last.diagnostics})


async def test_a_step_file_that_is_no_python_is_told_where_it_is_broken(editor: Editor) -> None:
    editor.write_project()
    editor.write("steps/broken.py", "def x(:\n")
    uri = editor.open("features/flights.dsl", PIPELINE.replace('"clean"', '"cleen"'))
    assert "D050" in {one.code for one in await editor.told(uri)}
    other = editor.uri("steps/broken.py")
    (there,) = await editor.told(other, lambda last: bool(last.diagnostics))
    assert (there.code, there.range.start.line) == ("D053", 0)
    editor.write("steps/broken.py", "")
    editor.change(uri, PIPELINE)
    assert await editor.told(uri) == []
    assert await editor.told(other, lambda last: not last.diagnostics) == []


async def test_columns_are_utf_16(shared: Editor) -> None:
    text = PIPELINE.replace(
        '@module(layer="bronze")', '@module(layer="bronze", owner="🐎🐎é") @modul()'
    )
    uri = shared.open("features/flights.dsl", text)
    (found,) = await shared.told(uri)
    assert shared.within(uri, found.range) == "@modul"
    hover = await shared.client.text_document_hover_async(
        lsp.HoverParams(**shared.at(uri, "🐎🐎é") if False else shared.at(uri, 'é") @mo|dul'))
    )
    assert hover is None
    hover = await shared.client.text_document_hover_async(
        lsp.HoverParams(**shared.at(uri, '  @mod|ule(layer="bronze"'))
    )
    assert hover is not None
    assert hover.range is not None
    assert shared.within(uri, hover.range) == "@module"


async def test_annotations_are_offered_where_they_may_stand(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE + "    @so\n")
    assert "@source" in await shared.completed(uri, "    @so|\n")
    uri = shared.open("features/new.dsl", "@\n")
    offered = await shared.completed(uri, "@|\n")
    assert "@herd" in offered
    assert "@step" not in offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ('@source("csv://x.csv", |)', ["as=", "nulls=", "delimiter="]),
        ('@sink("parquet://x", mode=|)', ["overwrite", "append", "error"]),
        ('@sink("parquet://x" with "|")', ["role=viewer", "role=steward"]),
        ('@step("|")', ["clean"]),
        ("@step(|)", ['"clean"', "sql=", "run="]),
        ('@contract("|")', ["contracts/flights.py:Flight"]),
        ('@contract("contracts/flights.py:Flight", on=|)', ["planes"]),
        ('@step("clean", from=[|)', ["planes", "cleaned"]),
        (
            '@sink("parquet://x", when "dep_delay > 1 && |")',
            ["dep_delay", "carrier", "startsWith", "has"],
        ),
        ('@golden("golden/x.csv", key=["|"])', ["dep_delay", "carrier"]),
        (
            '@assert("|")',
            ["records", "rejected_ratio", "null_ratio", "freshness", "freshness(field)"],
        ),
        ("@requires(memory=5|)", ["5Mi", "5Gi"]),
        ("@requires(cpu=|)", ["1", "250m"]),
        ("@requires(network=|)", ["egress", "none"]),
        ('@sink("parquet://out/${|")', ["day"]),
        ('@source("|")', ["parquet://out/bronze/flights.parquet", "csv://"]),
        ('@source("csv://data/|")', ["csv://data/planes.csv", "csv://data/airlines.csv"]),
        ("Sc|", ["Scenario:", "Scenario Outline:"]),
        ("Gi|", ["Given"]),
    ],
)
async def test_what_may_stand_at_the_cursor_is_offered(
    shared: Editor, line: str, offered: list[str]
) -> None:
    text = PIPELINE.replace("    Given the", f"    {line.replace('|', '')}\n    Given the")
    uri = shared.open("features/flights.dsl", text)
    await shared.told(uri)
    found = await shared.completed(uri, f"    {line}\n    Given the")
    assert set(offered) <= set(found), found


async def test_what_is_chosen_replaces_what_was_begun(shared: Editor) -> None:
    text = PIPELINE.replace('"clean"', '"cl"')
    uri = shared.open("features/flights.dsl", text)
    found = await shared.client.text_document_completion_async(
        lsp.CompletionParams(**shared.at(uri, '@step("c|l"'))
    )
    assert isinstance(found, lsp.CompletionList)
    (item,) = [one for one in found.items if one.label == "clean"]
    assert isinstance(item.text_edit, lsp.TextEdit)
    assert shared.within(uri, item.text_edit.range) == "cl"
    assert item.text_edit.new_text == "clean"


@pytest.mark.parametrize(
    ("around", "told"),
    [
        ("@con|tract(", "**@contract**"),
        ("when| ", "only rows for which the condition is true"),
        ('contracts/fli|ghts.py:Flight")', "| dep_delay | int | ≥ -120"),
        ('@step("cl|ean"', "Take away what is broken."),
        ('@step("cl|ean"', "def clean(flights, planes)"),
        ("dep_de|lay > 15", "late when more than 0"),
        ("rejected_r|atio", "by records"),
        ("${da|y}", '@param("day"'),
        ('"parquet://out/bronze/fli|ghts.parquet", from', "read by *By airline*"),
    ],
)
async def test_what_is_under_the_mouse_is_told(shared: Editor, around: str, told: str) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    await shared.told(uri)
    hover = await shared.client.text_document_hover_async(lsp.HoverParams(**shared.at(uri, around)))
    assert hover is not None
    assert isinstance(hover.contents, lsp.MarkupContent)
    assert told in hover.contents.value


async def test_freshness_says_which_field_of_the_contract_it_goes_by(shared: Editor) -> None:
    text = PIPELINE.replace("rejected_ratio <= 0.03", "freshness < duration('36h')")
    uri = shared.open("features/flights.dsl", text)
    await shared.told(uri)
    place = shared.at(uri, "fresh|ness <")
    hover = await shared.client.text_document_hover_async(lsp.HoverParams(**place))
    assert hover is not None
    assert isinstance(hover.contents, lsp.MarkupContent)
    assert "Flight: by `planned`" in hover.contents.value


@pytest.mark.parametrize(
    ("around", "file", "line"),
    [
        ('@step("cl|ean"', "steps/flights.py", 7),
        ("flights.py:Fl|ight", "contracts/flights.py", 8),
        ("dep_de|lay > 15", "contracts/flights.py", 12),
        ("flights-${d|ay}", "features/flights.dsl", 2),
        ('@source("parquet://out/bro|nze', "features/flights.dsl", 11),
        ("csv://data/pla|nes.csv", "data/planes.csv", 1),
        ('@herd("ana|lytics")', "herds/analytics.toml", 1),
    ],
)
async def test_a_name_leads_to_what_it_names(
    shared: Editor, around: str, file: str, line: int
) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    await shared.told(uri)
    found = await shared.client.text_document_definition_async(
        lsp.DefinitionParams(**shared.at(uri, around))
    )
    assert isinstance(found, list)
    (place,) = found
    assert isinstance(place, lsp.Location)
    assert (place.uri, place.range.start.line + 1) == (shared.uri(file), line)


async def test_a_stream_is_renamed_with_all_that_name_it(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    where = shared.at(uri, "as=airli|nes")
    found = await shared.client.text_document_references_async(
        lsp.ReferenceParams(**where, context=lsp.ReferenceContext(include_declaration=True))
    )
    assert found is not None
    assert len(found) == 3
    edit = await shared.client.text_document_rename_async(
        lsp.RenameParams(**where, new_name="carriers")
    )
    assert edit is not None
    assert edit.changes is not None
    assert [shared.within(uri, one.range) for one in edit.changes[uri]] == ["airlines"] * 3
    assert {one.new_text for one in edit.changes[uri]} == {"carriers"}


@pytest.mark.parametrize(
    ("around", "new", "told"),
    [
        ("as=pla|nes", "craft", "planes is an argument of step clean (steps/flights.py:7)"),
        ("as=airli|nes", "input", "has a meaning of its own"),
        ("as=airli|nes", "two words", "is no name"),
        ("Scena|rio: By", "x", "only names of streams and parameters"),
    ],
)
async def test_a_rename_that_would_break_something_is_refused(
    shared: Editor, around: str, new: str, told: str
) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    with pytest.raises(JsonRpcException) as caught:
        await shared.client.text_document_rename_async(
            lsp.RenameParams(**shared.at(uri, around), new_name=new)
        )
    assert told in str(caught.value)


async def test_the_outline_has_scenarios_and_what_is_in_them(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    found = await shared.client.text_document_document_symbol_async(
        lsp.DocumentSymbolParams(lsp.TextDocumentIdentifier(uri))
    )
    assert found is not None
    (feature,) = found
    assert isinstance(feature, lsp.DocumentSymbol)
    assert feature.name == "On time"
    assert feature.children is not None
    names = [one.name for one in feature.children]
    assert names == ["day", "Take in what was flown", "By airline"]
    inner = feature.children[1].children
    assert inner is not None
    assert [one.detail for one in inner] == [
        "@source",
        "@source",
        "@contract",
        "@step",
        "@sink",
        "@deadletter",
    ]


def changed(text: str, edits: list[lsp.TextEdit]) -> str:
    """Do an editor's edits, the last first."""
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda one: one.range.start, reverse=True):
        start, end = edit.range.start, edit.range.end
        head = lines[start.line].encode("utf-16-le")[: start.character * 2].decode("utf-16-le")
        tail = lines[end.line].encode("utf-16-le")[end.character * 2 :].decode("utf-16-le")
        lines[start.line : end.line + 1] = (head + edit.new_text + tail).split("\n")
    return "\n".join(lines)


async def actions(shared: Editor, uri: str, around: str, *only: str) -> dict[str, str]:
    """Return what is offered at a place, and the page behind it."""
    place = shared.place(uri, around)
    found = await shared.client.text_document_code_action_async(
        lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(uri),
            lsp.Range(place, place),
            lsp.CodeActionContext([], only=list(only) or None),
        )
    )
    made = {}
    for one in found or []:
        assert isinstance(one, lsp.CodeAction)
        assert one.edit is not None
        assert one.edit.changes is not None
        made[one.title] = changed(shared.text(uri), list(one.edit.changes[uri]))
    return made


@pytest.mark.parametrize(
    ("wrong", "around", "title"),
    [
        ('@stp("clean"', "@st|p(", "Change to @step"),
        ('@step("cleen"', '"cl|een"', "Change to clean"),
    ],
)
async def test_what_was_meant_is_offered_in_place_of_what_is_wrong(
    shared: Editor, wrong: str, around: str, title: str
) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE.replace('@step("clean"', wrong))
    await shared.told(uri)
    found = await actions(shared, uri, around)
    assert found[title] == PIPELINE


async def test_what_lint_finds_is_told_and_mended(shared: Editor) -> None:
    text = PIPELINE.replace("as=airlines)", 'as=airlines, delimiter=",")').replace(
        '"csv://data/airlines', '"csv:./data/airlines'
    )
    uri = shared.open("features/flights.dsl", "# 🐎\n" + text)
    told = {one.code: one.severity for one in await shared.told(uri)}
    assert told["L013"] is told["L006"] is lsp.DiagnosticSeverity.Information
    hover = await shared.client.text_document_hover_async(
        lsp.HoverParams(**shared.at(uri, "deli|miter"))
    )
    assert hover is not None
    assert isinstance(hover.contents, lsp.MarkupContent)
    assert "the one character between values" in hover.contents.value
    assert "**L013** It can be left away" in hover.contents.value
    found = await actions(shared, uri, "deli|miter")
    assert found["L013: take it away"] == shared.text(uri).replace(', delimiter=","', "")
    whole = await actions(shared, uri, "|Feature", "source.fixAll")
    assert list(whole) == ["Mend all that lint can mend"]
    assert '@source("csv://data/airlines.csv", as=airlines)' in next(iter(whole.values()))


async def test_a_page_is_formatted_and_one_that_cannot_be_read_is_left(shared: Editor) -> None:
    ugly = PIPELINE.replace("    @step(", "  @step( ").replace("\n\n", "\n\n\n")
    uri = shared.open("features/flights.dsl", ugly)
    params = lsp.DocumentFormattingParams(
        lsp.TextDocumentIdentifier(uri), lsp.FormattingOptions(2, insert_spaces=True)
    )
    edits = await shared.client.text_document_formatting_async(params)
    assert edits
    assert changed(ugly, list(edits)) == formatted(PIPELINE, "x.dsl")
    shared.change(uri, formatted(PIPELINE, "x.dsl"))
    assert not await shared.client.text_document_formatting_async(params)
    shared.change(uri, "@source(")
    assert not await shared.client.text_document_formatting_async(params)


async def test_all_places_of_a_name_are_lit(shared: Editor) -> None:
    uri = shared.open("features/flights.dsl", PIPELINE)
    found = await shared.client.text_document_document_highlight_async(
        lsp.DocumentHighlightParams(**shared.at(uri, "flights-${d|ay}"))
    )
    assert found is not None
    assert [shared.within(uri, one.range) for one in found] == ["day", "day"]
