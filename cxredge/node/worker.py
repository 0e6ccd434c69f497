"""Runs in a process of its own: loads the model once, then takes one image after another.

What can go wrong with an image goes wrong here: the node (`cxredge.node.process`) sees the clock, the memory and the
end of this process, and starts another. `python -m cxredge.node.worker` is started by the node, never by hand.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import threading
from contextlib import suppress
from typing import BinaryIO

from cxredge.dicom_out import prepare, results_as_dicom
from cxredge.engines.lifeline import end_with
from cxredge.errors import Code, CxredgeError, InputError
from cxredge.node import messages
from cxredge.node.images import State
from cxredge.node.messages import Blocked, Done, Failed, Order, Ready, Setup, Unloadable
from cxredge.node.model import open_model
from cxredge.node.spool import Spool

__all__ = ["Analyst", "main"]

_NICE = 10
_OOM_SCORE = "800"
_UNCERTAIN = frozenset({Code.FILE_UNREADABLE, Code.FILE_CHANGED})
"""Errors of an input that a second try may not meet: a disk that failed to read, once."""
_NO_RADIOGRAPH = frozenset({Code.OWN_RESULT, Code.WRONG_MODALITY})


def main() -> None:
    """Say whether the model is loaded, then answer each order."""
    orders, answers = _channels()
    setup = messages.read(orders)
    if not isinstance(setup, Setup):
        return
    # The orders' end ends this process everywhere (`_reading`), unless a library that hangs keeps Python from noticing.
    end_with(setup.parent)
    _yield_to_the_node()
    waiting = _reading(orders)
    analyst = _loaded(setup)
    if isinstance(analyst, Unloadable):
        messages.write(answers, analyst)
        return
    messages.write(answers, Ready())
    while True:
        answer = analyst.analyse(waiting.get().image)
        messages.write(answers, answer)
        if isinstance(answer, Failed) and answer.again:
            return  # whatever it was may have left its mark here: the second try begins afresh


def _channels() -> tuple[BinaryIO, BinaryIO]:
    """Orders come by standard input, answers go by standard output; what libraries print goes nowhere.

    Warnings and the texts of foreign errors quote the file. Of a crash only Python's own trace is told, which has
    names of functions and numbers of lines, no values.
    """
    orders, answers, crash = (os.dup(number) for number in (0, 1, 2))
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    faulthandler.enable(os.fdopen(crash, "w"))
    return os.fdopen(orders, "rb"), os.fdopen(answers, "wb")


def _yield_to_the_node() -> None:
    """Receiving goes first; and where memory runs out, the system shall end a worker, not the node."""
    with suppress(OSError, AttributeError):
        os.nice(_NICE)
    with suppress(OSError), open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(_OOM_SCORE)


def _reading(orders: BinaryIO) -> queue.SimpleQueue[Order]:
    """The orders, as a thread reads them; when they end, so does this process, whatever it does."""
    waiting: queue.SimpleQueue[Order] = queue.SimpleQueue()

    def read() -> None:
        with suppress(Exception):
            while isinstance(order := messages.read(orders), Order):
                waiting.put(order)
        os._exit(0)

    threading.Thread(target=read, name="orders", daemon=True).start()
    return waiting


def _loaded(setup: Setup) -> Analyst | Unloadable:
    try:
        return Analyst(setup)
    except CxredgeError as error:
        return Unloadable(code=error.code, detail=error.detail)
    except MemoryError:
        return Unloadable(code=Code.OUT_OF_MEMORY)
    except Exception as error:
        return Unloadable(code=Code.INTERNAL, detail=type(error).__name__)


class Analyst:
    """A loaded model, and the spool that its results go to."""

    def __init__(self, setup: Setup) -> None:
        """Load the model and run it once on its own golden input: an engine that fails, fails before an image is here.

        Raises:
            CxredgeError: what `cxredge.load` raises, or the engine.
        """
        self._spool = Spool(setup.spool)
        self._kinds = setup.kinds
        self._model = open_model(setup.model)
        self._model.session.run(self._model.golden_input())
        if self._kinds:
            prepare()

    def analyse(self, identifier: str) -> Done | Failed | Blocked:
        """Predict on an image and leave its results in the spool."""
        try:
            done, files = self._results(identifier)
        except MemoryError:
            return _failed(CxredgeError(Code.OUT_OF_MEMORY), again=True)
        except CxredgeError as error:
            certain = isinstance(error, InputError) and error.code not in _UNCERTAIN
            return _failed(error, again=not certain)
        except Exception as error:  # its text may quote the file: its type says enough
            return _failed(CxredgeError(Code.INTERNAL, type(error).__name__), again=True)
        try:
            if files:
                self._spool.put_results(identifier, files)
        except OSError as error:
            return Blocked(reason=error.strerror or type(error).__name__)
        return done

    def _results(self, identifier: str) -> tuple[Done, dict[str, bytes]]:
        from cxredge.dicom_out.writing import encoded

        path = self._spool.image(identifier)
        prediction = self._model.predict(path)
        made = results_as_dicom(prediction, path, self._kinds) if self._kinds else []
        files = {f"{result.kind}.dcm": encoded(result.dataset) for result in made}
        kinds = tuple(result.kind for result in made)
        if prediction.reason is None:
            return Done(state=State.ANALYSED, kinds=kinds), files
        code = prediction.reason.code
        state = State.IGNORED if code in _NO_RADIOGRAPH else State.ABSTAINED
        return Done(state=state, kinds=kinds, code=code, reason=prediction.reason.message), files


def _failed(error: CxredgeError, *, again: bool) -> Failed:
    return Failed(code=error.code, reason=error.message, again=again)


if __name__ == "__main__":
    main()
