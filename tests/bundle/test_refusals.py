"""A good bundle with one thing changed: the exact refusal of each."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cxredge.bundle import open_bundle, verify, write_bundle
from cxredge.errors import BundleError, Code, UsageError
from tests.support.tiny_bundle import npy_bytes, tiny_files, tiny_manifest, write_tiny_bundle

Tree = dict[str, Any]


@pytest.fixture(scope="session")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("sealed") / "tiny")


@pytest.fixture
def bundle(sealed: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(sealed, tmp_path / "tiny"))


def refusal(path: Path) -> BundleError:
    with pytest.raises(BundleError) as caught:
        verify(path)
    return caught.value


def rewrite(bundle: Path, change: Callable[[Tree], object]) -> None:
    file = bundle / "manifest.json"
    tree = json.loads(file.read_text(encoding="utf-8"))
    change(tree)
    file.write_text(json.dumps(tree), encoding="utf-8")


def reseal(bundle: Path, name: str, data: bytes) -> None:
    """Replace a file and make every hash in the manifest fit, as someone who wants to be believed would."""
    (bundle / name).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()

    def change(tree: Tree) -> None:
        tree["files"][name] = sha256
        for graph in tree["graphs"].values():
            if graph["file"] == name:
                graph["sha256"] = sha256

    rewrite(bundle, change)


def test_a_good_bundle_passes(bundle: Path) -> None:
    names = verify(bundle)
    assert names[0] == "manifest.json" and set(names) == {path.name for path in bundle.iterdir()}


def set_path(*keys: str | int, value: Any) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for key in keys[:-1]:
            tree = tree[key]  # type: ignore[index]
        tree[keys[-1]] = value  # type: ignore[index]

    return change


def drop(*keys: str | int) -> Callable[[Tree], None]:
    def change(tree: Tree) -> None:
        for key in keys[:-1]:
            tree = tree[key]  # type: ignore[index]
        del tree[keys[-1]]  # type: ignore[arg-type]

    return change


POINT = ("findings", 3, "operating_points", "balanced")
MANIFEST_CHANGES: dict[str, tuple[Callable[[Tree], object], Code]] = {
    "newer schema": (set_path("schema", value="cxredge.bundle/2"), Code.BUNDLE_SCHEMA),
    "foreign schema": (set_path("schema", value="other/1"), Code.BUNDLE_SCHEMA),
    "no schema": (drop("schema"), Code.BUNDLE_SCHEMA),
    "unknown field": (set_path("surprise", value=1), Code.BUNDLE_INVALID),
    "unknown inner field": (set_path("input", "mean", value=0.5), Code.BUNDLE_INVALID),
    "no name": (drop("name"), Code.BUNDLE_INVALID),
    "empty intended use": (set_path("intended_use", value=""), Code.BUNDLE_INVALID),
    "clinical unsaid": (drop("clinical"), Code.BUNDLE_INVALID),
    "a label missing": (lambda tree: tree["labels"].pop(), Code.BUNDLE_INVALID),
    "labels swapped": (lambda tree: tree["labels"].reverse(), Code.BUNDLE_INVALID),
    "a finding missing": (lambda tree: tree["findings"].pop(), Code.BUNDLE_INVALID),
    "findings swapped": (lambda tree: tree["findings"].reverse(), Code.BUNDLE_INVALID),
    "unknown fit": (set_path("input", "fit", value="squeeze"), Code.BUNDLE_INVALID),
    "unknown filter": (set_path("input", "filter", value="nearest"), Code.BUNDLE_INVALID),
    "zero rows": (set_path("input", "rows", value=0), Code.BUNDLE_INVALID),
    "crossed percentiles": (set_path("input", "percentiles", value={"low": 60, "high": 40}), Code.BUNDLE_INVALID),
    "empty box": (set_path("heatmaps", "box", value=[0.5, 0, 0.5, 1]), Code.BUNDLE_INVALID),
    "box outside": (set_path("heatmaps", "box", value=[0, 0, 1.5, 1]), Code.BUNDLE_INVALID),
    "threshold over one": (set_path(*POINT, "threshold", value=1.1), Code.BUNDLE_INVALID),
    "threshold as text": (set_path(*POINT, "threshold", value="0.5"), Code.BUNDLE_INVALID),
    "no reason for a threshold": (drop(*POINT, "how"), Code.BUNDLE_INVALID),
    "interval beside its value": (
        set_path(*POINT, "sensitivity", value={"value": 0.9, "low": 0.91, "high": 0.95}),
        Code.BUNDLE_INVALID,
    ),
    "default point missing for one label": (drop(*POINT), Code.BUNDLE_INVALID),
    "default point unknown": (set_path("default_operating_point", value="best"), Code.BUNDLE_INVALID),
    "negative scale": (set_path("findings", 0, "calibration", "scale", value=-1.0), Code.BUNDLE_INVALID),
    "temperature with offset": (set_path("findings", 0, "calibration", "offset", value=0.5), Code.BUNDLE_INVALID),
    "no graphs": (set_path("graphs", value={}), Code.BUNDLE_INVALID),
    "unknown precision": (
        set_path("graphs", "fp8", value={"file": "fp32.onnx", "sha256": "0" * 64}),
        Code.BUNDLE_INVALID,
    ),
    "graph hash differs from files": (set_path("graphs", "fp32", "sha256", value="0" * 64), Code.BUNDLE_INVALID),
    "graph not listed": (set_path("graphs", "fp32", "file", value="other.onnx"), Code.BUNDLE_INVALID),
    "graph is no onnx": (set_path("graphs", "fp32", "file", value="model_card.md"), Code.BUNDLE_INVALID),
    "engines empty": (set_path("graphs", "fp32", "engines", value=[]), Code.BUNDLE_INVALID),
    "gate promised, not given": (
        set_path("gate", value={"not_chest": 0.5, "inverted": 0.5, "turned": 0.5}),
        Code.BUNDLE_INVALID,
    ),
    "golden output missing": (drop("golden", "outputs", "masks"), Code.BUNDLE_INVALID),
    "tolerance missing": (drop("golden", "tolerance", "int8"), Code.BUNDLE_INVALID),
    "tolerance for no graph": (
        set_path("golden", "tolerance", "fp16", value={"logits": 1, "masks": 1, "heatmaps": 1}),
        Code.BUNDLE_INVALID,
    ),
    "tolerance of zero": (set_path("golden", "tolerance", "fp32", "logits", value=0), Code.BUNDLE_INVALID),
    "model card not listed": (set_path("model_card", value="none.md"), Code.BUNDLE_INVALID),
    "hash too short": (set_path("files", "model_card.md", value="abc"), Code.BUNDLE_INVALID),
    "absolute path": (set_path("files", "/etc/passwd", value="0" * 64), Code.BUNDLE_PATH),
    "parent path": (set_path("files", "../outside.md", value="0" * 64), Code.BUNDLE_PATH),
    "parent in a field": (set_path("golden", "input", value="../golden_image.npy"), Code.BUNDLE_PATH),
    "windows path": (set_path("files", "C:\\x.md", value="0" * 64), Code.BUNDLE_PATH),
    "subfolder": (set_path("files", "sub/x.md", value="0" * 64), Code.BUNDLE_PATH),
    "windows device": (set_path("files", "NUL.md", value="0" * 64), Code.BUNDLE_PATH),
    "trailing dot": (set_path("files", "x.md.", value="0" * 64), Code.BUNDLE_PATH),
    "hidden file": (set_path("files", ".x.md", value="0" * 64), Code.BUNDLE_PATH),
    "case twins": (set_path("files", "MODEL_CARD.md", value="0" * 64), Code.BUNDLE_INVALID),
    "the manifest itself": (set_path("files", "manifest.json", value="0" * 64), Code.BUNDLE_INVALID),
    "a file that is not there": (set_path("files", "more.md", value="0" * 64), Code.BUNDLE_FILE_MISSING),
}


@pytest.mark.parametrize("change", MANIFEST_CHANGES, ids=str)
def test_changed_manifest(bundle: Path, change: str) -> None:
    alter, code = MANIFEST_CHANGES[change]
    rewrite(bundle, alter)
    with pytest.raises(BundleError) as caught:
        verify(bundle)
    assert caught.value.code is code, caught.value


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"schema": NaN}', b"[" * 200_000, b'{"schema": "cxredge.bundle/1"'],
    ids=["empty", "cut", "list", "null", "utf16", "nan", "deep", "open"],
)
def test_manifest_that_is_no_manifest(bundle: Path, data: bytes) -> None:
    (bundle / "manifest.json").write_bytes(data)
    assert refusal(bundle).code in (Code.BUNDLE_INVALID, Code.BUNDLE_SCHEMA)


def test_manifest_with_a_key_twice(bundle: Path) -> None:
    file = bundle / "manifest.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('"clinical": false', '"clinical": true, "clinical": false'), encoding="utf-8")
    assert refusal(bundle).code is Code.BUNDLE_INVALID


def test_huge_manifest_is_not_read(bundle: Path) -> None:
    with (bundle / "manifest.json").open("ab") as file:
        file.write(b" " * (5 << 20))
    assert refusal(bundle).code is Code.BUNDLE_INVALID


def test_missing_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as caught:
        open_bundle(tmp_path / "nothing")
    assert caught.value.code is Code.BUNDLE_NOT_FOUND


@pytest.mark.parametrize("name", ["manifest.json", "fp32.onnx", "model_card.md", "golden_image.npy"])
def test_missing_file(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    error = refusal(bundle)
    assert error.code is Code.BUNDLE_FILE_MISSING and name in error.detail


@pytest.mark.parametrize("name", ["extra.md", ".DS_Store", "lib.so"])
def test_extra_file(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"x")
    error = refusal(bundle)
    assert error.code is Code.BUNDLE_FILE_EXTRA and name in error.detail


def test_extra_folder(bundle: Path) -> None:
    (bundle / "sub").mkdir()
    assert refusal(bundle).code is Code.BUNDLE_FILE_EXTRA


def test_link(bundle: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.md"
    (bundle / "model_card.md").rename(outside)
    try:
        (bundle / "model_card.md").symlink_to(outside)
    except OSError:
        pytest.skip("this account may not make links")
    error = refusal(bundle)
    assert error.code is Code.BUNDLE_PATH and "model_card.md" in error.detail


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_named_pipe_does_not_block(bundle: Path) -> None:
    (bundle / "model_card.md").unlink()
    os.mkfifo(bundle / "model_card.md")
    assert refusal(bundle).code is Code.BUNDLE_PATH


def test_one_changed_byte_anywhere(bundle: Path) -> None:
    """In every file but the manifest: first, last and forty bytes between; the refusal names the file."""
    rng = np.random.default_rng(0)
    for path in sorted(bundle.iterdir()):
        if path.name == "manifest.json":
            continue
        good = path.read_bytes()
        for at in {0, len(good) - 1, *rng.integers(0, len(good), 40).tolist()}:
            bad = bytearray(good)
            bad[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bad)
            error = refusal(bundle)
            assert error.code is Code.BUNDLE_HASH and path.name in error.detail
        path.write_bytes(good)
    verify(bundle)


def test_longer_and_shorter_files(bundle: Path) -> None:
    for change in (lambda data: data + b"\n", lambda data: data[:-1], lambda data: data[:0]):
        card = bundle / "model_card.md"
        good = card.read_bytes()
        card.write_bytes(change(good))
        assert refusal(bundle).code is Code.BUNDLE_HASH
        card.write_bytes(good)


def test_changed_manifest_byte_is_refused_or_shows(bundle: Path) -> None:
    """The manifest holds the hashes and nothing holds its own: a change is refused, or the bundle is another one."""
    file, (rng, good) = bundle / "manifest.json", (np.random.default_rng(1), (bundle / "manifest.json").read_bytes())
    sha256 = open_bundle(bundle).sha256
    for at in rng.integers(0, len(good), 60).tolist():
        bad = bytearray(good)
        bad[at] ^= 1
        file.write_bytes(bad)
        try:
            verify(bundle)
        except BundleError:
            continue
        assert open_bundle(bundle).sha256 != sha256


def test_graph_is_hashed_when_asked_for(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        graph = opened.graph("fp32")
        (bundle / "fp32.onnx").write_bytes((bundle / "fp32.onnx").read_bytes() + b"\0")
        with pytest.raises(BundleError) as late:
            graph.read()
        with pytest.raises(BundleError) as again:
            opened.graph("fp32")
    assert late.value.code is again.value.code is Code.BUNDLE_HASH


def test_precision_that_is_not_there(bundle: Path) -> None:
    with open_bundle(bundle) as opened, pytest.raises(BundleError) as caught:
        opened.graph("fp16")
    assert caught.value.code is Code.PRECISION_NOT_IN_BUNDLE and "fp32, int8" in caught.value.detail


def test_operating_point_that_is_not_there(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        assert opened.manifest.thresholds() == (0.5,) * 14
        assert opened.manifest.thresholds("screening") == (0.3,) * 14
        with pytest.raises(BundleError) as caught:
            opened.manifest.thresholds("best")
    assert caught.value.code is Code.OPERATING_POINT_UNKNOWN


class Rogue:
    """Runs a program when it is unpickled: here it would leave a file behind."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.target,))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_under_another_name(bundle: Path, tmp_path: Path, protocol: int) -> None:
    reseal(bundle, "model_card.md", pickle.dumps(Rogue(tmp_path / "touched"), protocol=protocol))
    assert refusal(bundle).code is Code.BUNDLE_PICKLE
    assert not (tmp_path / "touched").exists()


