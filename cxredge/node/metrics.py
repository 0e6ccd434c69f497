"""What a node counts: made of the same events as its log, and of the spool's own tables."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version

from cxredge.node.deliveries import Deliveries
from cxredge.node.deliveries import State as DeliveryState
from cxredge.node.events import Event, Fact
from cxredge.node.exposition import Counter, Histogram, gauge_lines
from cxredge.node.images import Images, State
from cxredge.node.spool import Spool

__all__ = ["Metrics", "SpoolGauges"]

FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds of one step: a C-STORE, an analysis, a delivery."""
SLOW = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14400, 86400)
"""Seconds from an image's arrival: it may have waited in the queue, or for a destination."""

COUNTED: dict[Event, tuple[str, str, tuple[str, ...]]] = {
    Event.CONNECTION_REFUSED: ("connections_refused", "Connections and associations that were refused.", ("code",)),
    Event.ASSOCIATION_ENDED: ("associations_ended", "Associations, by how they ended.", ("code",)),
    Event.RECEIVED: ("received", "Images that were answered with success, and are on disk.", ("sender",)),
    Event.KNOWN: ("known", "Images that had been received before, sent once more.", ("sender",)),
    Event.STORE_REFUSED: ("store_refused", "C-STOREs that were not answered with success.", ("sender", "code")),
    Event.ADOPTED: ("adopted", "Images that a crash had left without their row, found at start.", ()),
    Event.ANALYSED: ("analysed", "Images with findings.", ()),
    Event.ABSTAINED: ("abstained", "Images whose report says why there are no findings.", ("code",)),
    Event.IGNORED: ("ignored", "Objects that no result belongs to.", ("code",)),
    Event.RETRIED: ("retried", "Analyses that failed and have one more turn.", ("code",)),
    Event.PARKED: ("parked", "Images that could not be analysed, and wait for a person.", ("code",)),
    Event.WORKER_ENDED: ("workers_ended", "Worker processes, by how they ended.", ("code",)),
    Event.SENT: ("sent", "Deliveries that a destination has answered with success.", ("destination",)),
    Event.SEND_FAILED: ("send_failures", "Tries to deliver that failed.", ("destination", "code")),
    Event.GIVEN_UP: ("given_up", "Deliveries that were given up.", ("destination", "code")),
    Event.FAILED: ("failures", "Things that should not happen.", ("code",)),
}
"""Event -> the counter `cxredge_NAME_total`, what it counts, and the facts that are its labels."""

TIMED: dict[str, tuple[str, tuple[float, ...], tuple[str, ...], dict[Event, str]]] = {
    "store_seconds": (
        "From a C-STORE's request to its answer of success.",
        FAST,
        (),
        {Event.RECEIVED: "seconds"},
    ),
    "analysis_seconds": (
        "From an image's turn to its results on disk.",
        FAST,
        (),
        {Event.ANALYSED: "seconds", Event.ABSTAINED: "seconds"},
    ),
    "arrival_to_result_seconds": (
        "From an image's arrival to its results on disk.",
        SLOW,
        (),
        {Event.ANALYSED: "waited", Event.ABSTAINED: "waited"},
    ),
    "send_seconds": (
        "One delivery, from its connection to its last answer.",
        FAST,
        ("destination",),
        {Event.SENT: "seconds"},
    ),
    "arrival_to_sent_seconds": (
        "From an image's arrival to the destination's answer.",
        SLOW,
        ("destination",),
        {Event.SENT: "waited"},
    ),
}
"""The histogram `cxredge_NAME`: what it measures, its bounds, its labels, and the fact of each event that it takes."""


class Metrics:
    """A Watch that counts, and the text that Prometheus reads."""

    def __init__(self, gauges: Callable[[], Iterable[str]]) -> None:
        """Everything begins at zero.

        Args:
            gauges: the lines of all that is read when it is asked for, as `SpoolGauges.lines` gives them.
        """
        self._gauges = gauges
        self._counters = {
            event: (Counter(f"cxredge_{name}_total", what, labels), labels)
            for event, (name, what, labels) in COUNTED.items()
        }
        self._bytes = Counter("cxredge_received_bytes_total", "Bytes of the images that were received.", ("sender",))
        self._retired = Counter("cxredge_retired_total", "What retention has removed.", ("what",))
        self._histograms = {
            name: (Histogram(f"cxredge_{name}", what, bounds, labels), labels)
            for name, (what, bounds, labels, _) in TIMED.items()
        }

    def __call__(self, event: Event, **facts: Fact) -> None:
        """Count an event."""
        if event in self._counters:
            counter, labels = self._counters[event]
            counter.add(1, *_texts(facts, labels))
        if event is Event.RECEIVED:
            self._bytes.add(float(facts.get("bytes", 0)), *_texts(facts, ("sender",)))
        if event is Event.RETIRED:
            for what, number in facts.items():
                self._retired.add(float(number), what)
        for name, (_, _, labels, taken) in TIMED.items():
            if event in taken and taken[event] in facts:
                self._histograms[name][0].observe(float(facts[taken[event]]), *_texts(facts, labels))

    def text(self) -> str:
        """All of it, as it stands now."""
        lines: list[str] = list(self._gauges())
        for counter in (*(one for one, _ in self._counters.values()), self._bytes, self._retired):
            lines += counter.lines()
        for histogram, _ in self._histograms.values():
            lines += histogram.lines()
        return "\n".join(lines) + "\n"


def _texts(facts: dict[str, Fact], names: Iterable[str]) -> list[str]:
    return [str(facts.get(name, "unknown")) for name in names]


class SpoolGauges:
    """What the tables and the disk say: read at most every few seconds, whoever asks how often."""

    FRESH_SECONDS = 2.0

    def __init__(self, spool: Spool, images: Images, deliveries: Deliveries) -> None:
        """Give it a connection of its own, so that counting holds up nobody."""
        self._spool, self._images, self._deliveries = spool, images, deliveries
        self._lock = threading.Lock()
        self._read = float("-inf")
        self._lines: list[str] = []
        self._started = time.time()

    def lines(self) -> list[str]:
        """The gauges' text."""
        with self._lock:
            if time.monotonic() - self._read > self.FRESH_SECONDS:
                self._lines = list(self._now())
                self._read = time.monotonic()
            return self._lines

    def _now(self) -> Iterable[str]:
        running: dict[tuple[str, ...], float] = {(version("cxredge"),): 1.0}
        yield from gauge_lines("cxredge_info", "The version that runs.", running, ("version",))
        yield from gauge_lines(
            "cxredge_start_time_seconds", "When the node started, in seconds since 1970.", {(): self._started}
        )
        counts = self._images.counts()
        states: dict[tuple[str, ...], float] = {(str(state),): float(counts.get(state, 0)) for state in State}
        yield from gauge_lines("cxredge_images", "Images that the node knows of, by state.", states, ("state",))
        yield from gauge_lines(
            "cxredge_deliveries",
            "Deliveries that are not done.",
            {
                (place, str(state)): float(number)
                for (place, state), number in self._deliveries.counts().items()
                if state is not DeliveryState.SENT
            },
            ("destination", "state"),
        )
        yield from gauge_lines(
            "cxredge_oldest_wait_seconds",
            "How long the oldest queued image has waited.",
            {(): self._images.oldest_wait()},
        )
        yield from gauge_lines(
            "cxredge_free_disk_bytes", "Room on the spool's disk.", {(): float(self._spool.free_bytes())}
        )
