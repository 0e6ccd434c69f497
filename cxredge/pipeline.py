"""From a source to a prediction: load a bundle once, then predict as often as you like, from any thread."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import numpy.typing as npt

from cxredge.bundle import Bundle, Manifest, open_bundle
from cxredge.clock import Clock
from cxredge.conclusions import Outputs, conclude
from cxredge.engines.base import EngineRequest, Session
from cxredge.engines.registry import choose, open_session
from cxredge.errors import Abstention, BundleError, Code, CxredgeError, EngineError, UsageError
from cxredge.files import path_text
from cxredge.pixels import Geometry, Percentiles, Placement
from cxredge.prediction import Evidence, Prediction, Renderer, Shape
from cxredge.reading import Limits, Radiograph, open_source, read_plane
from cxredge.result import Gate, InputFacts, Notice, Ran, Record, notice
from cxredge.streaming import Answered, in_order
from cxredge.streams import Streams, streams_for

if TYPE_CHECKING:
    from cxredge.reading import Source

__all__ = ["BUNDLE_VARIABLE", "KEY_VARIABLE", "Model", "load"]

BUNDLE_VARIABLE = "CXREDGE_BUNDLE"
EMBEDDED = Path(__file__).parent / "bundles" / "default.cxr"
"""The bundle that comes with the package."""
"""The environment variable that names the bundle where none is given."""
KEY_VARIABLE = "CXREDGE_KEY"
"""The environment variable that names the public key where none is given."""
DEFAULT_LIMITS = Limits()


@dataclass(slots=True)
class _Prepared:
    """An input that is ready for the engine."""

    facts: InputFacts
    warnings: tuple[Notice, ...]
    plane: npt.NDArray[np.float32]
    placement: Placement
    shape: Shape
    render: Renderer
    clock: Clock


def find_bundle(bundle: str | os.PathLike[str] | None) -> Path:
    """The bundle's path: the one given, else the one that CXREDGE_BUNDLE names, else the one in this package.

    Raises:
        BundleError: NO_BUNDLE where there is none of the three, BUNDLE_NOT_FOUND where the path given is empty.
    """
    if bundle is not None and not os.fspath(bundle):  # an unset variable of a script: not the same as none given
        raise BundleError(Code.BUNDLE_NOT_FOUND, "the path is empty")
    named = bundle or os.environ.get(BUNDLE_VARIABLE)
    if named:
        return Path(named)
    if EMBEDDED.exists():
        return EMBEDDED
    raise BundleError(Code.NO_BUNDLE)


def load(
    bundle: str | os.PathLike[str] | None = None,
    engine: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    threads: int | None = None,
    *,
    operating_point: str | None = None,
    key: str | os.PathLike[str] | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Model:
    """Open a bundle and an engine for it. Do this once, keep the model, and use it from as many threads as you like.

    Args:
        bundle: a bundle folder or `.cxr` file; None takes CXREDGE_BUNDLE, then the embedded one.
        engine: "auto" (measured once on this machine, then remembered), or a name from `cxredge doctor`.
        device: "auto", "cpu", "cuda", ...: as `cxredge doctor` lists them.
        precision: "auto", or one of the bundle's graphs: "fp32", "fp16", "int8"; "bf16" runs the fp32 graph so.
        threads: how many threads one inference may use; None lets the engine choose.
        operating_point: which thresholds to decide with; None takes the bundle's default.
        key: a public key (a PEM file): a bundle that it did not sign is refused before anything in it is parsed. None
            takes CXREDGE_KEY; without that, no signature is asked for.
        limits: the largest input that is accepted.

    Raises:
        BundleError: there is no bundle, or it is not one to be trusted.
        EngineError: the engine, device or precision asked for cannot be had here.
        UsageError: an argument names something that does not exist.
    """
    if threads is not None and threads < 1:
        raise UsageError(Code.BAD_ARGUMENT, f"threads must be at least 1, not {threads}")
    opened = open_bundle(find_bundle(bundle), key=_key(key))
    try:
        point = _operating_point(opened.manifest, operating_point)
        request = EngineRequest(engine=engine, device=device, precision=precision, threads=threads)
        chosen = choose(opened, request)
        graph = opened.graph(chosen.graph_precision)
        session = open_session(graph, chosen.request)
    except BaseException:
        opened.close()
        raise
    return Model(opened, session, point, limits, streams_for(request, graph, chosen.request, session))


class Model:
    """A loaded bundle on a running engine. Make one with :func:`load`; close it, or use it in a `with` block.

    All methods may be called from several threads at once.
    """

    def __init__(
        self, bundle: Bundle, session: Session, operating_point: str, limits: Limits, streams: Streams | None = None
    ) -> None:
        self._bundle = bundle
        self._session = session
        self._streams = streams
        self._limits = limits
        self._point = operating_point
        self._process = os.getpid()
        spec = bundle.manifest.input
        self._geometry = Geometry(spec.rows, spec.columns, spec.fit)
        self._percentiles = Percentiles(spec.percentiles.low, spec.percentiles.high)

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself."""
        return self._bundle.manifest

    @property
    def ran(self) -> Ran:
        """The engine, device, precision and threads that run, as the engine itself tells them."""
        return _ran(self._session)

    @property
    def session(self) -> Session:
        """The engine itself, for measuring it alone; it stays the model's to close."""
        return self._session

    def golden_input(self) -> npt.NDArray[np.float32]:
        """The bundle's golden batch for the engine: float32 [N, 1, H, W].

        Raises:
            BundleError: it is not as it was sealed.
        """
        return self._bundle.golden().input

    @property
    def operating_point(self) -> str:
        """The thresholds that decide unless `predict` is given others."""
        return self._point

    def predict(self, source: Source, *, operating_point: str | None = None) -> Prediction:
        """Read one input and predict.

        Args:
            source: a path; the bytes of a file or an open binary file; a 2-D NumPy array (uint8 full range, 16-bit
                by percentiles, float in 0..1; bright = dense); or a pydicom Dataset.
            operating_point: other thresholds than the model's.

        Returns:
            A prediction with status "ok", or "abstained" with its reason.

        Raises:
            InputError: the input is broken; `code`, `tag` and the text say how.
            EngineError: the engine failed on it; ENGINE_FORKED in a process that was forked since the model was loaded.
        """
        point = self._checked_point(operating_point)
        clock = Clock()
        try:
            prepared = self._prepare(source, clock)
        except Abstention as abstention:
            return self._refused(abstention, "abstained", clock)
        return self._infer([prepared], point, self._session)[0]

    def predict_many(
        self,
        sources: Iterable[Source],
        *,
        batch_size: int = 1,
        workers: int | None = None,
        operating_point: str | None = None,
    ) -> Generator[Prediction, None, None]:
        """Predict on many inputs: in their order, reading the next ones while the engine works.

        A bad input gives a prediction with status "error" and the rest goes on. Memory does not grow with the
        number of inputs: at most `2 * workers + batch_size` are under way. Closing the iterator stops the reading.

        On a processor with several cores, a list (or anything else that tells its length) of 16 inputs or more is
        run with one thread an image and an image on each core, unless `batch_size`, `workers` or the model's `threads`
        were given: that is faster for all together, and slower for each.

        Args:
            sources: any iterable; it is consumed as the results are.
            batch_size: how many images go through the engine at once.
            workers: threads that read; None takes one for each core, at most four.
            operating_point: other thresholds than the model's.

        Raises:
            EngineError: ENGINE_FORKED in a process that was forked since the model was loaded.
        """
        if batch_size < 1 or (workers is not None and workers < 1):
            raise UsageError(Code.BAD_ARGUMENT, "batch_size and workers must be at least 1")
        point = self._checked_point(operating_point)
        if self._streams is not None and batch_size == 1 and workers is None:
            session = self._streams.for_inputs(sources)
            if session is not None:
                return in_order(
                    sources, lambda source: self._whole(source, point, session), list, self._streams.count, 1
                )
        count = workers or min(4, os.cpu_count() or 1)
        return in_order(
            sources,
            self._prepare_or_refuse,
            lambda batch: self._infer_or_refuse(batch, point, self._session),
            count,
            batch_size,
        )

    def close(self) -> None:
        """Give the engine's memory back; predictions that were made stay usable.

        In a process that was forked since, there is nothing to give back, and nothing is done.
        """
        if os.getpid() != self._process:
            return
        self._session.close()
        if self._streams is not None:
            self._streams.close()
        self._bundle.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked_point(self, name: str | None) -> str:
        if os.getpid() != self._process:
            raise EngineError(Code.ENGINE_FORKED)
        return self._point if name is None else _operating_point(self.manifest, name)

    def _prepare(self, source: Source, clock: Clock) -> _Prepared:
        began = time.perf_counter()
        known = InputFacts(path=path_text(source)) if isinstance(source, (str, os.PathLike)) else InputFacts()
        warned: tuple[object, ...] = ()
        try:
            radiograph = open_source(source, limits=self._limits)
            known, warned = radiograph.facts, radiograph.warnings
            clock.add("read", (time.perf_counter() - began) * 1e3)
            plane, placement, warnings, spent = read_plane(radiograph, self._geometry, self._percentiles)
        except CxredgeError as error:
            error.facts, error.warnings = error.facts or known, error.warnings or warned
            raise
        for stage, milliseconds in spent.items():
            clock.add(stage, milliseconds)
        return _Prepared(
            facts=radiograph.facts,
            warnings=radiograph.warnings + warnings,
            plane=plane,
            placement=placement,
            shape=(radiograph.rows, radiograph.columns),
            render=_renderer(radiograph, self._percentiles),
            clock=clock,
        )

    def _prepare_or_refuse(self, source: Source) -> _Prepared | Answered[Prediction]:
        clock = Clock()
        try:
            return self._prepare(source, clock)
        except Abstention as abstention:
            return Answered(self._refused(abstention, "abstained", clock))
        except CxredgeError as error:
            return Answered(self._refused(error, "error", clock))
        except Exception as error:  # one input must never stop the others
            return Answered(self._refused(_internal(error), "error", clock))

    def _whole(self, source: Source, point: str, session: Session) -> Answered[Prediction]:
        """One input from its reading to its answer, in the thread that reads."""
        prepared = self._prepare_or_refuse(source)
        if isinstance(prepared, Answered):
            return prepared
        return Answered(self._infer_or_refuse([prepared], point, session)[0])

    def _infer_or_refuse(self, batch: list[_Prepared], point: str, session: Session) -> list[Prediction]:
        try:
            return self._infer(batch, point, session)
        except Exception as problem:
            if len(batch) > 1:  # only the image at fault may fail
                return [answer for item in batch for answer in self._infer_or_refuse([item], point, session)]
            error = problem if isinstance(problem, CxredgeError) else _internal(problem)
            error.facts, error.warnings = batch[0].facts, batch[0].warnings
            return [self._refused(error, "error", batch[0].clock)]

    def _infer(self, batch: list[_Prepared], point: str, session: Session) -> list[Prediction]:
        began = time.perf_counter()
        image = batch[0].plane[None, None] if len(batch) == 1 else np.stack([item.plane for item in batch])[:, None]
        outputs = session.run(image)
        each = (time.perf_counter() - began) * 1e3 / len(batch)
        answers = []
        for index, item in enumerate(batch):
            item.clock.add("engine", each)
            mine = {name: values[index] for name, values in outputs.items()}
            answers.append(self._conclude(item, mine, point, _ran(session)))
        return answers

    def _conclude(self, item: _Prepared, outputs: Outputs, point: str, ran: Ran) -> Prediction:
        began = time.perf_counter()
        drawn = conclude(
            self.manifest,
            outputs,
            point,
            item.placement,
            item.shape,
            item.facts.pixel_spacing,
            precision=ran.precision,
        )
        item.clock.add("postprocess", (time.perf_counter() - began) * 1e3)
        evidence = Evidence(item.shape, item.placement, item.render)
        if drawn.refusal is not None:
            drawn.refusal.facts, drawn.refusal.warnings = item.facts, item.warnings
            return self._refused(drawn.refusal, "abstained", item.clock, drawn.gate, evidence, ran)
        record = Record(
            input=item.facts,
            status="ok",
            bundle=self._bundle.facts,
            ran=ran,
            findings=drawn.findings,
            anatomy=drawn.anatomy,
            gate=drawn.gate,
            warnings=item.warnings + drawn.warnings,
            timing_ms=item.clock.timing(),
        )
        pictures = replace(
            evidence, masks=drawn.masks, heatmaps=outputs["heatmaps"], heatmap_box=self.manifest.heatmaps.box
        )
        return Prediction(record, pictures)

    def _refused(
        self,
        error: CxredgeError,
        status: Literal["abstained", "error"],
        clock: Clock,
        gate: Gate | None = None,
        evidence: Evidence | None = None,
        ran: Ran | None = None,
    ) -> Prediction:
        record = Record(
            input=error.facts if isinstance(error.facts, InputFacts) else InputFacts(),
            status=status,
            reason=notice(error.code, error.detail, tag=error.tag),
            bundle=self._bundle.facts,
            ran=ran,
            gate=gate,
            warnings=tuple(item for item in error.warnings if isinstance(item, Notice)),
            timing_ms=clock.timing(),
        )
        return Prediction(record, evidence)


def _ran(session: Session) -> Ran:
    info = session.info
    return Ran(
        engine=info.engine,
        engine_version=info.version,
        device=info.device,
        precision=info.precision,
        threads=info.threads,
    )


def _key(given: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    return given if given is not None else os.environ.get(KEY_VARIABLE) or None


def _operating_point(manifest: Manifest, name: str | None) -> str:
    """The name that decides; raises where the bundle has none such."""
    manifest.thresholds(name)
    return manifest.default_operating_point if name is None else name


def _renderer(radiograph: Radiograph, percentiles: Percentiles) -> Renderer:
    """The way back to the picture: the source is read once more, at the size that is asked for."""

    def render(shape: Shape) -> npt.NDArray[np.uint8]:
        plane = read_plane(radiograph, Geometry(*shape), percentiles)[0]
        return np.asarray(np.rint(plane * 255.0), dtype=np.uint8)

    return render


def _internal(error: Exception) -> CxredgeError:
    import logging

    # The text of a foreign exception may quote the file: only its type and place are logged.
    logging.getLogger("cxredge").error("unexpected %s", type(error).__name__, exc_info=False)
    return CxredgeError(Code.INTERNAL, type(error).__name__)
