"""A receiver of pynetdicom's own making, with the same promise as cxredge's: the peer of `node_receive.py`.

    python benchmarks/_pynetdicom_node.py FOLDER

As its documentation shows it: an `AE`, `STORE_RECV_CHUNKED_DATASET` so that data sets go to a file as they come, and a
handler that syncs, renames, syncs the folder and commits a row before it answers.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import sqlite3
import sys
import threading
from pathlib import Path
from typing import Any

LONGEST_PDU = 1 << 17


def main(folder: Path) -> None:
    """Serve until standard input ends."""
    from pynetdicom import AE, _config, evt

    logging.getLogger("pynetdicom").setLevel(logging.CRITICAL + 1)
    _config.STORE_RECV_CHUNKED_DATASET = True
    rows = sqlite3.connect(folder / "rows.db", isolation_level=None, check_same_thread=False)
    rows.execute("pragma journal_mode=wal")
    rows.execute("pragma synchronous=full")
    rows.execute("create table if not exists images (id text primary key, uid text, sha256 text)")
    lock = threading.Lock()

    def store(event: Any) -> int:
        name = secrets.token_hex(16)
        digest = hashlib.file_digest(event.dataset_path.open("rb"), "sha256").hexdigest()
        descriptor = os.open(event.dataset_path, os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
        os.link(event.dataset_path, folder / f"{name}.dcm")  # pynetdicom removes its own name later
        names = os.open(folder, os.O_RDONLY)
        os.fsync(names)
        os.close(names)
        with lock:
            rows.execute("insert into images values (?, ?, ?)", (name, event.request.AffectedSOPInstanceUID, digest))
        return 0

    node = AE("CXREDGE")
    node.maximum_pdu_size = LONGEST_PDU
    node.maximum_associations = 100
    node.add_supported_context("1.2.840.10008.5.1.4.1.1.1.1")
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    assert server is not None
    sys.stdout.write(f"PORT {server.socket.getsockname()[1]}\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
