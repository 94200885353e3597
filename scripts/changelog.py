"""Make a release's section of CHANGELOG.md from the fragments in changelog.d/, and delete them.

python scripts/changelog.py 0.2.0
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
KINDS = ("added", "changed", "fixed", "removed")
NAME = re.compile(r"[\w-]+\.(?P<kind>added|changed|fixed|removed)\.md")


def fragments(folder: Path) -> dict[str, list[Path]]:
    """Return the fragments of each kind, by name. Raises SystemExit for a file that is none."""
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    for path in sorted(folder.glob("*.md")):
        match = NAME.fullmatch(path.name)
        if match is not None:
            found[match["kind"]].append(path)
        elif path.name != "README.md":
            sys.exit(f"{path}: call it NAME.KIND.md, KIND being {', '.join(KINDS)}")
    return found


def section(version: str, day: str, found: dict[str, list[Path]]) -> str:
    """Return the release's text."""
    parts = [f"## {version} ({day})"]
    for kind, paths in found.items():
        if paths:
            parts.append(f"### {kind.capitalize()}")
            parts += [f"- {' '.join(path.read_text(encoding='utf-8').split())}" for path in paths]
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write the section above the others."""
    if len(sys.argv) != 2 or not re.fullmatch(r"\d+\.\d+\.\d+", sys.argv[1]):
        sys.exit(f"usage: {sys.argv[0]} MAJOR.MINOR.PATCH")
    found = fragments(ROOT / "changelog.d")
    if not any(found.values()):
        sys.exit("there is no fragment in changelog.d/")
    log = ROOT / "CHANGELOG.md"
    head, mark, rest = log.read_text(encoding="utf-8").partition("\n## ")
    new = section(sys.argv[1], f"{datetime.now(UTC):%Y-%m-%d}", found)
    log.write_text(f"{head.rstrip()}\n\n{new}{mark}{rest}", encoding="utf-8")
    for path in (path for paths in found.values() for path in paths):
        path.unlink()


if __name__ == "__main__":
    main()
