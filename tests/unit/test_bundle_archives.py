"""Archives of bundles: what is taken, and what would lead elsewhere, stand for something else, or become too much."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib

import pytest
from runink.bundle_archives import (
    BLOCK,
    DEPTH_MAX,
    MEMBERS_MAX,
    NAME_BYTES_MAX,
    TAR_BYTES_MAX,
    archived,
    examined,
)
from runink.bundles import FILES_MAX, Bundle, BundleFile, hash_of, pack
from runink.errors import Invalid


def tar(*members: tarfile.TarInfo | tuple[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return a tar file of these members, or of files with this content."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=form) as made:
        for one in members:
            if isinstance(one, tarfile.TarInfo):
                made.addfile(one, io.BytesIO(b"\0" * one.size))
            else:
                info = tarfile.TarInfo(one[0])
                info.size = len(one[1])
                made.addfile(info, io.BytesIO(one[1]))
    return written.getvalue()


def refusal(archive: bytes) -> Invalid:
    with pytest.raises(Invalid) as refused:
        examined(archive)
    assert refused.value.hint
    return refused.value


def test_a_bundle_comes_through_an_archive_as_it_was(tmp_path):
    (tmp_path / "steps").mkdir()
    (tmp_path / "steps" / "clean.py").write_text("x = 1\n")
    (tmp_path / "daily.dsl").write_text("Feature: daily\n")
    (tmp_path / "go.sh").write_text("true\n")
    (tmp_path / "go.sh").chmod(0o755)
    bundle = pack(tmp_path)
    assert examined(archived(bundle)) == bundle
    assert archived(bundle) == archived(bundle)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_all_common_forms_of_tar_are_read_with_long_names(form):
    long = "/".join(["folder" * 8] * 4) + "/" + "n" * 40 + ".py"
    made = examined(tar(("a.py", b"1"), (long, b"2" * 513), form=form))
    assert [one.path for one in made.files] == ["a.py", long]
    assert made.files[1].content == b"2" * 513
    assert made == examined(gzip.compress(tar(("a.py", b"1"), (long, b"2" * 513), form=form)))


def test_folders_and_a_leading_point_are_passed_over():
    folder = tarfile.TarInfo("./steps")
    folder.type = tarfile.DIRTYPE
    made = examined(tar(folder, ("./steps/a.py", b"1")))
    assert [one.path for one in made.files] == ["steps/a.py"]


@pytest.mark.parametrize(
    "path",
    [
        "../a.py",
        "steps/../../a.py",
        "steps/..",
        "/etc/passwd",
        "//etc/passwd",
        "./../a.py",
        ".//etc/passwd",
        "steps//a.py",
        "steps/./a.py",
        "steps/a\n.py",
        "steps/\x7f",
        ".",
        "n" * (NAME_BYTES_MAX + 1),
        "/".join("d" * (DEPTH_MAX + 1)),
        "/".join(["d" * 200] * 6),
    ],
)
def test_a_path_that_leads_out_or_is_no_files_is_refused(path):
    assert refusal(tar((path, b"1"))).code == "bundle_refused"


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"S", b"Z", b"V"],
)  # fmt: skip
def test_what_is_no_file_and_no_folder_is_refused(kind):
    info = tarfile.TarInfo("steps/a.py")
    info.type = kind
    info.linkname = "/etc/passwd"
    assert refusal(tar(("b.py", b"1"), info)).code == "bundle_refused"


def test_a_name_with_nul_is_refused():
    info = tarfile.TarInfo("a.py")
    info.pax_headers = {"path": "steps/a\0.py"}
    assert refusal(tar(info)).code == "bundle_refused"


@pytest.mark.parametrize(
    "word", ["size", "linkpath", "GNU.sparse.major", "GNU.sparse.name", "hdrcharset"]
)
def test_a_header_that_has_a_member_mean_something_else_is_refused(word):
    info = tarfile.TarInfo("a.py")
    info.pax_headers = {word: "1"}
    assert refusal(tar(info)).code == "bundle_refused"


def test_a_name_for_all_members_is_refused():
    written = io.BytesIO()
    words = {"path": "../a.py"}
    with tarfile.open(fileobj=written, mode="w", pax_headers=words) as made:
        made.addfile(tarfile.TarInfo("a.py"))
    assert refusal(written.getvalue()).code == "bundle_refused"


def test_a_path_that_is_there_twice_or_is_a_file_and_a_folder_is_refused():
    assert "twice" in refusal(tar(("a.py", b"1"), ("./a.py", b"2"))).text
    assert "folder" in refusal(tar(("a", b"1"), ("a/b/c.py", b"2"))).text


def test_an_empty_one_is_refused():
    assert refusal(tar()).code == "bundle_refused"
    assert refusal(b"").code == "bundle_refused"


def test_one_that_is_cut_anywhere_or_goes_on_behind_its_end_is_refused():
    whole = tar(("a.py", b"1" * 700))
    for end in range(0, 3 * BLOCK, 97):
        refusal(whole[:end])
    refusal(whole + b"more")
    packed = gzip.compress(whole)
    refusal(packed[:-9])
    refusal(packed + b"more")
    refusal(packed + packed)


def test_what_is_no_archive_is_refused():
    for text in (b"PK\x03\x04" + b"\0" * 600, b"\x1f\x8b", b"x" * 2048, gzip.compress(b"x" * 2048)):
        assert refusal(text).code == "bundle_refused"


def test_a_bomb_is_refused_before_it_has_gone_off():
    engine = zlib.compressobj(9, wbits=31)
    piece = engine.compress(b"\0" * (1 << 20))
    bomb = piece + b"".join(engine.compress(b"\0" * (1 << 20)) for _ in range(1023))
    bomb += engine.flush()  # a gibibyte, in a mebibyte
    assert len(bomb) < 2 << 20
    assert refusal(bomb).code == "bundle_too_large"
    assert TAR_BYTES_MAX < 128 << 20


def test_a_size_that_is_not_there_is_refused():
    info = tarfile.TarInfo("a.py")
    info.size = 8 << 30
    assert refusal(info.tobuf(tarfile.GNU_FORMAT)).code == "bundle_refused"
    info.size = (8 << 30) - 1
    assert refusal(info.tobuf(tarfile.GNU_FORMAT)).code == "bundle_refused"


def test_too_many_files_or_members_are_refused():
    one = tarfile.TarInfo("x").tobuf(tarfile.USTAR_FORMAT)
    files = b"".join(
        tarfile.TarInfo(f"f{number}").tobuf(tarfile.USTAR_FORMAT) for number in range(FILES_MAX + 1)
    )
    assert refusal(files + bytes(1024)).code == "bundle_too_large"
    folder = tarfile.TarInfo("d")
    folder.type = tarfile.DIRTYPE
    header = folder.tobuf(tarfile.USTAR_FORMAT)
    assert refusal(header * (MEMBERS_MAX + 1) + one).code == "bundle_too_large"


def test_who_may_execute_a_file_is_kept_and_no_other_right_is():
    info = tarfile.TarInfo("go.sh")
    info.mode = 0o4755
    made = examined(tar(info, ("a.py", b"")))
    assert [one.is_executable for one in made.files] == [False, True]
    files = (BundleFile("a.py", b"", is_executable=False), BundleFile("go.sh", b"", is_executable=True))  # fmt: skip
    assert made == Bundle(hash_of(files), files)
