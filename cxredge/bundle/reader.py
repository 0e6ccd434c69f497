"""Opens a bundle, and checks all of it on request.

Opening reads the manifest and the list of files. Every file is hashed whenever it is read, so nothing that was not
sealed reaches an engine; :func:`verify` reads them all.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxredge.bundle import manifest as manifests
from cxredge.bundle.archive import Store, open_store
from cxredge.bundle.manifest import MANIFEST_NAME, Manifest
from cxredge.bundle.onnx_guard import check_graph
from cxredge.errors import BundleError, Code, UsageError
from cxredge.result import BundleFacts

if TYPE_CHECKING:
    from types import TracebackType

    from cxredge.bundle.golden import Golden

__all__ = ["Bundle", "GraphFile", "open_bundle", "verify"]

_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib", ".npz", ".bin")
_KINDS = (".onnx", ".npy", ".json", ".md", ".txt", ".csv")


@dataclass(frozen=True, slots=True)
class GraphFile:
    """One sealed graph, ready for an engine. Its hash was checked when it was made."""

    bundle: Bundle
    file: str
    sha256: str
    precision: str
    engines: tuple[str, ...] | None
    """The engines it was found good for; None for any."""
    input_size: tuple[int, int]
    """Rows and columns of `image`."""
    outputs: dict[str, tuple[int, ...]]
    """Each output's shape without the batch axis."""

    def read(self) -> bytes:
        """The file's bytes, hashed again and looked through (no data outside the file, the promised face).

        Raises:
            BundleError: as :func:`verify`.
        """
        data = self.bundle.read(self.file)
        check_graph(data, self.file, self.input_size, self.outputs)
        return data

    def golden(self) -> Golden:
        """The bundle's golden input and outputs."""
        return self.bundle.golden()


class Bundle:
    """An open bundle. Use it as a context manager, or close it; reading is safe from several threads.

    Attributes:
        path: the folder or archive.
        manifest: what it says of itself.
        sha256: of `manifest.json`, which holds every other hash: it identifies the bundle.
        signed_by: the id of the key whose signature was checked before anything was parsed, or None.
    """

    def __init__(self, path: Path, store: Store, signed_by: str | None = None) -> None:
        self.path = path
        self.signed_by = signed_by
        self._store = store
        if MANIFEST_NAME not in store.names():
            raise BundleError(Code.BUNDLE_FILE_MISSING, MANIFEST_NAME)
        if store.size(MANIFEST_NAME) > manifests.MAX_MANIFEST_BYTES:
            raise BundleError(Code.BUNDLE_INVALID, "the manifest is too large")
        data = b"".join(store.chunks(MANIFEST_NAME))
        self.manifest: Manifest = manifests.decode(data)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self._compare_listing()

    def _compare_listing(self) -> None:
        there, named = set(self._store.names()), {MANIFEST_NAME, *self.manifest.files}
        for name in sorted(named - there):
            raise BundleError(Code.BUNDLE_FILE_MISSING, name)
        for name in sorted(there - named):
            raise BundleError(Code.BUNDLE_FILE_EXTRA, name)

    @property
    def facts(self) -> BundleFacts:
        """What a prediction says of the bundle."""
        m = self.manifest
        return BundleFacts(
            name=m.name, version=m.version, sha256=self.sha256, clinical=m.clinical, learned_from=m.learned_from
        )

    @property
    def precisions(self) -> tuple[str, ...]:
        """The precisions that it was sealed for: bf16 too, where running the fp32 graph so was checked."""
        sealed = {str(precision) for precision in self.manifest.golden.tolerance}
        return tuple(precision for precision in manifests.RUN_PRECISIONS if precision in sealed)

    def engines_for(self, precision: str) -> tuple[str, ...] | None:
        """The engines that may run a precision; None for any."""
        spec = self._graphs.get("fp32" if precision == "bf16" else precision)
        return spec.engines if spec else ()

    @property
    def _graphs(self) -> dict[str, manifests.GraphSpec]:
        return {str(precision): spec for precision, spec in self.manifest.graphs.items()}

    def read(self, name: str) -> bytes:
        """One file's bytes, as they were sealed.

        Raises:
            BundleError: BUNDLE_HASH when they are others, BUNDLE_FILE_MISSING when the manifest has no such file.
        """
        return b"".join(self._checked(name))

    def _checked(self, name: str) -> Iterator[bytes]:
        wanted = self.manifest.files.get(name)
        if wanted is None:
            raise BundleError(Code.BUNDLE_FILE_MISSING, f"the manifest names no {name!r}")
        digest = hashlib.sha256()
        for chunk in self._store.chunks(name):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != wanted:
            raise BundleError(Code.BUNDLE_HASH, name)

    def graph(self, precision: str) -> GraphFile:
        """The graph of one precision ("fp32", "fp16" or "int8"), its hash checked.

        Raises:
            BundleError: PRECISION_NOT_IN_BUNDLE, BUNDLE_HASH.
        """
        spec = self._graphs.get(precision)
        if spec is None:
            raise BundleError(
                Code.PRECISION_NOT_IN_BUNDLE, f"asked for {precision!r}; there are {', '.join(sorted(self._graphs))}"
            )
        for _ in self._checked(spec.file):
            pass
        size = (self.manifest.input.rows, self.manifest.input.columns)
        return GraphFile(self, spec.file, spec.sha256, precision, spec.engines, size, self.manifest.outputs)

    def golden(self) -> Golden:
        """The golden input and outputs.

        Raises:
            BundleError: BUNDLE_HASH, BUNDLE_PICKLE, BUNDLE_INVALID.
        """
        from cxredge.bundle.golden import Golden, read_npy

        spec, size = self.manifest.golden, self.manifest.input
        image = read_npy(self.read(spec.input), spec.input, (None, 1, size.rows, size.columns))
        outputs = {
            name: read_npy(self.read(file), file, (image.shape[0], *self.manifest.outputs[name]))
            for name, file in spec.outputs.items()
        }
        tolerance = {str(precision): dict(bounds) for precision, bounds in spec.tolerance.items()}
        return Golden(image, outputs, tolerance)

    def check(self) -> tuple[str, ...]:
        """Read and check every file's hash and kind, every graph and the golden arrays; the files, manifest first.

        Raises:
            BundleError: at the first refusal; the detail names the file.
        """
        names = sorted(self.manifest.files)
        for name in names:
            check_kind(name, self.read(name))
        for precision in self.manifest.graphs:
            self.graph(precision).read()
        self.golden()
        return (MANIFEST_NAME, *names)

    def close(self) -> None:
        """Let go of the archive's file handle."""
        self._store.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


