"""A compiled pipeline as an SVG picture: a box a node, a frame a scenario, a colour a process.

Nothing is needed to look at it but a browser: no script, no font of its own, no reference to anything outside.  Texts are cut to their boxes, and
their whole stands in a title that the pointer shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from runink.checkpoints import is_checkpoint
from runink.dag import MAIN, REJECTED, Check, Dag, Node, Scenario, Sink, Source, Step
from runink.dsl.layered import Layout, layered
from runink.dsl.pictures import caption, slice_caption, stages

BOX_WIDTH: Final = 200
BOX_HEIGHT: Final = 44
GAP: Final = 70  # between columns: room for lines to bend, and for a role's name
ROW: Final = 62
BEND_ROW: Final = 22
MARGIN: Final = 24
HEAD: Final = 34  # a frame's title
CHARACTERS_MAX: Final = 30  # of 12 px in a box
ROLE_CHARACTERS_MAX: Final = 11  # of 10 px between two columns
TITLE_PIXELS: Final = 8  # of a character of a heading, widely
# Light fills that dark text can be read on, apart also for those who see few colours (after Okabe and Ito).
_FILLS: Final = (
    "#dcecf9",
    "#fdebc8",
    "#d9f2e6",
    "#f9dfe8",
    "#e6e1f5",
    "#f3f0c4",
    "#e0e7e9",
    "#fbdcc9",
)
_INK: Final = "#1b1f24"
_QUIET: Final = "#5a6472"
_TIP: Final = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    f'<path d="M0 0 8 4 0 8z" fill="{_QUIET}"/></marker></defs>'
)
KEPT: Final = "-kept-"  # the way through a checkpoint: no name of a side input looks like it
_DASHES: Final = {REJECTED: ' stroke-dasharray="2 3"', KEPT: ' stroke-dasharray="6 4"'}
_WORDS: Final = {Source: "source", Check: "contract", Step: "step", Sink: "sink"}


@dataclass(frozen=True, slots=True)
class Point:
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Frame:
    """A scenario's place: its boxes' and bends' left upper corners."""

    scenario: Scenario
    top: float
    width: float
    height: float
    corners: dict[str, Point]
    layout: Layout


def as_svg(dag: Dag) -> str:
    """Return the picture, one XML document."""
    frames = list(_frames(dag))
    titles = [dag.title, *(frame.scenario.title for frame in frames)]
    wide = max((len(_printable(one)) for one in titles), default=0) * TITLE_PIXELS
    width = max([frame.width for frame in frames] + [wide]) + 2 * MARGIN
    height = frames[-1].top + frames[-1].height + MARGIN if frames else 2 * MARGIN + HEAD
    fills = {spec.id: _FILLS[at % len(_FILLS)] for at, spec in enumerate(dag.slices)}
    parts = [
        _opening(width, height),
        f"<title>{_text(dag.title)}</title>",
        _TIP,
        f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>',
        f'<text x="{MARGIN}" y="{MARGIN + 12}" font-size="15" font-weight="600" fill="{_INK}">{_text(dag.title)}</text>',
    ]
    for frame in frames:
        parts += _frame(dag, frame, fills, width - 2 * MARGIN)
    parts += _staged(dag, frames)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _opening(width: float, height: float) -> str:
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" '
        'font-family="system-ui, sans-serif" font-size="12">'
    )


def _frames(dag: Dag) -> Iterator[Frame]:
    top: float = MARGIN + HEAD
    for scenario in dag.scenarios:
        nodes = [node.id for node in dag.nodes if node.scenario == scenario.id]
        mine = set(nodes)
        links = [(one.source, one.target) for one in dag.links if one.source in mine]
        links += [one for one in stages(dag) if one[0] in mine and one[1] in mine]
        layout = layered(nodes, links)
        corners: dict[str, Point] = {}
        depth = HEAD
        for at, column in enumerate(layout.columns):
            y = HEAD
            for name in column:
                corners[name] = Point(2 * MARGIN + at * (BOX_WIDTH + GAP), top + y)
                y += ROW if name in mine else BEND_ROW
            depth = max(depth, y)
        width = len(layout.columns) * (BOX_WIDTH + GAP) - GAP + 2 * MARGIN
        yield Frame(scenario, top, width, depth, corners, layout)
        top += depth + MARGIN


def _frame(dag: Dag, frame: Frame, fills: dict[str, str], width: float) -> Iterator[str]:
    yield f'<g class="scenario" id={_attribute(f"scenario {frame.scenario.id}")}>'
    yield (
        f'<rect class="frame" x="{MARGIN}" y="{frame.top:g}" width="{width:g}" height="{frame.height:g}" rx="8" fill="none" stroke="#c3cad3"/>'
    )
    yield (
        f'<text x="{2 * MARGIN}" y="{frame.top + 21:g}" font-weight="600" fill="{_INK}">{_text(frame.scenario.title)}</text>'
    )
    roles: dict[tuple[str, str], list[str]] = {}
    for link in dag.links:
        roles.setdefault((link.source, link.target), []).append(link.role)
    for (source, target), bends in frame.layout.ways.items():
        told = ", ".join(roles.get((source, target), (KEPT,)))
        yield from _way(frame, source, target, bends, "" if told == MAIN else told)
    for node in dag.nodes:
        if node.id in frame.corners:
            yield from _box(dag, node, frame.corners[node.id], fills)
    yield "</g>"


