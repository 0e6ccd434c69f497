"""The analysing side of the node: worker processes, and who watches each of them."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable

import msgspec

from cxredge.errors import Code, CxredgeError
from cxredge.node.config import ModelChoice, NodeConfig
from cxredge.node.events import Event, Watch
from cxredge.node.images import Image, Images, State
from cxredge.node.messages import Answer, Blocked, Done, Failed, Ready, Setup, Unloadable
from cxredge.node.pace import pause_after
from cxredge.node.process import Ended, WorkerProcess
from cxredge.node.spool import Spool

__all__ = ["Analysts"]

_LOADS_WITHIN = 900.0
"""Seconds for a model to load: `engine = "auto"` measures all engines when it sees a bundle for the first time."""
_LOOKS_EVERY = 1.0
"""Seconds between two looks at the queue where nobody calls `wake`: `cxredge queue retry` is another process."""
_LONGEST_PAUSE = 60.0
_ENDS_WITHIN = 10.0
_ENDINGS = {Code.WORKER_TIMEOUT: "timeout", Code.OUT_OF_MEMORY: "memory", Code.WORKER_CRASHED: "crashed"}


class Analysts:
    """The worker processes of a node: `workers.count` of them, replaced when they end."""

    def __init__(
        self, config: NodeConfig, spool: Spool, images: Images, watch: Watch, wake: Callable[[], None]
    ) -> None:
        """Start nothing yet.

        Args:
            config: the whole file.
            spool: where images lie and results go.
            images: the table.
            watch: who is told.
            wake: called when results are there to be sent.
        """
        self._images = images
        self._state = _Loading()
        self._supervisors = [
            _Supervisor(number, config, spool, images, watch, wake, self._state)
            for number in range(config.workers.count)
        ]

    def start(self) -> None:
        """Start the workers; images that ran when the node last ended have their turn again. Does not wait."""
        self._images.give_back()
        for supervisor in self._supervisors:
            supervisor.start()

    def ready(self, seconds: float = 0.0) -> bool:
        """Whether a worker has loaded the model; waits for it, or for its failure, so many seconds at most.

        Raises:
            CxredgeError: why the model could not be loaded, as long as no worker could. They go on trying: what is
                mended is found.
        """
        return self._state.wait(seconds)

    def wake(self) -> None:
        """A new image is there."""
        for supervisor in self._supervisors:
            supervisor.wake()

    def processes(self) -> list[int]:
        """The process identifiers of the workers that run."""
        return [pid for supervisor in self._supervisors if (pid := supervisor.pid) is not None]

    def stop(self, seconds: float) -> None:
        """Take no more images, give those that run so many seconds, then end all workers; what ran is queued again."""
        until = time.monotonic() + seconds
        for supervisor in self._supervisors:
            supervisor.stop()
        for supervisor in self._supervisors:
            supervisor.end(max(0.0, until - time.monotonic()))


class _Loading:
    """What is known of the model: loaded by at least one worker, or why not."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._loaded = False
        self._problem: CxredgeError | None = None

    @property
    def loaded(self) -> bool:
        """Whether a worker has loaded it."""
        return self._loaded

    def succeed(self) -> None:
        """A worker has loaded it."""
        with self._changed:
            self._loaded, self._problem = True, None
            self._changed.notify_all()

    def fail(self, problem: CxredgeError) -> None:
        """A worker could not load it."""
        with self._changed:
            self._problem = problem
            self._changed.notify_all()

    def wait(self, seconds: float) -> bool:
        """See `Analysts.ready`."""
        with self._changed:
            self._changed.wait_for(lambda: self._loaded or self._problem is not None, seconds)
            if not self._loaded and self._problem is not None:
                raise CxredgeError(self._problem.code, self._problem.detail)
            return self._loaded


