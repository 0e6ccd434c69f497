"""Real workers with the embedded model: what becomes of good images, of bad ones, and of those that end a worker."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("highdicom", reason="the extra dicom is not installed")

from pydicom import dcmread
from pydicom.uid import generate_uid

from cxredge.errors import CxredgeError
from cxredge.node.analyse import Analysts
from cxredge.node.config import Destination, ModelChoice, Workers
from cxredge.node.events import Event
from cxredge.node.images import State
from cxredge.pipeline import EMBEDDED
from tests.support.dicom_files import dicom_bytes
from tests.support.filed import FILED, filed_bytes
from tests.support.nodes import wait_for
from tests.support.phantom import example_film
from tests.support.spooled import Spooled, spooled

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals")

DESTINATIONS = (
    Destination(name="pacs", objects=("sr", "seg"), url="http://127.0.0.1:9"),
    Destination(name="viewer", objects=("seg",), url="http://127.0.0.1:9"),
)
FINISHED = {State.ANALYSED, State.ABSTAINED, State.IGNORED, State.PARKED}
CANARY = ("Müller", "MULLER", "Zo", "PHANTOM-1", "19500102", "ACC-77", "Größer", "1.2.826")


def film(rows: int = 480, columns: int = 400, **tags: Any) -> bytes:
    """A drawn film that no other test has sent."""
    return filed_bytes(rows, columns, tags={"SOPInstanceUID": generate_uid()} | tags, draw=example_film)


@contextmanager
def working(here: Spooled) -> Iterator[Analysts]:
    """Workers that run; none of them is left afterwards."""
    analysts = Analysts(here.config, here.spool, here.images, here.watch, lambda: None)
    analysts.start()
    try:
        yield analysts
    finally:
        left = analysts.processes()
        analysts.stop(0)
        assert not [pid for pid in left if psutil.pid_exists(pid)]


def finished(here: Spooled, *identifiers: str) -> None:
    wait_for(lambda: all(here.image(one).state in FINISHED for one in identifiers), "all are finished")


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Spooled]:
    with_workers = Workers(timeout_s=60.0)
    spool = spooled(tmp_path / "spool", destinations=DESTINATIONS, workers=with_workers)
    yield spool
    spool.close()


def test_what_becomes_of_images(here: Spooled) -> None:
    data = film()
    first, second = here.add(data), here.add(film())
    urgent = here.add(film(), stat=True)
    lateral = here.add(film(ViewPosition="LL"))
    scan = here.add(film(Modality="CT", SOPClassUID="1.2.840.10008.5.1.4.1.1.2"))
    broken = here.add(film()[:-100_000])
    nonsense = here.add(b"no image at all")
    with working(here) as analysts:
        assert analysts.ready(120)
        finished(here, first, second, urgent, lateral, scan, broken, nonsense)
        own = here.add(here.results(first)["sr.dcm"])
        analysts.wake()
        finished(here, own)
    analysed = [facts["image"] for facts in here.watch.of(Event.ANALYSED)]
    assert analysed == [urgent, first, second]
    assert sorted(here.results(first)) == ["seg.dcm", "sr.dcm"]
    assert [row.destination for row in here.deliveries.of(first)] == ["pacs", "viewer"]
    report, image = dcmread(io.BytesIO(here.results(first)["sr.dcm"])), dcmread(io.BytesIO(data))
    assert (report.StudyInstanceUID, report.PatientName) == (image.StudyInstanceUID, FILED["PatientName"])
    referenced = {str(item.value) for item in report.iterall() if item.keyword == "ReferencedSOPInstanceUID"}
    assert str(image.SOPInstanceUID) in referenced

    assert (here.image(lateral).state, here.image(lateral).code) == (State.ABSTAINED, "lateral_view")
    assert list(here.results(lateral)) == ["sr.dcm"]
    assert [row.destination for row in here.deliveries.of(lateral)] == ["pacs"]  # nothing for one that takes no report

    assert (here.image(scan).state, here.image(scan).code) == (State.IGNORED, "wrong_modality")
    assert (here.image(own).state, here.image(own).code) == (State.IGNORED, "own_result")
    assert not here.results(scan) and not here.results(own)
    assert not here.deliveries.of(scan) and not here.deliveries.of(own)

    for identifier, code in ((broken, "pixels_truncated"), (nonsense, "not_an_image")):
        image = here.image(identifier)
        assert (image.state, image.code, image.attempts) == (State.PARKED, code, 1)
    reasons = " ".join(str(here.image(one).reason) for one in (first, lateral, scan, broken, nonsense, own))
    assert not [word for word in CANARY if word in reasons + here.watch.text()]


def strike(analysts: Analysts, here: Spooled, identifier: str, number: signal.Signals) -> None:
    """Send a signal to the worker each time that it has the image, until the image is parked."""
    struck: set[int] = set()

    def parked() -> bool:
        if here.image(identifier).state is State.RUNNING:
            for pid in set(analysts.processes()) - struck:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
                struck.add(pid)
        return here.image(identifier).state in FINISHED

    wait_for(parked, "it is parked")
    assert len(struck) == 2


def test_images_that_end_their_worker(tmp_path: Path) -> None:
    """The films are large enough to be caught in the act; a worker that is stopped looks like one that hangs."""
    here = spooled(tmp_path, destinations=DESTINATIONS[:1], workers=Workers(timeout_s=10.0))
    signals = {signal.SIGSEGV: ("worker_crashed", "crashed"), signal.SIGSTOP: ("worker_timeout", "timeout")}
    poisons = []
    with working(here) as analysts:
        assert analysts.ready(120)
        for number, (code, ending) in signals.items():
            poison = here.add(film(2000, 1600))
            poisons.append(poison)
            analysts.wake()
            strike(analysts, here, poison, number)
            image = here.image(poison)
            assert (image.state, image.code, image.attempts) == (State.PARKED, code, 2)
            assert len(here.watch.of(Event.WORKER_ENDED, code=ending)) == 2
            assert len(here.watch.of(Event.RETRIED, image=poison, code=code)) == 1
            assert len(here.watch.of(Event.PARKED, image=poison, code=code)) == 1
            assert not here.results(poison)
        # A person looks at one and gives it another turn: it was no poison after all. The node lives on.
        assert here.images.retry(poisons[0])
        after = here.add(film())
        analysts.wake()
        finished(here, poisons[0], after)
    assert here.image(poisons[0]).state is State.ANALYSED
    assert here.image(after).state is State.ANALYSED
    here.close()


def test_an_image_that_eats_memory(tmp_path: Path) -> None:
    """36 million pixels, and less memory than their results need."""
    import numpy as np

    small = example_film(600, 600)
    pixels = np.kron(small, np.ones((10, 10), dtype=small.dtype))
    huge = dicom_bytes(pixels, window=(2048.0, 4096.0), tags=FILED | {"SOPInstanceUID": generate_uid()})
    here = spooled(tmp_path, destinations=DESTINATIONS, workers=Workers(memory_mb=330))
    with working(here) as analysts:
        poison, after = here.add(huge), here.add(film())
        analysts.wake()
        finished(here, poison, after)
    image = here.image(poison)
    assert (image.state, image.code, image.attempts) == (State.PARKED, "out_of_memory", 2)
    assert "330 MB" in str(image.reason)
    assert here.image(after).state is State.ANALYSED
    assert len(here.watch.of(Event.WORKER_ENDED, code="memory")) == 2
    here.close()


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    """It is said at once; nothing is lost, nothing is parked, and a bundle that is put there is found."""
    bundle = tmp_path / "late.cxr"
    model = ModelChoice(bundle=bundle, engine="onnxruntime", precision="fp32", threads=1)
    here = spooled(tmp_path / "spool", destinations=DESTINATIONS, model=model)
    identifier = here.add(film())
    with working(here) as analysts:
        with pytest.raises(CxredgeError) as raised:
            analysts.ready(120)
        assert raised.value.code == "bundle_not_found"
        wait_for(lambda: len(here.watch.of(Event.FAILED, code="bundle_not_found")) > 1, "it is tried again")
        assert here.image(identifier).state is State.QUEUED
        assert here.image(identifier).attempts == 0
        bundle.symlink_to(EMBEDDED)
        finished(here, identifier)
        assert analysts.ready()
    assert here.image(identifier).state is State.ANALYSED
    here.close()


def test_idle_workers_and_stopping(here: Spooled) -> None:
    with working(here) as analysts:
        assert analysts.ready(120)
        (pid,) = analysts.processes()
        assert psutil.Process(pid).nice() >= min(19, psutil.Process().nice() + 10)
        if sys.platform == "linux":
            assert Path(f"/proc/{pid}/oom_score_adj").read_text().strip() == "800"
        # Results that cannot be written are no fault of the image's: it waits until they can be.
        results = here.config.spool / "results"
        results.rename(here.config.spool / "away")
        results.write_bytes(b"")
        patient = here.add(film())
        analysts.wake()
        wait_for(lambda: here.watch.of(Event.FAILED, code="output_unwritable"), "it is told")
        assert (here.image(patient).state, here.image(patient).attempts) in {(State.QUEUED, 0), (State.RUNNING, 1)}
        results.unlink()
        (here.config.spool / "away").rename(results)
        finished(here, patient)
        assert here.image(patient).state is State.ANALYSED
        # One that ends while it has nothing to do is replaced, and no image pays for it.
        os.kill(pid, signal.SIGKILL)
        identifier = here.add(filed_bytes(2000, 1600))
        analysts.wake()
        wait_for(lambda: here.image(identifier).state is State.RUNNING, "it runs")
        (pid,) = analysts.processes()
        os.kill(pid, signal.SIGSTOP)
        analysts.stop(0.2)  # what runs is given back
        assert not psutil.pid_exists(pid)
    assert (here.image(identifier).state, here.image(identifier).attempts) == (State.QUEUED, 0)
    assert here.watch.of(Event.WORKER_ENDED, code="stopped")
    assert not here.watch.of(Event.RETRIED)


NODE = """
import sys, time
from pathlib import Path
from cxredge.node.analyse import Analysts
from tests.node.test_analyse import DESTINATIONS
from tests.support.spooled import spooled
here = spooled(Path(sys.argv[1]), destinations=DESTINATIONS)
analysts = Analysts(here.config, here.spool, here.images, here.watch, lambda: None)
analysts.start()
while True:
    print(*analysts.processes(), flush=True)
    time.sleep(0.02)
