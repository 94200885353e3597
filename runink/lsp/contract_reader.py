"""A process that imports contracts for the language server: they are users' code, which may print, hang or end the process it runs in.

    python -m runink.lsp.contract_reader ROOT < ["contracts/x.py:X", …]  > [{"reference": …, "spec" or "error": …}, …]

It answers everything that it is asked and ends. Who starts it waits with a limit, and kills it behind that.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from runink.contracts.fields import ContractSpec
from runink.errors import RuninkError, WireError, from_wire, to_wire


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of one reference: the contract, or why there is none."""

    reference: str
    spec: ContractSpec | None = None
    error: WireError | None = None

    def raised(self) -> ContractSpec:
        """Return the contract. Raises what reading it raised."""
        if self.spec is not None:
            return self.spec
        assert self.error is not None, "an answer is one or the other"
        raise from_wire(self.error)


def read(root: Path, references: list[str]) -> list[Answer]:
    """Import the contracts, in this process."""
    from runink.contracts.loading import load_contract  # noqa: PLC0415 - the server imports this module for its types

    answers = []
    for reference in references:
        try:
            answers.append(Answer(reference, load_contract(root, reference)))
        except RuninkError as error:
            answers.append(Answer(reference, error=to_wire(error)))
    return answers


def main() -> None:
    # The answer's way out is put aside: whatever a contract prints, below Python as well, is a complaint.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    references = msgspec.json.decode(sys.stdin.buffer.read(), type=list[str])
    with answers:
        answers.write(msgspec.json.encode(read(Path(sys.argv[1]), references)))


if __name__ == "__main__":
    main()
