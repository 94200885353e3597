"""Archives of bundles: how a project's code comes in from outside, as a tar file, compressed by gzip or not.

An archive is read by hand, and by nothing that follows what it says: no member is made anywhere, all of them become values.  What is taken:

    a member                              is
    a file                                taken, with whether its owner may execute it
    a folder                              passed over: files make theirs
    a long name (pax `path`, GNU `L`)     taken for the member behind it
    pax headers of other words            passed over
    links, devices, pipes, sparse files   refused, and with them the archive
    anything unknown                      refused

A path is of UTF-8, is relative to the project's root, and has no part that is empty, `.` or `..`; a leading `./` is left away.  No path comes twice, and none lies beneath a file.

All is bounded before it is done: bytes when they are inflated, members, names and files while they are counted.  So what it costs to refuse an archive is what it costs to take the largest one.
"""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from runink.bundles import BYTES_MAX, FILES_MAX, Bundle, BundleFile, hash_of
from runink.errors import Invalid

REFUSED: Final = "bundle_refused"
TOO_LARGE: Final = "bundle_too_large"
ARCHIVE_BYTES_MAX: Final = 16 << 20  # as it comes: code compresses to a fifth
PART_BYTES: Final = (
    512 << 10
)  # of an archive at once: half of what a value of the Barn, and a frame of the wire, may have
PATH_BYTES_MAX: Final = 1024  # a quarter of what Linux takes: a node's own folders stand before it
NAME_BYTES_MAX: Final = 255  # of one part of a path, as file systems have it
DEPTH_MAX: Final = 32  # folders within each other: more are no project's
MEMBERS_MAX: Final = 3 * FILES_MAX  # with folders, and the headers that carry long names
HEADER_BYTES_MAX: Final = 64 << 10  # of a pax header or a long name
BLOCK: Final = 512
# Each member has a header, and its last block is filled up.
TAR_BYTES_MAX: Final = BYTES_MAX + 2 * MEMBERS_MAX * BLOCK

_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
_USTAR: Final = b"ustar\0"
_FILES: Final = frozenset({b"0", b"\0", b"7"})
_FOLDER: Final = b"5"
_PAX: Final = b"x"
_PAX_FOR_ALL: Final = b"g"
_LONG_NAME: Final = b"L"
_KINDS: Final = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"K": "a link with a long name",
    b"S": "a sparse file",
}
# What would change how a member is read.
_MEANT: Final = ("path", "size", "GNU.sparse", "linkpath", "hdrcharset")


class _Member(NamedTuple):
    kind: bytes
    path: str
    is_executable: bool
    content: memoryview


def archived(bundle: Bundle) -> bytes:
    """Return a bundle as an archive: the same bytes each time."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in bundle.files:
            info = tarfile.TarInfo(file.path)
            info.size = len(file.content)
            info.mode = 0o755 if file.is_executable else 0o644
            tar.addfile(info, io.BytesIO(file.content))
    engine = zlib.compressobj(wbits=_GZIP_WINDOW)
    return engine.compress(written.getvalue()) + engine.flush()


def examined(archive: bytes) -> Bundle:
    """Return the bundle that an archive holds. Raises Invalid (`bundle_refused`, `bundle_too_large`); nothing is made anywhere."""
    tar = _inflated(archive) if archive.startswith(_GZIP) else archive
    found: dict[str, BundleFile] = {}
    size_bytes = 0
    for member in _members(memoryview(tar)):
        if member.kind == _FOLDER:
            continue
        path = _checked(member.path)
        size_bytes += len(member.content)
        if len(found) == FILES_MAX or size_bytes > BYTES_MAX:
            raise _too_large(f"it holds over {FILES_MAX:,} files or {BYTES_MAX >> 20} MiB")
        if path in found:
            raise _refused(f"{path!r} is in it twice")
        found[path] = BundleFile(path, bytes(member.content), is_executable=member.is_executable)
    if not found:
        raise _refused("there is no file in it")
    _check_no_file_is_a_folder(found)
    files = tuple(found[path] for path in sorted(found))
    return Bundle(hash_of(files), files)


def _inflated(archive: bytes) -> bytes:
    engine = zlib.decompressobj(_GZIP_WINDOW)
    try:
        tar = engine.decompress(archive, TAR_BYTES_MAX)
        if engine.unconsumed_tail:
            raise _too_large(f"it is more than {TAR_BYTES_MAX >> 20} MiB when it is unpacked")
    except zlib.error as error:
        raise _refused(f"it is no gzip file: {error}") from error
    if not engine.eof:
        raise _refused("it ends too early")
    if engine.unused_data:
        raise _refused("something stands behind its end")
    return tar


def _members(tar: memoryview) -> Iterator[_Member]:
    """Yield files and folders, each under its whole name."""
    at, count, name = 0, 0, ""
    while at + BLOCK <= len(tar):  # ends: each turn goes on by a block at least
        header = bytes(tar[at : at + BLOCK])
        at += BLOCK
        if not any(header):
            if any(tar[at:].tobytes().rstrip(b"\0")):
                raise _refused("something stands behind its end")
            return
        count += 1
        if count > MEMBERS_MAX:
            raise _too_large(f"it has over {MEMBERS_MAX:,} members")
        _check_sum(header)
        kind, size = header[156:157], _number(header[124:136])
        content = tar[at : at + size]
        if len(content) < size:
            raise _refused("it ends too early")
        at += -(-size // BLOCK) * BLOCK
        if kind in {_PAX, _PAX_FOR_ALL, _LONG_NAME}:
            name = _name_told(kind, content) or name
            continue
        if kind not in _FILES and kind != _FOLDER:
            what = _KINDS.get(kind, "a member of a kind that is not known")
            raise _refused(f"{name or _name_in(header)!r} is {what}")
        is_executable = bool(_number(header[100:108]) & 0o100)
        yield _Member(kind, name or _name_in(header), is_executable, content)
        name = ""
    raise _refused("it is no tar file, or ends too early")


def _check_sum(header: bytes) -> None:
    """Raise Invalid unless the header's own sum is right: what follows a wrong one is anything."""
    if sum(header) - sum(header[148:156]) + 8 * ord(" ") != _number(header[148:156]):
        raise _refused("it is no tar file, or is damaged")