PathLike = str | os.PathLike[str]


def open_bundle(path: PathLike, *, key: PathLike | None = None, signature: PathLike | None = None) -> Bundle:
    """Open a bundle: a folder, or a `.cxr` archive.

    The schema, the manifest and the list of files are checked here, each file's hash when it is read.

    Args:
        path: of the folder or file.
        key: a public key (a PEM file): the bundle must be signed by it, which is checked before anything is parsed.
        signature: the signature's file; None takes the bundle's path with `.sig` behind it.

    Raises:
        BundleError: BUNDLE_NOT_FOUND, BUNDLE_SCHEMA, BUNDLE_INVALID, BUNDLE_FILE_MISSING, BUNDLE_FILE_EXTRA,
            BUNDLE_PATH or BUNDLE_ARCHIVE; with a key what :func:`cxredge.bundle.signature.check_signature` raises.
        UsageError: BAD_ARGUMENT for a signature without a key.
    """
    where = Path(path)
    if key is not None:
        return _open_signed(where, key, signature)
    if signature is not None:
        raise UsageError(Code.BAD_ARGUMENT, "a signature is checked with a public key: give that too")
    return _read(where, open_store(where), None)


def _open_signed(where: Path, key: PathLike, signature: PathLike | None) -> Bundle:
    from cxredge.bundle.hashed import hash_bundle
    from cxredge.bundle.signature import check_signature, signature_path

    hashed = hash_bundle(where)
    try:
        signer = check_signature(
            hashed.form, hashed.sha256, signature_path(where) if signature is None else signature, key
        )
    except BaseException:
        hashed.close()
        raise
    return _read(where, hashed.open(), signer)


def _read(where: Path, store: Store, signer: str | None) -> Bundle:
    try:
        return Bundle(where, store, signer)
    except BaseException:
        store.close()
        raise


def verify(path: PathLike, *, key: PathLike | None = None, signature: PathLike | None = None) -> tuple[str, ...]:
    """Check everything about a bundle: its signature where a key is given, then every file.

    Returns the files that were checked, manifest first.

    Raises:
        BundleError: at the first refusal; the detail names the file.
        UsageError: as :func:`open_bundle`, whose arguments these are.
    """
    with open_bundle(path, key=key, signature=signature) as bundle:
        return bundle.check()


def check_kind(name: str, data: bytes) -> None:
    """Refuse a file whose kind has no place in a bundle: a pickle under any name, a program, an archive.

    Raises:
        BundleError: BUNDLE_PICKLE, or BUNDLE_INVALID.
    """
    lower = name.lower()
    # Protocols 2 to 5 start with PROTO and end with STOP (PEP 307, 3154, 574); torch zips them.
    pickled = data[:1] == b"\x80" and data[1:2] in (b"\2", b"\3", b"\4", b"\5") and data[-1:] == b"."
    if lower.endswith(_PICKLES) or pickled or data[:4] == b"PK\3\4":
        raise BundleError(Code.BUNDLE_PICKLE, name)
    if not lower.endswith(_KINDS):
        raise BundleError(Code.BUNDLE_INVALID, f"{name}: only {', '.join(_KINDS)} files belong into a bundle")
    if lower.endswith((".onnx", ".npy")):
        return
    try:
        text = data.decode("utf-8")
        if lower.endswith(".json"):
            json.loads(text)
    except (ValueError, RecursionError):
        raise BundleError(
            Code.BUNDLE_INVALID, f"{name} is not {'JSON' if lower.endswith('.json') else 'text'}"
        ) from None
    if "\0" in text:
        raise BundleError(Code.BUNDLE_INVALID, f"{name} is not text")
