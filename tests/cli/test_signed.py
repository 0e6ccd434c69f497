"""A running system that takes signed bundles only: the option, the variable, and `cxredge.load`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cxredge
from cxredge.errors import BundleError, Code
from cxredge.site import Wishes, adapt
from tests.cli.test_commands import cxredge as run
from tests.support.signing import Signed, sign_copy
from tests.support.site_cases import write_cases

FP32 = ["--engine", "onnxruntime", "--precision", "fp32"]


@pytest.fixture
def signed(tiny_bundle: Path, tmp_path: Path) -> Signed:
    return sign_copy(tiny_bundle, tmp_path / "signed")


def test_verify_checks_the_signature_first(signed: Signed) -> None:
    good = run("verify", signed.bundle, "--key", signed.public)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith(b"signed by the key ") and b"as they were sealed" in good.stdout
    assert b"signature not checked" in run("verify", signed.bundle).stdout
    other = signed.signature.rename(signed.signature.with_name("elsewhere"))
    assert run("verify", signed.bundle, "--key", signed.public, "--signature", other).returncode == 0
    missing = run("verify", signed.bundle, "--key", signed.public)
    assert (missing.returncode, missing.stdout) == (2, b"") and b"[signature_missing]" in missing.stderr
    signed.bundle.write_bytes(b"no archive at all")
    changed = run("verify", signed.bundle, "--key", signed.public, "--signature", other)
    assert (changed.returncode, changed.stdout) == (2, b"") and b"[signature_wrong]" in changed.stderr


def test_predict_refuses_what_the_key_did_not_sign(signed: Signed, tiny_bundle: Path, scan: Path) -> None:
    key = ["--key", str(signed.public)]
    done = run("predict", scan, "--bundle", signed.bundle, *key, *FP32, "--format", "json")
    assert json.loads(done.stdout)["status"] == "ok", done.stderr
    done = run("predict", scan, "--bundle", tiny_bundle, *key, *FP32)
    assert (done.returncode, done.stdout) == (2, b"") and b"[signature_missing]" in done.stderr


@pytest.mark.parametrize(
    "words", [["predict", "SCAN", "--bundle"], ["doctor", "--bundle"], ["info", "--bundle"], ["verify"]]
)
def test_the_variable_holds_for_every_command_that_opens_a_bundle(
    words: list[str], signed: Signed, tiny_bundle: Path, scan: Path
) -> None:
    words = [str(scan) if word == "SCAN" else word for word in words]
    done = run(*words, tiny_bundle, CXREDGE_KEY=str(signed.public))
    assert (done.returncode, done.stdout) == (2, b"") and b"[signature_missing]" in done.stderr
    if words[0] in ("info", "verify"):
        assert run(*words, signed.bundle, CXREDGE_KEY=str(signed.public)).returncode == 0


def test_the_variable_holds_for_drift_and_site(signed: Signed, tiny_bundle: Path, tmp_path: Path) -> None:
    paths = [tmp_path / f"{i}.png" for i in range(200)]
    cases = write_cases(tmp_path / "cases.csv", paths, np.zeros((200, 14)), [f"p{i}" for i in range(200)])
    for words in (["drift", tiny_bundle, "x.jsonl"], ["site", tiny_bundle, cases, "-o", "new.cxr"]):
        done = run(*words, cwd=tmp_path, CXREDGE_KEY=str(signed.public))
        assert done.returncode == 2 and b"[signature_missing]" in done.stderr
    with pytest.raises(BundleError) as caught:
        adapt(tiny_bundle, cases, tmp_path / "new.cxr", Wishes(key=signed.public))
    assert caught.value.code is Code.SIGNATURE_MISSING


def test_load_takes_a_key_or_the_variable(
    signed: Signed, tiny_bundle: Path, scan: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = {"engine": "onnxruntime", "precision": "fp32"}
    with cxredge.load(signed.bundle, key=signed.public, **how) as model:
        assert model.predict(scan).status == "ok"
    for key in (signed.public, ""):  # an empty path is no key; it does not ask for no check
        with pytest.raises(BundleError) as caught:
            cxredge.load(tiny_bundle, key=key, **how)
        assert caught.value.code is (Code.SIGNATURE_MISSING if key else Code.KEY_UNREADABLE)
    monkeypatch.setenv("CXREDGE_KEY", str(signed.public))
    cxredge.load(signed.bundle, **how).close()
    with pytest.raises(BundleError):
        cxredge.load(tiny_bundle, **how)
