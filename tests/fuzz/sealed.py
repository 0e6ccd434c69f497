"""Fuzz targets that read a bundle, and tables: manifest, archive, golden arrays, graph, signature; results, cases."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from cxredge.bundle import Bundle, open_bundle
from cxredge.bundle import manifest as manifests
from cxredge.bundle.archive import ArchiveStore, write_archive
from cxredge.bundle.golden import read_npy
from cxredge.bundle.onnx_guard import check_graph
from cxredge.bundle.signature import decode, read_public_key
from cxredge.errors import CxredgeError
from cxredge.pipeline import EMBEDDED
from cxredge.result import LABELS
from tests.fuzz.judge import CANARY, Broken, kind_of
from tests.support.records import ok_record, refused_record
from tests.support.tiny_bundle import SIDE, npy_bytes, tiny_model, write_tiny_bundle

__all__ = ["Archive", "Cases", "Golden", "Graph", "ManifestText", "Results", "Signature"]

NAME = CANARY["PatientName"]


def _embedded_manifest() -> bytes:
    with open_bundle(EMBEDDED) as bundle:
        return manifests.encode(bundle.manifest)


class ManifestText:
    """The manifest's bytes."""

    name = "manifest"
    most = 100_000

    def seeds(self) -> Iterator[bytes]:
        """The embedded bundle's, and that of the tiny one with a gate."""
        yield _embedded_manifest()
        with tempfile.TemporaryDirectory() as folder:
            made = write_tiny_bundle(Path(folder) / "tiny", gate=True, int8=False)
            yield (made / manifests.MANIFEST_NAME).read_bytes()

    def run(self, data: bytes) -> str:
        """What is accepted can be written and read again."""
        try:
            manifest = manifests.decode(data)
        except CxredgeError as error:
            return kind_of(error)
        if manifests.decode(manifests.encode(manifest)) != manifest:
            raise Broken("a manifest is another one when it is read again")
        return "read"


