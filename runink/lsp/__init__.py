"""What editors ask about pipelines: mistakes while one types, what may stand at the cursor, where a name comes from.

    positions.py    an editor's lines and UTF-16 units, and our characters
    page.py         a text as an editor needs it, also half written: its sections, annotations and names
    cursor.py       what stands at a place, or could be written there
    vocabulary.py   what is said about annotations and their parameters
    python_files.py steps and contracts as they stand in Python files: where, with which words
    project.py      what a page's project offers: steps, contracts, files
    contract_reader.py   a process of its own that imports contracts: they are users' code
    contracts.py    asks that process, and remembers
    analysis.py     all findings about a page
    completion.py hover.py definition.py naming.py symbols.py actions.py    one answer each
    server.py       the pages that an editor has open, and what is wrong with them
    answers.py      the questions of an editor, passed on
    serving.py      the process

All but `contracts.py` and the last three are functions of values, and know nothing of the protocol but its types.
"""
