"""Keys and signatures from the command line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from calibration import cli
from cxredge.bundle import verify
from cxredge.errors import BundleError

ROOT = Path(__file__).resolve().parents[2]


def run(*words: object) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main([str(word) for word in words])
    return int(caught.value.code or 0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such rights")
def test_only_the_owner_may_read_a_private_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert run("keys", tmp_path / "deep" / "maker") == 0
    finally:
        os.umask(before)
    private, public = (tmp_path / "deep" / f"maker.{kind}.pem" for kind in ("private", "public"))
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert b"PRIVATE KEY" in private.read_bytes() and b"PRIVATE" not in public.read_bytes()
    assert {path.name for path in private.parent.iterdir()} == {private.name, public.name}


@pytest.mark.parametrize("there", ["private", "public"])
def test_keys_are_never_overwritten(there: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / f"maker.{there}.pem").write_text("precious")
    assert run("keys", tmp_path / "maker") == 2
    assert "not overwritten" in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ["precious"]


def test_a_passphrase_comes_from_the_environment_or_a_person(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CALIBRATION_PASSPHRASE", "corréct horse")
    assert run("keys", tmp_path / "maker", "--passphrase") == 0
    key = tmp_path / "maker.private.pem"
    assert key.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    sign = ["sign", tiny_bundle, "--key", key, "--out", tmp_path / "a.sig"]
    assert run(*sign) == 0
    verify(tiny_bundle, key=tmp_path / "maker.public.pem", signature=tmp_path / "a.sig")
    (tmp_path / "a.sig").unlink()
    monkeypatch.setenv("CALIBRATION_PASSPHRASE", "wrong")
    assert run(*sign) == 2
    assert "the passphrase is wrong" in capsys.readouterr().err
    monkeypatch.delenv("CALIBRATION_PASSPHRASE")
    command = [sys.executable, "-m", "calibration", *map(str, sign)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2 and "set CALIBRATION_PASSPHRASE" in done.stderr
    assert not (tmp_path / "a.sig").exists()


def test_what_is_no_private_key_signs_nothing(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("keys", tmp_path / "maker") == 0
    (tmp_path / "junk.pem").write_bytes(b"junk")
    for name, said in (("maker.public.pem", "no private key"), ("junk.pem", "one key in PEM")):
        assert run("sign", tiny_bundle, "--key", tmp_path / name, "--out", tmp_path / "no.sig") == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "no.sig").exists()


def test_a_broken_bundle_is_not_signed(tiny_bundle: Path, tmp_path: Path) -> None:
    assert run("keys", tmp_path / "maker") == 0
    data = bytearray(tiny_bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "x.cxr").write_bytes(data)
    assert run("sign", tmp_path / "x.cxr", "--key", tmp_path / "maker.private.pem") == 2
    assert not (tmp_path / "x.cxr.sig").exists()


def test_signing_again_replaces_the_signature(tiny_bundle: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "x.cxr"
    bundle.write_bytes(tiny_bundle.read_bytes())
    for name in ("old", "new"):
        assert run("keys", tmp_path / name) == 0
        assert run("sign", bundle, "--key", tmp_path / f"{name}.private.pem") == 0
    verify(bundle, key=tmp_path / "new.public.pem")
    with pytest.raises(BundleError):
        verify(bundle, key=tmp_path / "old.public.pem")