"""


def test_a_node_that_is_killed(tmp_path: Path) -> None:
    """No worker is left behind, and each image ends as exactly one result, whenever it happened."""
    here = spooled(tmp_path, destinations=DESTINATIONS)
    identifiers = [here.add(film()) for _ in range(4)]
    for done in (1, 2):
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        node = subprocess.Popen(
            [sys.executable, "-P", "-c", NODE, str(tmp_path)], stdout=subprocess.PIPE, env=environment
        )
        try:
            wait_for(lambda: here.images.counts().get(State.ANALYSED, 0) >= done, "some are analysed")  # noqa: B023
        finally:
            node.kill()
        output = node.communicate()[0].decode().splitlines()
        workers = {int(pid) for line in output for pid in line.split()}
        assert workers
        wait_for(lambda: not any(alive(pid) for pid in workers), "no worker is left")  # noqa: B023
    before = {one: here.results(one) for one in identifiers if here.image(one).state is State.ANALYSED}
    with working(here):
        finished(here, *identifiers)
    assert all(here.image(one).state is State.ANALYSED for one in identifiers)
    assert {one: here.results(one) for one in before} == before  # what was finished is not made again
    reports = [dcmread(io.BytesIO(here.results(one)["sr.dcm"])).SOPInstanceUID for one in identifiers]
    assert len(set(reports)) == len(identifiers)
    assert all(len(here.deliveries.of(one)) == 2 for one in identifiers)
    here.close()


def alive(pid: int) -> bool:
    """Whether it runs; a zombie waits for whoever reaps orphans here."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
