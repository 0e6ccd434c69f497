"""Seals a bundle. What the reader would refuse is never written: the result is verified before it gets its name."""

from __future__ import annotations

import copy
import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxredge.bundle import manifest as manifests
from cxredge.bundle.archive import CHUNK, write_archive
from cxredge.bundle.manifest import MANIFEST_NAME, SCHEMA, Manifest
from cxredge.bundle.reader import verify
from cxredge.errors import BundleError, Code, UsageError

__all__ = ["write_bundle"]


def write_bundle(out: str | Path, manifest: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Path:
    """Seal a bundle: fill in the hashes, check everything, write it in one step.

    Args:
        out: a folder that does not exist yet, or a file that ends in `.cxr` (replaced if it is there).
        manifest: the manifest as plain JSON values, without `schema`, `files` and the graphs' `sha256`, which are
            worked out here.
        files: every other file of the bundle by name: its bytes, or where to copy it from.

    Returns `out`. The same arguments give the same bytes.

    Raises:
        BundleError: whatever :func:`cxredge.bundle.verify` would refuse; nothing is left behind.
        UsageError: OUTPUT_UNWRITABLE.
    """
    target = Path(out)
    if target.suffix != ".cxr" and target.exists():
        raise UsageError(Code.OUTPUT_UNWRITABLE, f"{target} exists")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise UsageError(Code.OUTPUT_UNWRITABLE, f"{target}: {error.strerror}") from None
    try:
        return _seal(target, scratch, manifest, files)
    except OSError as error:
        raise UsageError(Code.OUTPUT_UNWRITABLE, f"{target}: {error.strerror}") from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _seal(target: Path, scratch: Path, tree: Mapping[str, Any], files: Mapping[str, bytes | Path]) -> Path:
    folder = scratch / "bundle"
    folder.mkdir(mode=0o755)
    hashes = {name: _place(folder, name, content) for name, content in sorted(files.items())}
    (folder / MANIFEST_NAME).write_bytes(manifests.encode(_complete(tree, hashes)))
    verify(folder)
    if target.suffix != ".cxr":
        folder.replace(target)
        return target
    archive = scratch / "bundle.cxr"
    with archive.open("wb") as file:
        write_archive(file, {path.name: path for path in folder.iterdir()})
        file.flush()
        os.fsync(file.fileno())
    verify(archive)
    archive.replace(target)
    return target


def _complete(tree: Mapping[str, Any], hashes: Mapping[str, str]) -> Manifest:
    full = copy.deepcopy(dict(tree))
    for key, value in (("schema", SCHEMA), ("files", dict(hashes))):
        if full.setdefault(key, value) != value:
            raise BundleError(Code.BUNDLE_INVALID, f"manifest: {key} is worked out by the writer")
    graphs = full.get("graphs")
    for graph in graphs.values() if isinstance(graphs, dict) else ():
        if isinstance(graph, dict) and (sha256 := hashes.get(str(graph.get("file")))):
            graph["sha256"] = sha256
    return manifests.from_tree(full)


def _place(folder: Path, name: str, content: bytes | Path) -> str:
    manifests.check_name(name)
    if (folder / name).exists():
        raise BundleError(Code.BUNDLE_INVALID, f"{name} stands twice, but for upper and lower case")
    digest = hashlib.sha256()
    with (folder / name).open("wb") as out:
        if isinstance(content, bytes):
            digest.update(content)
            out.write(content)
            return digest.hexdigest()
        with Path(content).open("rb") as source:
            while chunk := source.read(CHUNK):
                digest.update(chunk)
                out.write(chunk)
    return digest.hexdigest()