def test_pickled_npy(bundle: Path, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Rogue(tmp_path / "touched")], dtype=object), allow_pickle=True)
    reseal(bundle, "golden_image.npy", buffer.getvalue())
    assert refusal(bundle).code is Code.BUNDLE_PICKLE
    assert not (tmp_path / "touched").exists()


def test_npy_with_objects_inside_a_record(bundle: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(2, dtype=[("a", "<f4"), ("b", "O")]), allow_pickle=True)
    reseal(bundle, "golden_image.npy", buffer.getvalue())
    assert refusal(bundle).code is Code.BUNDLE_PICKLE


@pytest.mark.parametrize("name", ["weights.pkl", "weights.pt", "weights.npz", "weights.ckpt", "weights.joblib"])
def test_file_kinds_that_are_pickles(bundle: Path, name: str) -> None:
    (bundle / name).write_bytes(b"")
    reseal(bundle, name, b"harmless?")
    assert refusal(bundle).code is Code.BUNDLE_PICKLE


def test_zip_inside(bundle: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    reseal(bundle, "model_card.md", buffer.getvalue())
    assert refusal(bundle).code is Code.BUNDLE_PICKLE


@pytest.mark.parametrize("name", ["plugin.so", "run.py", "page.html", "noending"])
def test_other_file_kinds(bundle: Path, name: str) -> None:
    reseal(bundle, name, b"text")
    assert refusal(bundle).code is Code.BUNDLE_INVALID


def test_text_that_is_no_text(bundle: Path) -> None:
    for data in (b"\xff\xfe\x00", b"a\0b"):
        reseal(bundle, "model_card.md", data)
        assert refusal(bundle).code is Code.BUNDLE_INVALID
    reseal(bundle, "report.json", b"{")
    assert refusal(bundle).code is Code.BUNDLE_INVALID


GOOD = np.zeros((2, 1, 256, 256), dtype=np.float32)
ARRAYS: dict[str, bytes] = {
    "float64": npy_bytes(GOOD.astype(np.float64)),  # type: ignore[arg-type]
    "big-endian": npy_bytes(GOOD.astype(">f4")),
    "Fortran order": npy_bytes(np.asfortranarray(np.random.default_rng(0).random(GOOD.shape, dtype=np.float32))),
    "wrong side": npy_bytes(GOOD[:, :, :-1]),
    "wrong rank": npy_bytes(GOOD[0]),
    "another batch than the outputs": npy_bytes(GOOD[:1]),
    "empty batch": npy_bytes(GOOD[:0]),
    "not finite": npy_bytes(np.full_like(GOOD, np.nan)),
    "cut": npy_bytes(GOOD)[:-4],
    "too long": npy_bytes(GOOD) + b"\0\0\0\0",
    "not npy": b"hello",
    "header runs out": b"\x93NUMPY\x01\x00\xff\xff{",
    "header is code": b"\x93NUMPY\x01\x00\x76\x00" + b"__import__('os').abort()".ljust(117) + b"\n",
}


@pytest.mark.parametrize("kind", ARRAYS, ids=str)
def test_golden_input_that_is_unusable(bundle: Path, kind: str) -> None:
    reseal(bundle, "golden_image.npy", ARRAYS[kind])
    error = refusal(bundle)
    assert error.code is Code.BUNDLE_INVALID and ".npy" in error.detail


def test_golden_check() -> None:
    """The comparison is of the largest difference, refuses NaN and needs every output."""
    from cxredge.bundle import Golden

    wanted = {"logits": np.zeros((1, 14), np.float32)}
    golden = Golden(GOOD, wanted, {"fp32": {"logits": 0.1}})
    near = np.full((1, 14), 0.05, np.float32)
    assert golden.check({"logits": near}, "fp32") == {"logits": pytest.approx(0.05)}
    far, nan = near.copy(), near.copy()
    far[0, 7], nan[0, 7] = 0.2, np.nan
    for outputs, precision in (
        ({"logits": far}, "fp32"),
        ({"logits": nan}, "fp32"),
        ({}, "fp32"),
        ({"logits": near}, "int8"),
    ):
        with pytest.raises(BundleError) as caught:
            golden.check(outputs, precision)
        assert caught.value.code is Code.BUNDLE_GOLDEN


def test_json_schema_says_the_same(bundle: Path) -> None:
    """By another implementation: the schema takes the manifest, and not one with a wrong type or an unknown field."""
    import jsonschema

    from cxredge.bundle import json_schema

    tree = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    check = jsonschema.Draft202012Validator(json_schema())
    check.check_schema(json_schema())
    assert check.is_valid(tree)
    for change in (
        "unknown field",
        "unknown inner field",
        "zero rows",
        "threshold as text",
        "no graphs",
        "hash too short",
    ):
        wrong = copy.deepcopy(tree)
        MANIFEST_CHANGES[change][0](wrong)
        assert not check.is_valid(wrong), change


# The writer.


def test_writer_gives_the_same_bytes(tmp_path: Path) -> None:
    files = tiny_files()
    one = write_bundle(tmp_path / "one.cxr", tiny_manifest(), files).read_bytes()
    two = write_bundle(tmp_path / "two.cxr", tiny_manifest(), dict(reversed(files.items()))).read_bytes()
    assert one == two


def test_writer_copies_from_paths(tmp_path: Path, sealed: Path) -> None:
    files = {name: sealed / name for name in tiny_files()}
    folder = write_bundle(tmp_path / "copy", tiny_manifest(), files)
    assert open_bundle(folder).sha256 == open_bundle(sealed).sha256


def writer_refusal(tmp_path: Path, tree: Tree, files: dict[str, bytes | Path]) -> Code:
    for out in (tmp_path / "out", tmp_path / "out.cxr"):
        with pytest.raises(BundleError) as caught:
            write_bundle(out, tree, files)
    assert not list(tmp_path.iterdir()), "something was left behind"
    return caught.value.code


def test_writer_refuses_what_is_incomplete(tmp_path: Path) -> None:
    files = tiny_files(int8=False)
    good = tiny_manifest(int8=False)
    for key in good:
        if key in ("gate", "gate_report"):
            continue
        tree = copy.deepcopy(good)
        del tree[key]
        assert writer_refusal(tmp_path, tree, files) is Code.BUNDLE_INVALID, key
    for name in files:
        fewer = {key: value for key, value in files.items() if key != name}
        assert writer_refusal(tmp_path, good, fewer) is Code.BUNDLE_INVALID, name
    assert writer_refusal(tmp_path, good, {**files, "../up.md": b"x"}) is Code.BUNDLE_PATH
    assert writer_refusal(tmp_path, good, {**files, "w.pkl": b"x"}) is Code.BUNDLE_PICKLE
    assert writer_refusal(tmp_path, {**good, "files": {"a.md": "0" * 64}}, files) is Code.BUNDLE_INVALID


def test_writer_does_not_overwrite_a_folder(tmp_path: Path, sealed: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_bundle(sealed, tiny_manifest(), tiny_files())
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    verify(sealed)
