"""The `.cxr` archive: the same bundle as the folder, and every trick of ZIP refused."""

from __future__ import annotations

import dataclasses
import stat
import subprocess
import sys
import threading
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from cxredge.bundle import open_bundle, verify
from cxredge.bundle.archive import ArchiveStore, write_archive
from cxredge.errors import BundleError, Code
from tests.support import tiny_bundle
from tests.support.tiny_bundle import write_tiny_bundle
from tests.support.wire import Member, Zip


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One bundle as a folder and as an archive."""
    out = tmp_path_factory.mktemp("pair")
    return write_tiny_bundle(out / "tiny"), write_tiny_bundle(out / "tiny.cxr")


def test_archive_is_the_folder(pair: tuple[Path, Path]) -> None:
    folder, archive = pair
    assert verify(folder) == verify(archive)
    with open_bundle(folder) as one, open_bundle(archive) as two:
        assert one.sha256 == two.sha256 and one.facts == two.facts
        for name in one.manifest.files:
            assert one.read(name) == two.read(name)


def test_archive_is_a_zip_file_that_others_read(pair: tuple[Path, Path]) -> None:
    folder, archive = pair
    with zipfile.ZipFile(archive) as file:
        assert file.testzip() is None
        assert {info.compress_type for info in file.infolist()} == {zipfile.ZIP_STORED}
        assert {name: file.read(name) for name in file.namelist()} == {
            path.name: path.read_bytes() for path in folder.iterdir()
        }


def test_archives_of_others_are_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Python's zipfile without compression, with the files' own times and rights."""
    folder, _ = pair
    with zipfile.ZipFile(tmp_path / "by_python.cxr", "w", zipfile.ZIP_STORED) as file:
        for path in folder.iterdir():
            file.write(path, path.name)
    verify(tmp_path / "by_python.cxr")


def test_archive_of_the_zip_program(pair: tuple[Path, Path], tmp_path: Path) -> None:
    import shutil

    program = shutil.which("zip")
    if program is None:
        pytest.skip("no zip program here")
    subprocess.run([program, "-q", "-0", "-r", str(tmp_path / "x.cxr"), "."], cwd=pair[0], check=True)
    verify(tmp_path / "x.cxr")


def test_read_from_several_threads(pair: tuple[Path, Path]) -> None:
    folder, archive = pair
    wanted = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"}
    wrong: list[str] = []
    with open_bundle(archive) as bundle:

        def read() -> None:
            for _ in range(10):
                wrong.extend(name for name, data in wanted.items() if bundle.read(name) != data)

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


A, B = Member(b"a.md", b"first"), Member(b"b.md", b"second one")
change = dataclasses.replace
ATTACKS: dict[str, tuple[Zip, Code]] = {
    "compressed": (
        Zip([change(A, method=8, stored=zlib.compress(b"first")[2:-4]), B]),
        Code.BUNDLE_ARCHIVE,
    ),
    "stored under a method's number": (Zip([change(A, method=99), B]), Code.BUNDLE_ARCHIVE),
    "encrypted": (Zip([change(A, flags=1), B]), Code.BUNDLE_ARCHIVE),
    "strongly encrypted": (Zip([change(A, flags=0x40), B]), Code.BUNDLE_ARCHIVE),
    "sizes told afterwards": (Zip([change(A, flags=8), B]), Code.BUNDLE_ARCHIVE),
    "a name twice": (Zip([A, B, A]), Code.BUNDLE_ARCHIVE),
    "a name twice but for case": (Zip([A, B, change(B, name=b"A.md")]), Code.BUNDLE_ARCHIVE),
    "link": (Zip([change(A, mode=stat.S_IFLNK | 0o777), B]), Code.BUNDLE_PATH),
    "device": (Zip([change(A, mode=stat.S_IFCHR | 0o600), B]), Code.BUNDLE_PATH),
    "folder by its mode": (Zip([change(A, mode=stat.S_IFDIR | 0o755), B]), Code.BUNDLE_PATH),
    "folder by its attribute": (Zip([change(A, attributes=0x10), B]), Code.BUNDLE_PATH),
    "folder by its name": (Zip([A, change(B, name=b"sub/", data=b"")]), Code.BUNDLE_PATH),
    "absolute": (Zip([change(A, name=b"/etc/x.md"), B]), Code.BUNDLE_PATH),
    "parent": (Zip([change(A, name=b"../x.md"), B]), Code.BUNDLE_PATH),
    "parent for Windows": (Zip([change(A, name=b"..\\x.md"), B]), Code.BUNDLE_PATH),
    "drive": (Zip([change(A, name=b"C:x.md"), B]), Code.BUNDLE_PATH),
    "stream": (Zip([change(A, name=b"a.md:x"), B]), Code.BUNDLE_PATH),
    "null in the name": (Zip([change(A, name=b"a.md\0.png"), B]), Code.BUNDLE_PATH),
    "name that is not text": (Zip([change(A, name=b"\xff\xfe", flags=0x800), B]), Code.BUNDLE_PATH),
    "empty name": (Zip([change(A, name=b""), B]), Code.BUNDLE_PATH),
    "letters that look alike": (Zip([change(A, name="\u0430.md".encode(), flags=0x800), B]), Code.BUNDLE_PATH),
    "another name in the member": (Zip([change(A, local_name=b"c.md"), B]), Code.BUNDLE_ARCHIVE),
    "another size in the member": (Zip([change(A, local_size=4), B]), Code.BUNDLE_ARCHIVE),
    "two sizes": (Zip([change(A, stored=b"first and more"), B]), Code.BUNDLE_ARCHIVE),
    "bytes before": (Zip([A, B], prefix=b"#!/bin/sh\n"), Code.BUNDLE_ARCHIVE),
    "bytes between members": (Zip([A, change(B, before=b"hidden")]), Code.BUNDLE_ARCHIVE),
    "bytes before the directory": (Zip([A, B], gap=b"hidden"), Code.BUNDLE_ARCHIVE),
    "bytes after the end": (Zip([A, B], suffix=b"hidden"), Code.BUNDLE_ARCHIVE),
    "comment": (Zip([A, B], comment=b"hidden"), Code.BUNDLE_ARCHIVE),
    "comment that ends like an archive": (Zip([A, B], comment=Zip([A]).to_bytes()), Code.BUNDLE_ARCHIVE),
    "two members in one place": (Zip([A, change(A, name=b"b.md", header_offset=0)]), Code.BUNDLE_ARCHIVE),
    "a member inside another": (
        Zip([change(A, data=Zip([B]).to_bytes()), change(B, header_offset=34)]),
        Code.BUNDLE_ARCHIVE,
    ),
    "member beyond the end": (Zip([A, change(B, header_offset=1 << 30)]), Code.BUNDLE_ARCHIVE),
    "ZIP64": (Zip([change(A, extra=b"\1\0\x08\0" + bytes(8)), B]), Code.BUNDLE_ARCHIVE),
    "unknown extra": (Zip([change(A, extra=b"\x99\x99\2\0hi"), B]), Code.BUNDLE_ARCHIVE),
    "extra that runs out": (Zip([change(A, extra=b"UT\xff\0hi"), B]), Code.BUNDLE_ARCHIVE),
    "too many members": (Zip([Member(b"m%d.md" % i, b"") for i in range(300)]), Code.BUNDLE_ARCHIVE),
}


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_attack(tmp_path: Path, attack: str) -> None:
    made, code = ATTACKS[attack]
    path = tmp_path / "x.cxr"
    path.write_bytes(made.to_bytes())
    with pytest.raises(BundleError) as caught:
        ArchiveStore(path)
    assert caught.value.code is code, caught.value