def _number(field: bytes) -> int:
    """Return an octal number. Larger ones than that has room for are written otherwise, and too large here."""
    text = field.strip(b" \0")
    if not text:
        return 0
    if not all(ord("0") <= one <= ord("7") for one in text):
        raise _refused("a number in it is none")
    return int(text, 8)


def _name_in(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[257:263] == _USTAR:
        prefix = header[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return _text(name)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise _refused(f"the name {raw[:PATH_BYTES_MAX]!r} is no UTF-8") from error


def _name_told(kind: bytes, content: memoryview) -> str:
    """Return the name that a header has for the member behind it, or nothing."""
    if len(content) > HEADER_BYTES_MAX:
        raise _too_large("a name in it is too long")
    raw = content.tobytes()
    if kind == _LONG_NAME:
        return _text(raw.removesuffix(b"\0"))
    words = dict(_pax_words(raw))
    path = words.pop("path", b"") if kind == _PAX else b""
    for word in words:
        if word.startswith(_MEANT):
            raise _refused(f"its header says {word!r}, which is not taken here")
    return _text(path)


def _pax_words(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the words of a pax header: each is `LENGTH KEY=VALUE` and a line end, the length of all of it."""
    while raw:  # ends: each turn takes a length of at least one away
        length_text, _, _ = raw[:8].partition(b" ")
        length = int(length_text) if length_text.isdigit() else 0
        record, raw = raw[:length], raw[length:]
        key, equals, value = record[len(length_text) + 1 :].partition(b"=")
        if len(record) < length or not equals or not value.endswith(b"\n"):
            raise _refused("a header in it cannot be read")
        yield _text(key), value[:-1]


def _checked(path: str) -> str:
    """Return a path as the bundle has it. Raises Invalid where it might lead elsewhere, or cannot be a file's."""
    plain = path
    while plain.startswith("./"):
        plain = plain[2:]
    parts = plain.split("/")
    if plain.startswith("/") or ".." in parts:
        raise _refused(f"{path!r} leads out of it")
    if not {"", "."}.isdisjoint(parts):
        raise _refused(f"{path!r} is no plain path")
    if any(ord(one) < ord(" ") or ord(one) == 0x7F for one in plain):
        raise _refused(f"{path!r} has a character that no name has")
    if len(plain.encode()) > PATH_BYTES_MAX or len(parts) > DEPTH_MAX:
        raise _refused(f"{path[:NAME_BYTES_MAX]!r} is too long")
    if any(len(part.encode()) > NAME_BYTES_MAX for part in parts):
        raise _refused(f"a name in {path[:NAME_BYTES_MAX]!r} is too long")
    return plain


def _check_no_file_is_a_folder(found: dict[str, BundleFile]) -> None:
    for path in found:
        folder, slash, _ = path.rpartition("/")
        while slash:
            if folder in found:
                raise _refused(f"{folder!r} is a file in it, and a folder")
            folder, slash, _ = folder.rpartition("/")


def _refused(why: str) -> Invalid:
    return Invalid(
        f"the archive is not taken: {why}",
        code=REFUSED,
        hint="pack the project's own files, as in: tar -czf bundle.tar.gz --dereference *",
    )


def _too_large(why: str) -> Invalid:
    return Invalid(
        f"the archive is not taken: {why}",
        code=TOO_LARGE,
        hint="keep data, libraries and built programs elsewhere: libraries in requirements.lock, programs on the machines",
    )
