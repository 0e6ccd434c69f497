"""One node, assembled: what is started in which order, what stops in which, and what is looked after in between."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from importlib.util import find_spec
from typing import cast

from cxredge.errors import Code, CxredgeError, UsageError
from cxredge.node.config import NodeConfig
from cxredge.node.database import Database
from cxredge.node.deliveries import Deliveries
from cxredge.node.events import Event, Fact, Watch
from cxredge.node.images import Images
from cxredge.node.lock import SpoolLock
from cxredge.node.logs import Logs, own_last_words, silence_libraries
from cxredge.node.metrics import Metrics, SpoolGauges
from cxredge.node.notify import notify, watchdog_seconds
from cxredge.node.observe import Observatory
from cxredge.node.signals import StopSignals
from cxredge.node.spool import Spool

__all__ = ["DRAIN_SECONDS", "Node", "need_node", "serve"]

DRAIN_SECONDS = 20.0
"""How long what runs may take to end once the node is asked to; cutting it off takes some more, and 30 are promised."""
LOOK_SECONDS = 1.0
"""How often the node looks whether `cxredge queue` has changed the tables."""


def need_node() -> None:
    """Check that the extra is installed.

    Raises:
        UsageError: NODE_MISSING.
    """
    for package in ("pynetdicom", "highdicom"):
        if find_spec(package) is None:
            raise UsageError(Code.NODE_MISSING, f"there is no {package}")


class Node:
    """A node. Make it (that takes the spool), `start` it, `look` every second, and `stop` it."""

    def __init__(self, config: NodeConfig, watch: Watch) -> None:
        """Take the spool, and nothing else yet.

        Raises:
            CxredgeError: SPOOL_BUSY, SPOOL_UNUSABLE.
        """
        from cxredge.node.analyse import Analysts
        from cxredge.node.deliver import Couriers
        from cxredge.node.receive import Receiver
        from cxredge.node.retire import Retirement

        self._began = time.monotonic()
        self._senders = config.senders
        self._spool = Spool(config.spool)
        with ExitStack() as undo:
            undo.callback(SpoolLock(config.spool).release)
            database, counted = Database(self._spool.database), Database(self._spool.database)
            undo.callback(database.close)
            undo.callback(counted.close)
            self._database = database
            self._images, deliveries = Images(database), Deliveries(database)
            self._metrics = Metrics(SpoolGauges(self._spool, Images(counted), Deliveries(counted)).lines)
            self._watch = _both(watch, self._metrics)
            self._couriers = Couriers(config, self._spool, self._images, deliveries, self._watch)
            self._analysts = Analysts(config, self._spool, self._images, self._watch, self._couriers.wake)
            self._receiver = Receiver(config, self._spool, self._images, self._watch, self._analysts.wake)
            self._observatory = Observatory(config.metrics, self._metrics.text, self.ready)
            self._retirement = Retirement(config, self._spool, database, self._watch)
            self._held = undo.pop_all()
        self._receiving = False
        self._changes = self._seen_changes()

    @property
    def port(self) -> int:
        """Where it listens for DICOM."""
        return self._receiver.port

    def start(self) -> None:
        """Put the spool in order, and begin.

        Raises:
            CxredgeError: NODE_ADDRESS where it cannot listen, SPOOL_UNUSABLE.
        """
        from cxredge.node.receive import adopt

        self._spool.sweep()
        adopt(self._spool, self._images, self._watch, self._senders)
        self._couriers.start()
        self._analysts.start()
        self._retirement.start()
        self._receiver.start()
        self._receiving = True
        self._observatory.start()
        self._watch(Event.STARTED, seconds=time.monotonic() - self._began)

    def ready(self) -> dict[str, str]:
        """What `/readyz` asks: whether images are taken, and whether a model is loaded; "yes", or why not."""
        try:
            analysing = "yes" if self._analysts.ready() else "no: the model is being loaded"
        except CxredgeError as error:
            analysing = f"no: {error.code}"
        return {"receiving": "yes" if self._receiving else "no", "analysing": analysing}

    def look(self) -> None:
        """Wake everybody where another process, `cxredge queue`, has changed the tables."""
        changes = self._seen_changes()
        if changes != self._changes:
            self._changes = changes
            self._analysts.wake()
            self._couriers.wake()

    def _seen_changes(self) -> int:
        """SQLite's count of changes by other connections than this one."""
        return cast("int", self._database.rows("pragma data_version")[0]["data_version"])

    def stop(self, seconds: float = DRAIN_SECONDS) -> None:
        """Receive no more, let what runs end within this time, and close everything."""
        self._receiving = False
        _together(
            lambda: self._receiver.stop(seconds),
            lambda: self._analysts.stop(seconds),
            lambda: self._couriers.stop(seconds),
            lambda: self._retirement.stop(seconds),
        )
        self._observatory.stop()
        self._held.close()
        self._watch(Event.STOPPED)


def serve(config: NodeConfig) -> None:
    """Run a node in this process until SIGTERM or SIGINT ends it well; a second signal ends it at once.

    Raises:
        CxredgeError: NODE_MISSING, SPOOL_BUSY, SPOOL_UNUSABLE, NODE_ADDRESS: it could not start.
    """
    need_node()
    silence_libraries()
    _keep_no_cores()
    signals = StopSignals()
    logs = Logs(sys.stderr)
    own_last_words(logs)
    try:
        node = Node(config, logs)
        try:
            node.start()
            notify("READY=1")
            _look_after(node, logs, signals)
            notify("STOPPING=1")
        finally:
            node.stop()
    finally:
        logs.close()
    _leave()


def _leave() -> None:
    """End the process, and do not wait for a library's thread that waits for a peer: all that must last is on disk."""
    if any(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate()):
        os._exit(0)


def _look_after(node: Node, watch: Watch, signals: StopSignals) -> None:
    watchdog = watchdog_seconds()
    pause = min(LOOK_SECONDS, watchdog / 3) if watchdog else LOOK_SECONDS
    while not signals.wait(pause):
        try:
            node.look()
        except Exception as error:  # a database that cannot be read: the watchdog hears nothing, the next look may heal
            watch(Event.FAILED, code=type(error).__name__)
        else:
            notify("WATCHDOG=1")


def _both(*watches: Watch) -> Watch:
    """One that tells all of them; what one of them raises is not the teller's business."""

    def tell(event: Event, **facts: Fact) -> None:
        for watch in watches:
            with suppress(Exception):
                watch(event, **facts)

    return tell


def _together(*steps: Callable[[], None]) -> None:
    """Run all at once: each may take all of the time there is."""
    threads = [threading.Thread(target=step, name="stop") for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _keep_no_cores() -> None:
    """A core file would hold images and names; workers inherit the limit."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
