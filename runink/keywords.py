"""The words that lines of a pipeline file begin with: for its parser, and for all that colours and completes it."""

from __future__ import annotations

from typing import Final

HEADERS: Final = (
    "Feature",
    "Background",
    "Rule",
    "Scenario Outline",
    "Scenario Template",
    "Scenarios",
    "Scenario",
    "Examples",
    "Example",
)
BLOCKS: Final = (
    "Metadata",
    "Assertions",
    "GoldenTest",
    "Notifications",
    "Properties",
    "properties",
    "Then",
)
STEPS: Final = ("Given", "When", "Then", "And", "But", "Do")