def test_the_same_without_an_attack(tmp_path: Path) -> None:
    """The attacks above fail for what they are, not for how they are made."""
    path = tmp_path / "x.cxr"
    path.write_bytes(Zip([A, change(B, extra=b"UT\5\0\1abcd")]).to_bytes())
    store = ArchiveStore(path)
    assert {name: b"".join(store.chunks(name)) for name in store.names()} == {"a.md": A.data, "b.md": B.data}
    store.close()


def test_a_closed_bundle_is_a_typed_error(pair: tuple[Path, Path]) -> None:
    bundle = open_bundle(pair[1])
    bundle.close()
    with pytest.raises(BundleError) as caught:
        bundle.read("model_card.md")
    assert caught.value.code is Code.BUNDLE_ARCHIVE


def test_wrong_checksum(tmp_path: Path) -> None:
    path = tmp_path / "x.cxr"
    path.write_bytes(Zip([change(A, crc=1), B]).to_bytes())
    store = ArchiveStore(path)
    with pytest.raises(BundleError) as caught:
        list(store.chunks("a.md"))
    assert caught.value.code is Code.BUNDLE_HASH
    store.close()


def test_any_byte_of_an_archive(tmp_path: Path) -> None:
    """Each byte of a small archive, changed: refused, or the same names and contents as before."""
    sources = {}
    for member in (A, B):
        sources[member.name.decode()] = tmp_path / member.name.decode()
        sources[member.name.decode()].write_bytes(member.data)
    path = tmp_path / "x.cxr"
    with path.open("wb") as file:
        write_archive(file, sources)
    good, refused = path.read_bytes(), 0
    for at in range(len(good)):
        for bit in (0, 3, 7):
            bad = bytearray(good)
            bad[at] ^= 1 << bit
            path.write_bytes(bad)
            try:
                store = ArchiveStore(path)
                contents = {name: b"".join(store.chunks(name)) for name in store.names()}
                store.close()
            except BundleError:
                refused += 1
            else:
                same_contents = sorted(contents.values()) == [A.data, B.data]
                assert same_contents, f"byte {at}, bit {bit}"
    assert refused > 2 * len(good)


def test_cut_anywhere(tmp_path: Path) -> None:
    good = Zip([A, B]).to_bytes()
    for size in range(len(good)):
        path = tmp_path / "x.cxr"
        path.write_bytes(good[:size])
        with pytest.raises(BundleError):
            ArchiveStore(path)


def test_random_bytes(tmp_path: Path) -> None:
    rng, good = np.random.default_rng(7), Zip([A, B]).to_bytes()
    for _ in range(300):
        bad = bytearray(good)
        for at in rng.integers(0, len(bad), rng.integers(1, 12)):
            bad[at] = int(rng.integers(256))
        path = tmp_path / "x.cxr"
        path.write_bytes(bad)
        try:
            ArchiveStore(path).close()
        except BundleError as error:
            assert error.code in (Code.BUNDLE_ARCHIVE, Code.BUNDLE_PATH)


def test_command_line_of_the_tiny_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tiny_bundle", str(tmp_path / "t"), "--cxr", "--gate", "--no-int8"])
    tiny_bundle.main()
    with open_bundle(tmp_path / "t.cxr") as bundle:
        assert bundle.manifest.gate is not None and "gate" in bundle.manifest.outputs
        assert bundle.precisions == ("fp32", "bf16") and not bundle.facts.clinical
    verify(tmp_path / "t.cxr")