class Archive:
    """The `.cxr` archive, and the bundle in it."""

    name = "archive"
    most = 1_000_000

    def seeds(self) -> Iterator[bytes]:
        """Archives of a few small files, one that another program zipped, and a whole bundle."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "a").write_bytes(b"alpha")
            (folder / "b").write_bytes(b"")
            (folder / "m").write_bytes(_embedded_manifest())
            for contents in ({}, {"a.txt": folder / "a"}, {"a.txt": folder / "a", "b.md": folder / "b"}):
                yield _archive(contents)
            yield _archive({"manifest.json": folder / "m", "model_card.md": folder / "a"})
            yield _zipped()
            yield write_tiny_bundle(folder / "tiny.cxr", int8=False).read_bytes()

    def run(self, data: bytes) -> str:
        """Every member that is listed can be read, or is refused."""
        try:
            store = ArchiveStore(io.BytesIO(data))
            if "manifest.json" in store.names():
                Bundle(Path("fuzzed.cxr"), store).check()
                return "a bundle"
            for name in store.names():
                if sum(map(len, store.chunks(name))) != store.size(name):
                    raise Broken("a member has another size than it says")
        except CxredgeError as error:
            return kind_of(error)
        return "an archive"


def _archive(contents: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    write_archive(buffer, contents)
    return buffer.getvalue()


def _zipped() -> bytes:
    import zipfile

    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        made.writestr("notes.txt", "as another program zips it")
        made.writestr("ü.txt", "a name that is not ASCII")
    return buffer.getvalue()


class Golden:
    """A golden array, an `.npy` file."""

    name = "golden"
    most = 20_000

    def seeds(self) -> Iterator[bytes]:
        """Of the right kind, of the wrong shape, order and type, and one that holds Python objects."""
        yield npy_bytes(np.zeros((2, 14), np.float32))
        yield npy_bytes(np.zeros((2, 3, 4), np.float32))
        yield npy_bytes(np.zeros((2, 14), np.float64))
        yield npy_bytes(np.asfortranarray(np.ones((2, 14), np.float32)))
        buffer = io.BytesIO()
        np.save(buffer, np.array([{"a": 1}], dtype=object), allow_pickle=True)
        yield buffer.getvalue()

    def run(self, data: bytes) -> str:
        """What is accepted is float32 of the shape that was asked for."""
        try:
            array = read_npy(data, "golden.npy", (None, 14))
        except CxredgeError as error:
            return kind_of(error)
        if array.dtype != np.float32 or array.shape[1:] != (14,) or not np.isfinite(array).all():
            raise Broken(f"accepted: {array.dtype} {array.shape}")
        return "read"


class Graph:
    """The check of a graph file before any engine gets it."""

    name = "graph"
    most = 200_000

    def __init__(self) -> None:
        self._outputs = {"logits": (14,), "masks": (3, 128, 128), "heatmaps": (14, 7, 7)}

    def seeds(self) -> Iterator[bytes]:
        """The tiny graph, with and without a gate; as it stands and without weights, so that damage meets structure."""
        for gate in (False, True):
            model = tiny_model(gate=gate)
            yield model.SerializeToString()
            for tensor in model.graph.initializer:
                tensor.ClearField("raw_data")
            yield model.SerializeToString()

    def run(self, data: bytes) -> str:
        """Refused, or of the promised face."""
        try:
            check_graph(data, "fp32.onnx", (SIDE, SIDE), self._outputs)
        except CxredgeError as error:
            return kind_of(error)
        return "allowed"


class _OfAFile:
    """A target whose input is a file on disk."""

    def __init__(self) -> None:
        self._file = Path(tempfile.mkdtemp(prefix="cxredge-fuzz-")) / "input"

    def put(self, data: bytes) -> Path:
        """The input as a file."""
        self._file.write_bytes(data)
        return self._file


class Signature(_OfAFile):
    """The file of a signature, and that of a public key."""

    name = "signature"
    most = 4_000

    def seeds(self) -> Iterator[bytes]:
        """Keys of two kinds, and a signature of the right form."""
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        for private in (ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())):
            yield private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        lines = ("schema: cxredge.signature/1", "form: archive", f"sha256: {'0' * 64}", f"key: {'1' * 64}")
        yield "\n".join((*lines, f"ed25519: {'2' * 128}", "")).encode()

    def run(self, data: bytes) -> str:
        """Both are read."""
        told = []
        for read in (lambda: decode(data), lambda: read_public_key(self.put(data))):
            try:
                read()
                told.append("read")
            except CxredgeError as error:
                told.append(kind_of(error))
        return ", ".join(told)


@cache
def _bundle() -> Bundle:
    """The embedded bundle, with a baseline to watch against."""
    from msgspec.structs import replace

    from cxredge.drift.baseline import make_baseline

    bundle = open_bundle(EMBEDDED)
    point = bundle.manifest.default_operating_point
    thresholds = {point: [finding.operating_points[point].threshold for finding in bundle.manifest.findings]}
    usual = make_baseline(np.random.default_rng(0).uniform(0, 1, (300, len(LABELS))), thresholds, 10, "drawn at random")
    bundle.manifest = replace(bundle.manifest, baseline=usual)
    return bundle


class Results(_OfAFile):
    """Lines of results, as `cxredge drift` reads them back."""

    name = "results"
    most = 60_000

    def seeds(self) -> Iterator[bytes]:
        """An answer, a refusal, both with the canary's name in the path; and many."""
        from msgspec.structs import replace

        point = _bundle().manifest.default_operating_point
        answered = ok_record()
        found = tuple(replace(finding, operating_point=point) for finding in answered.findings)
        facts = replace(answered.input, path=f"{NAME}.dcm")
        ours = _bundle().facts
        lines = [
            replace(record, bundle=ours, input=facts).to_json().encode()
            for record in (replace(answered, findings=found), refused_record(), refused_record("error"))
        ]
        yield lines[0]
        yield b"\n".join(lines) + b"\n"
        yield b"\n\n" + lines[0] * 2
        yield b"\n".join([lines[0]] * 12)

    def run(self, data: bytes) -> str:
        """The report of the watch can be written as JSON and as a table."""
        from cxredge.drift import table, watch

        try:
            report = watch(_bundle(), self.put(data))
        except CxredgeError as error:
            return kind_of(error)
        json.dumps(report, allow_nan=False)
        table(report)
        return "watched"


class Cases(_OfAFile):
    """The table of a site's labelled cases."""

    name = "cases"
    most = 20_000

    def seeds(self) -> Iterator[bytes]:
        """With and without patients, a byte order mark, other line ends and quotes."""
        head = ",".join(("path", "patient", *LABELS))
        rows = [f"{NAME}-{number}.dcm,{NAME} {number},{','.join('10'[number % 2] * 14)}" for number in range(4)]
        rows.append(f'"{NAME},5.dcm",{NAME},{"," * 13}')
        text = "\n".join((head, *rows)) + "\n"
        yield text.encode()
        yield b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
        yield "\n".join((",".join(("path", *LABELS)), "a.dcm" + ",1.0" * 14)).encode()

    def run(self, data: bytes) -> str:
        """What is accepted has one row an image, labels of 1, 0 and nothing, and no patient's name."""
        from cxredge.site import read_cases

        try:
            cases = read_cases(self.put(data))
        except CxredgeError as error:
            return kind_of(error)
        rows: Any = len(cases.paths)
        if cases.truth.shape != (rows, len(LABELS)) or len(cases.patients) != rows:
            raise Broken("rows and labels do not go together")
        if not np.isin(cases.truth[~np.isnan(cases.truth)], (0.0, 1.0)).all():
            raise Broken("a label that is neither")
        if "kanari" in f"{cases!r} {cases.patients}".casefold():
            raise Broken("the cases hold a patient's name")
        return "read"