def _box(dag: Dag, node: Node, corner: Point, fills: dict[str, str]) -> Iterator[str]:
    spec = dag.slice_of(node.id)
    told = caption(node)
    what = _WORDS[type(node)]
    if is_checkpoint(node):
        what = "is kept" if isinstance(node, Sink) else "goes on"
    elif isinstance(node, Sink) and node.dead_letter:
        what = "dead letter"
    several = len({one.id for one in dag.slices if one.scenario == node.scenario}) > 1
    below = f"{what} · {spec.id}" if several else what
    radius = 4 if isinstance(node, Step) else 16
    yield f'<g class="node" id={_attribute(node.id)}>'
    yield f"<title>{_text(f'{node.id}: {told}, in {slice_caption(spec)}')}</title>"
    yield (
        f'<rect class="box" x="{corner.x:g}" y="{corner.y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="{radius}" '
        f'fill="{fills[spec.id]}" stroke="{_INK}"/>'
    )
    x = corner.x + BOX_WIDTH / 2
    yield (
        f'<text x="{x:g}" y="{corner.y + 19:g}" text-anchor="middle" fill="{_INK}">{_text(_cut(told))}</text>'
    )
    yield (
        f'<text x="{x:g}" y="{corner.y + 35:g}" text-anchor="middle" font-size="11" fill="{_QUIET}">{_text(_cut(below))}</text>'
    )
    yield "</g>"


def _way(frame: Frame, source: str, target: str, bends: Sequence[str], role: str) -> Iterator[str]:
    """Draw a line from box to box, through its bends."""
    start, end = _right(frame.corners[source]), _left(frame.corners[target])
    path = f"M{start.x:g} {start.y:g}"
    at = start
    for bend in bends:
        corner = frame.corners[bend]
        y = corner.y + BEND_ROW / 2
        path += f" {_curve(at, Point(corner.x, y))} H{corner.x + BOX_WIDTH:g}"
        at = Point(corner.x + BOX_WIDTH, y)
    path += f" {_curve(at, end)}"
    dash = _DASHES.get(role, "")
    yield _line(source, target, path, dash)
    if role and role != KEPT:
        yield (
            f'<text x="{end.x - 10:g}" y="{end.y - 5:g}" text-anchor="end" font-size="10" fill="{_QUIET}">{_text(role[:ROLE_CHARACTERS_MAX])}</text>'
        )


def _staged(dag: Dag, frames: Sequence[Frame]) -> Iterator[str]:
    """Draw what one scenario writes and another reads: below the writer's box, and from above into the reader's."""
    corners = {name: point for frame in frames for name, point in frame.corners.items()}
    for source, target in (way for way in stages(dag) if not is_checkpoint(dag.node(way[0]))):
        start, end = corners[source], corners[target]
        x, y = start.x + BOX_WIDTH / 2, start.y + BOX_HEIGHT
        to = Point(end.x + BOX_WIDTH / 2, end.y)
        if to.y < y:  # the reader stands above its writer
            y, to = start.y, Point(to.x, end.y + BOX_HEIGHT)
        middle = (y + to.y) / 2
        path = f"M{x:g} {y:g} C{x:g} {middle:g} {to.x:g} {middle:g} {to.x:g} {to.y:g}"
        yield _line(source, target, path, ' stroke-dasharray="6 4"')


def _line(source: str, target: str, path: str, dash: str) -> str:
    return (
        f'<path class="link" data-source={_attribute(source)} data-target={_attribute(target)} d="{path}" fill="none" '
        f'stroke="{_QUIET}" stroke-width="1.3" marker-end="url(#tip)"{dash}/>'
    )


def _curve(start: Point, end: Point) -> str:
    middle = (start.x + end.x) / 2
    return f"C{middle:g} {start.y:g} {middle:g} {end.y:g} {end.x:g} {end.y:g}"


def _right(corner: Point) -> Point:
    return Point(corner.x + BOX_WIDTH, corner.y + BOX_HEIGHT / 2)


def _left(corner: Point) -> Point:
    return Point(corner.x, corner.y + BOX_HEIGHT / 2)


def _cut(text: str) -> str:
    """Keep a long text's two ends: a path's last part says most."""
    if len(text) <= CHARACTERS_MAX:
        return text
    behind = CHARACTERS_MAX * 2 // 3
    return f"{text[: CHARACTERS_MAX - behind - 1]}…{text[-behind:]}"


def _printable(text: str) -> str:
    """XML knows no control characters, not even escaped."""
    return "".join(char if char.isprintable() else " " for char in text)


def _text(text: str) -> str:
    return escape(_printable(text))


def _attribute(text: str) -> str:
    return quoteattr(_printable(text))