class _Supervisor:
    """A thread that keeps one worker: it starts it, gives it images, and writes down what came of each."""

    def __init__(
        self,
        number: int,
        config: NodeConfig,
        spool: Spool,
        images: Images,
        watch: Watch,
        wake: Callable[[], None],
        loading: _Loading,
    ) -> None:
        self._first = number == 0
        self._config = config
        self._images = images
        self._watch = watch
        self._results_are_there = wake
        self._loading = loading
        model = _shared_out(config.model, config.workers.count)
        self._setup = Setup(parent=os.getpid(), spool=spool.folder, model=model, kinds=config.kinds())
        self._worker: WorkerProcess | None = None
        self._failures = 0
        self._called = threading.Event()
        self._stopping = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"analyst {number}", daemon=True)

    @property
    def pid(self) -> int | None:
        """The worker's process, where one runs."""
        worker = self._worker
        return worker.pid if worker is not None and worker.alive else None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wake(self) -> None:
        """Look at the queue now."""
        self._called.set()

    def stop(self) -> None:
        """Take no more images."""
        self._stopping.set()
        self._called.set()

    def end(self, seconds: float) -> None:
        """After `stop`: wait for what runs, then end it."""
        if not self._thread.is_alive():
            return
        self._thread.join(seconds)
        self._abandoned.set()
        self._thread.join(_ENDS_WITHIN)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._turn()
            except Exception as error:  # a disk that is full, a table that is locked: the thread lives on
                self._watch(Event.FAILED, code=type(error).__name__)
                self._failed()
        self._end_worker()

    def _turn(self) -> None:
        """One image, or one attempt at having a worker, or a short wait."""
        worker = self._ready_worker()
        if worker is None:
            return
        self._called.clear()
        image = self._images.take()
        if image is None:
            self._called.wait(_LOOKS_EVERY)
        else:
            self._analyse(worker, image)

    def _ready_worker(self) -> WorkerProcess | None:
        """A worker with a loaded model; None where there is none yet."""
        if self._worker is not None and not self._worker.alive:
            self._lost(Ended(Code.WORKER_CRASHED))
        if self._worker is not None:
            return self._worker
        if not self._first and not self._loading.loaded:  # the first one measures engines: alone
            self._called.wait(_LOOKS_EVERY)
            self._called.clear()
            return None
        self._worker = worker = WorkerProcess(self._setup, self._config.workers.memory_mb << 20)
        try:
            answer = worker.answer(_LOADS_WITHIN, self._stopping.is_set)
        except Ended as ended:
            if ended.code is not None:
                self._unloadable(ended.code, f"while loading the model, {ended.reason}")
            self._lost(ended)
            return None
        if isinstance(answer, Ready):
            self._loading.succeed()
            return worker
        self._end_worker()
        if isinstance(answer, Unloadable):
            self._unloadable(Code(answer.code), answer.detail)
        self._failed()
        return None

    def _unloadable(self, code: Code, detail: str) -> None:
        self._loading.fail(CxredgeError(code, detail))
        self._watch(Event.FAILED, code=code)

    def _analyse(self, worker: WorkerProcess, image: Image) -> None:
        began = time.monotonic()
        try:
            worker.order(image.id)
        except OSError:  # it had ended while it waited: no fault of the image's
            self._write_down(lambda: self._images.give_back([image.id]))
            return self._lost(Ended(Code.WORKER_CRASHED))
        try:
            answer = worker.answer(self._config.workers.timeout_s, self._abandoned.is_set)
        except Ended as ended:
            self._ended_on(image, ended)
        else:
            self._answered(image, answer, time.monotonic() - began)

    def _ended_on(self, image: Image, ended: Ended) -> None:
        code = ended.code
        if code is None:
            self._write_down(lambda: self._images.give_back([image.id]))
        else:
            self._fail(image, code, CxredgeError(code, ended.reason).message, again=True)
        self._lost(ended)

    def _answered(self, image: Image, answer: Answer, seconds: float) -> None:
        if isinstance(answer, Done):
            self._failures = 0
            self._finish(image, answer, seconds)
        elif isinstance(answer, Failed):
            self._fail(image, answer.code, answer.reason, again=answer.again)
            if answer.again:
                self._end_worker()
                self._failed()
            else:
                self._failures = 0
        elif isinstance(answer, Blocked):
            self._write_down(lambda: self._images.give_back([image.id]))
            self._watch(Event.FAILED, code=Code.OUTPUT_UNWRITABLE)
            self._failed()
        else:
            self._ended_on(image, Ended(Code.WORKER_CRASHED, "it answered something else"))

    def _finish(self, image: Image, done: Done, seconds: float) -> None:
        places = [one.name for one in self._config.destinations if set(one.objects) & set(done.kinds)]
        self._write_down(lambda: self._images.finish(image.id, done.state, places, code=done.code, reason=done.reason))
        self._results_are_there()
        waited = max(0.0, time.time() - image.received)
        if done.state is State.ANALYSED:
            self._watch(Event.ANALYSED, image=image.id, seconds=seconds, waited=waited)
        elif done.state is State.ABSTAINED:
            self._watch(Event.ABSTAINED, image=image.id, code=done.code or "", seconds=seconds, waited=waited)
        else:
            self._watch(Event.IGNORED, image=image.id, code=done.code or "")

    def _fail(self, image: Image, code: str, reason: str, *, again: bool) -> None:
        states: list[State] = []
        self._write_down(lambda: states.append(self._images.fail(image.id, code, reason, again=again)))
        for state in states:
            event = Event.PARKED if state is State.PARKED else Event.RETRIED
            self._watch(event, image=image.id, code=code)

    def _write_down(self, change: Callable[[], object]) -> None:
        """Make a change that must not be lost, as soon as the disk takes it; a starting node knows what to do if not.

        A row that stays RUNNING without a worker would wait until the next start.
        """
        failures = 0
        while True:
            try:
                change()
                return
            except (sqlite3.Error, OSError) as error:
                failures += 1
                self._watch(Event.FAILED, code=type(error).__name__)
            if self._abandoned.wait(pause_after(failures, _LONGEST_PAUSE)):
                return

    def _lost(self, ended: Ended) -> None:
        self._end_worker()
        self._watch(Event.WORKER_ENDED, code=_ENDINGS[ended.code] if ended.code else "stopped")
        if ended.code is not None:
            self._failed()

    def _end_worker(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.end()

    def _failed(self) -> None:
        """Wait before the next try: not at all after one failure, then longer and longer."""
        self._failures += 1
        if self._failures > 1:
            self._stopping.wait(pause_after(self._failures - 1, _LONGEST_PAUSE))


def _shared_out(model: ModelChoice, workers: int) -> ModelChoice:
    """Several workers share the processor's cores unless the file says how many threads each may use."""
    if model.threads is not None or workers == 1:
        return model
    return msgspec.structs.replace(model, threads=max(1, (os.cpu_count() or 1) // workers))
