"""Signatures: what a key did not sign is refused before anything of it is parsed."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

from cxredge.bundle import Bundle, open_bundle, verify
from cxredge.bundle.hashed import BLOCK, HashedFile, hash_bundle
from cxredge.bundle.manifest import MAX_MANIFEST_BYTES
from cxredge.bundle.signature import MOST_BYTES, decode, encode, signature_path
from cxredge.errors import BundleError, Code, UsageError
from tests.support.signing import Signed, sign_copy
from tests.support.tiny_bundle import write_tiny_bundle

SIGNATURE_CODES = {Code.SIGNATURE_BROKEN, Code.SIGNATURE_KEY, Code.SIGNATURE_WRONG}


@pytest.fixture(scope="module")
def folder_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("plain") / "chest", int8=False)


@pytest.fixture
def archive(tiny_bundle: Path, tmp_path: Path) -> Signed:
    return sign_copy(tiny_bundle, tmp_path / "a")


@pytest.fixture
def folder(folder_bundle: Path, tmp_path: Path) -> Signed:
    return sign_copy(folder_bundle, tmp_path / "f")


@pytest.fixture(params=["archive", "folder"])
def signed(request: pytest.FixtureRequest) -> Signed:
    found: Signed = request.getfixturevalue(request.param)
    return found


def refused(bundle: Path, key: Path | str, signature: Path | None = None) -> Code:
    with pytest.raises(BundleError) as caught:
        verify(bundle, key=key, signature=signature)
    return caught.value.code


def changed(file: Path, at: int, bit: int = 0) -> Callable[[], None]:
    """Flip one bit in place; what comes back undoes it."""

    def flip() -> None:
        with file.open("r+b") as stream:
            stream.seek(at)
            byte = stream.read(1)[0]
            stream.seek(at)
            stream.write(bytes([byte ^ (1 << bit)]))

    flip()
    return flip


def test_what_was_signed_is_opened_and_names_its_key(signed: Signed) -> None:
    der = serialization.load_pem_public_key(signed.public.read_bytes()).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    assert signed.signature == signed.bundle.with_name(signed.bundle.name + ".sig")
    with open_bundle(signed.bundle, key=signed.public) as bundle:
        assert bundle.signed_by == hashlib.sha256(der).hexdigest()
        assert bundle.check() == verify(signed.bundle)
    with open_bundle(signed.bundle) as bundle:
        assert bundle.signed_by is None
    elsewhere = signed.signature.rename(signed.signature.with_name("other.txt"))
    assert refused(signed.bundle, signed.public) is Code.SIGNATURE_MISSING
    verify(signed.bundle, key=signed.public, signature=elsewhere)


def test_a_changed_bit_anywhere_in_a_file_is_refused(archive: Signed) -> None:
    size, rng = archive.bundle.stat().st_size, np.random.default_rng(0)
    places = [0, 1, size - 1, size - 22, BLOCK - 1, BLOCK, *(int(rng.integers(size)) for _ in range(40))]
    for at in places:
        undo = changed(archive.bundle, at, int(rng.integers(8)))
        assert refused(archive.bundle, archive.public) is Code.SIGNATURE_WRONG, at
        undo()
    for data in (archive.bundle.read_bytes()[:-1], archive.bundle.read_bytes() + b"\0", b""):
        other = archive.bundle.with_name("other.cxr")
        other.write_bytes(data)
        assert refused(other, archive.public, archive.signature) is Code.SIGNATURE_WRONG
    verify(archive.bundle, key=archive.public)


def test_a_changed_bit_anywhere_in_a_folder_is_refused(folder: Signed) -> None:
    rng = np.random.default_rng(0)
    for file in sorted(folder.bundle.iterdir()):
        size, manifest = file.stat().st_size, file.name == "manifest.json"
        for at in [0, size - 1, *(int(rng.integers(size)) for _ in range(20 if manifest else 3))]:
            undo = changed(file, at, int(rng.integers(8)))
            assert refused(folder.bundle, folder.public) is (Code.SIGNATURE_WRONG if manifest else Code.BUNDLE_HASH)
            undo()
    (folder.bundle / "more.txt").write_text("x")
    assert refused(folder.bundle, folder.public) is Code.BUNDLE_FILE_EXTRA


def test_a_changed_bit_anywhere_in_the_signature_is_refused(archive: Signed) -> None:
    good = archive.signature.read_bytes()
    for at in range(len(good)):
        for bit in (0, 5):
            changed(archive.signature, at, bit)
            assert refused(archive.bundle, archive.public) in SIGNATURE_CODES, at
            archive.signature.write_bytes(good)


def test_only_the_five_lines_are_a_signature(archive: Signed) -> None:
    good = archive.signature.read_bytes()
    lines = good.splitlines(keepends=True)
    assert encode(decode(good)) == good and len(lines) == 5
    wrong = {
        "cut short": [good[:cut] for cut in range(len(good))],
        "something behind": [good + tail for tail in (b"\n", b" ", b"\0", b"x", lines[4], good)],
        "something before": [b"\n" + good, b"\xef\xbb\xbf" + good],
        "a line twice": [b"".join([*lines[: i + 1], *lines[i:]]) for i in range(5)],
        "a line missing": [b"".join([*lines[:i], *lines[i + 1 :]]) for i in range(5)],
        "other order": [b"".join(reversed(lines))],
        "other ends": [good.replace(b"\n", b"\r\n")],
        "capitals": [good.replace(lines[4], lines[4].upper()), good.replace(lines[2][8:], lines[2][8:].upper())],
        "63 and 65 bytes": [good[:-3] + b"\n", good[:-1] + b"00\n"],
        "newer": [good.replace(b"signature/1", b"signature/2")],
        "too large": [good + b"#" * MOST_BYTES],
    }
    for what, forms in wrong.items():
        for data in forms:
            archive.signature.write_bytes(data)
            assert refused(archive.bundle, archive.public) is Code.SIGNATURE_BROKEN, what


def test_a_file_of_gigabytes_or_a_pipe_is_no_signature(archive: Signed, tmp_path: Path) -> None:
    with archive.signature.open("r+b") as file:
        file.truncate(1 << 40)
    assert refused(archive.bundle, archive.public) is Code.SIGNATURE_BROKEN
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        assert refused(archive.bundle, archive.public, tmp_path / "pipe") is Code.SIGNATURE_BROKEN
        assert refused(archive.bundle, tmp_path / "pipe") is Code.KEY_UNREADABLE


def test_a_signature_of_one_form_is_not_one_of_the_other(archive: Signed, tmp_path: Path) -> None:
    """The same model as a file and as a folder: each needs its own, even with its form and hash rewritten."""
    import zipfile

    out = tmp_path / "unpacked"
    with zipfile.ZipFile(archive.bundle) as file:
        file.extractall(out)
    assert refused(out, archive.public, archive.signature) is Code.SIGNATURE_WRONG
    old = decode(archive.signature.read_bytes())
    digest = hashlib.sha256((out / "manifest.json").read_bytes()).hexdigest()
    forged = archive.signature.read_bytes().replace(b"form: archive", b"form: manifest")
    signature_path(out).write_bytes(forged.replace(old.sha256.encode(), digest.encode()))
    assert refused(out, archive.public) is Code.SIGNATURE_WRONG


def test_nothing_is_parsed_before_the_signature_holds(folder: Signed, archive: Signed) -> None:
    """Nonsense is refused for its signature first, and for being nonsense only where the key signed it."""
    from calibration.signing import read_private_key, sign_bundle, signature_of
    from tests.support.signing import no_passphrase

    key = read_private_key(archive.private, no_passphrase)
    archive.bundle.write_bytes(b"PK\3\4 no archive")
    (folder.bundle / "manifest.json").write_bytes(b"{ no JSON")
    for bundle, public in ((archive.bundle, archive.public), (folder.bundle, folder.public)):
        assert refused(bundle, public) is Code.SIGNATURE_WRONG
        signature_path(bundle).unlink()
        assert refused(bundle, public) is Code.SIGNATURE_MISSING
        with pytest.raises(BundleError):
            sign_bundle(bundle, key)  # the workbench does not sign what is broken
        assert not signature_path(bundle).exists()
    hashed = hash_bundle(archive.bundle)
    archive.signature.write_bytes(encode(signature_of(hashed.form, hashed.sha256, key)))
    hashed.close()
    assert refused(archive.bundle, archive.public) is Code.BUNDLE_ARCHIVE


def test_another_key_is_refused(signed: Signed, tmp_path: Path) -> None:
    from calibration.signing import make_keys

    _, public, identity = make_keys(tmp_path / "stranger", None)
    assert refused(signed.bundle, public) is Code.SIGNATURE_KEY
    # Even where the signature claims to be of that key.
    found = decode(signed.signature.read_bytes())
    signed.signature.write_bytes(signed.signature.read_bytes().replace(found.key.encode(), identity.encode()))
    assert refused(signed.bundle, public) is Code.SIGNATURE_WRONG


def test_only_an_ed25519_public_key_is_a_key(archive: Signed, tmp_path: Path) -> None:
    def pem(key: object) -> bytes:
        return key.public_key().public_bytes(  # type: ignore[attr-defined]
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    good, file = archive.public.read_bytes(), tmp_path / "key.pem"
    others = [
        pem(rsa.generate_private_key(65537, 2048)), pem(ec.generate_private_key(ec.SECP256R1())),
        pem(ed448.Ed448PrivateKey.generate()), pem(x25519.X25519PrivateKey.generate()),
        archive.private.read_bytes(), good + good, good[:-30], good.replace(b"PUBLIC KEY", b"CERTIFICATE"),
        b"", b"\xff" * 100, good + b" " * MOST_BYTES,
    ]  # fmt: skip
    for data in others:
        file.write_bytes(data)
        assert refused(archive.bundle, file) is Code.KEY_UNREADABLE, data
    for path in (tmp_path / "none.pem", tmp_path, ""):
        assert refused(archive.bundle, path) is Code.KEY_UNREADABLE
    file.write_bytes(b"The maker's key of 2026\n" + good)
    verify(archive.bundle, key=file)
    with pytest.raises(UsageError):
        verify(archive.bundle, signature=archive.signature)


def test_a_file_that_is_swapped_or_written_after_the_check(archive: Signed, tmp_path: Path) -> None:
    with open_bundle(archive.bundle, key=archive.public) as bundle:
        other = tmp_path / "evil.cxr"
        other.write_bytes(b"evil")
        other.replace(archive.bundle)  # the open file is still the one that was signed
        assert bundle.check()


def test_a_file_that_is_written_in_place_after_the_check(archive: Signed) -> None:
    hashed = hash_bundle(archive.bundle)
    changed(archive.bundle, archive.bundle.stat().st_size - 10)
    with pytest.raises(BundleError) as caught:
        hashed.open()
    assert caught.value.code is Code.SIGNATURE_WRONG
    with pytest.raises(BundleError), open_bundle(archive.bundle, key=archive.public):
        raise AssertionError
    # Later than that, too: a graph that changes under a running system does not reach an engine.
    changed(archive.bundle, archive.bundle.stat().st_size - 10)
    with open_bundle(archive.bundle, key=archive.public) as bundle:
        changed(archive.bundle, archive.bundle.read_bytes().index(b"conv0"))
        with pytest.raises(BundleError) as caught:
            bundle.graph("fp32").read()
        assert caught.value.code is Code.SIGNATURE_WRONG


def test_a_manifest_that_is_swapped_after_the_check(folder: Signed) -> None:
    hashed = hash_bundle(folder.bundle)
    manifest = folder.bundle / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b'"clinical": false', b'"clinical": true'))
    with Bundle(folder.bundle, hashed.open()) as bundle:
        assert bundle.manifest.clinical is False and bundle.sha256 == hashed.sha256


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 3 * BLOCK + 7).map(lambda size: np.random.default_rng(size).bytes(size)),
    st.lists(st.tuples(st.integers(0, 4 * BLOCK), st.integers(0, 2 * BLOCK)), max_size=6),
)
def test_a_hashed_file_reads_like_the_file(data: bytes, reads: list[tuple[int, int]]) -> None:
    file = io.BufferedReader(HashedFile(io.BytesIO(data)), BLOCK)
    assert file.raw.sha256 == hashlib.sha256(data).hexdigest()
    assert file.seek(0, os.SEEK_END) == len(data)
    for at, size in reads:
        file.seek(at)
        assert file.read(size) == data[at : at + size]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl program here")
def test_openssl_makes_and_checks_the_same(signed: Signed, tmp_path: Path) -> None:
    """An independent implementation, by the recipe of docs/bundles.md: keys, signatures, and a verdict on ours."""

    def openssl(*words: object) -> bytes:
        return subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True).stdout

    found = decode(signed.signature.read_bytes())
    signed_bytes = signed.bundle if signed.bundle.is_file() else signed.bundle / "manifest.json"
    digest = hashlib.sha256(signed_bytes.read_bytes()).hexdigest()
    form = "archive" if signed.bundle.is_file() else "manifest"
    text = f"schema: cxredge.signature/1\nform: {form}\nsha256: {digest}\n"
    (tmp_path / "text").write_text(text)
    (tmp_path / "ours").write_bytes(found.value)
    check = ["pkeyutl", "-verify", "-pubin", "-rawin", "-in", tmp_path / "text"]
    assert b"Verified Successfully" in openssl(*check, "-inkey", signed.public, "-sigfile", tmp_path / "ours")

    private, public = tmp_path / "o.private.pem", tmp_path / "o.public.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    openssl("pkeyutl", "-sign", "-rawin", "-inkey", private, "-in", tmp_path / "text", "-out", tmp_path / "theirs")
    identity = hashlib.sha256(openssl("pkey", "-pubin", "-in", public, "-outform", "DER")).hexdigest()
    value = (tmp_path / "theirs").read_bytes().hex()
    signed.signature.write_text(f"{text}key: {identity}\ned25519: {value}\n")
    verify(signed.bundle, key=public)
    assert refused(signed.bundle, signed.public) is Code.SIGNATURE_KEY


def test_without_the_package_the_message_says_what_to_install(archive: Signed) -> None:
    script = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from cxredge.bundle import open_bundle\nfrom cxredge.errors import BundleError\n"
        f"open_bundle({str(archive.bundle)!r}).close()\n"
        f"try:\n    open_bundle({str(archive.bundle)!r}, key={str(archive.public)!r})\n"
        "except BundleError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'cxredge[sign]'" in done.stdout and "[signing_missing]" in done.stdout


def test_the_package_is_loaded_only_where_a_signature_is_checked(archive: Signed) -> None:
    script = (
        "import sys, cxredge\nfrom cxredge.bundle import verify\n"
        f"verify({str(archive.bundle)!r})\nassert 'cryptography' not in sys.modules\n"
        f"verify({str(archive.bundle)!r}, key={str(archive.public)!r})\nassert 'cryptography' in sys.modules"
    )
    subprocess.run([sys.executable, "-P", "-c", script], check=True)


def test_a_folder_without_a_usable_manifest(folder: Signed) -> None:
    """Said as such, before the signature is looked at: there is nothing that could have been signed."""
    manifest = folder.bundle / "manifest.json"
    manifest.write_bytes(b" " * (MAX_MANIFEST_BYTES + 1))
    assert refused(folder.bundle, folder.public) is Code.BUNDLE_INVALID
    manifest.unlink()
    assert refused(folder.bundle, folder.public) is Code.BUNDLE_FILE_MISSING
