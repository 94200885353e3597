"""Moved to `runink.jobs`."""

from runink.jobs import (
    ChainJob,
    Done,
    EdgeFacts,
    Failed,
    NodeFacts,
    Port,
    Prepared,
    Progress,
    PublishJob,
    Rejections,
    Report,
    SliceJob,
    Ticket,
)

__all__ = [
    "ChainJob",
    "Done",
    "EdgeFacts",
    "Failed",
    "NodeFacts",
    "Port",
    "Prepared",
    "Progress",
    "PublishJob",
    "Rejections",
    "Report",
    "SliceJob",
    "Ticket",
]
