"""A contract from the text of a document: ODCS in YAML, or JSON Schema, as the file's name says."""

from __future__ import annotations

from runink.contracts.documents import Read, rules_of
from runink.contracts.references import is_json_schema


def read_document(text: str, *, file: str, name: str = "") -> Read:
    """Return the contract `name` of a document; the only one without a name. Raises Invalid with all findings, NotFound without such a contract."""
    if is_json_schema(file):
        from runink.contracts.json_schema_reading import read_schema  # noqa: PLC0415 - one of two forms
        from runink.contracts.json_text import read_json  # noqa: PLC0415 - as above

        return read_schema(read_json(text, file=file), name, rules_of)
    from runink.contracts.odcs_text import read_odcs  # noqa: PLC0415 - as above, and YAML

    return read_odcs(text, file=file, name=name)


def document_names(text: str, *, file: str) -> tuple[str, ...]:
    """Return the names of a document's contracts. Raises Invalid if the text is not of its form."""
    if is_json_schema(file):
        from runink.contracts.json_schema_reading import schema_names  # noqa: PLC0415 - one of two forms
        from runink.contracts.json_text import read_json  # noqa: PLC0415 - as above

        return schema_names(read_json(text, file=file).value, file=file)
    from runink.contracts.odcs_text import odcs_names  # noqa: PLC0415 - as above, and YAML

    return odcs_names(text, file=file)
