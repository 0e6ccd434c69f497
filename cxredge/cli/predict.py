"""`cxredge predict`."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from cxredge.cli.inputs import Input, OutputNames, expand
from cxredge.cli.options import model_options

if TYPE_CHECKING:
    from cxredge.dicom_out import Kind
    from cxredge.prediction import Prediction
    from cxredge.report.html import Case

MOST_IN_A_REPORT = 200
"""A page with more pictures than this opens in no browser."""
STOPPED = 130
"""The exit code after Ctrl-C, as shells have it."""


@click.command()
@click.argument("paths", nargs=-1, required=True)
@model_options
@click.option("--operating-point", help="Which thresholds decide.  [default: the bundle's]")
@click.option("--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True)
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Folder for one JSON file an input."
)
@click.option("--overlay", is_flag=True, help="Write NAME.overlay.png: outlines and the strongest heat map.")
@click.option("--masks", is_flag=True, help="Write one PNG a structure, as large as the image.")
@click.option("--dicom", help="Write DICOM objects beside the image: some of sr,seg,sc,pr.  [needs cxredge[dicom]]")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML page of all inputs.")
@click.option("--batch-size", type=click.IntRange(1, 256), default=1, show_default=True, help="Images an inference.")
@click.option("--quiet", is_flag=True, help="No progress bar and no notes on stderr.")
def predict(paths: tuple[str, ...], **options: Any) -> int:
    """Predict on PATHS: files, folders, patterns, or - for standard input.

    Results go to standard output; pictures go to the folder of --output, or to the current one.
    """
    inputs = expand(paths)
    if options["report"] and len(inputs) > MOST_IN_A_REPORT:
        raise click.UsageError(f"a report holds at most {MOST_IN_A_REPORT} inputs; these are {len(inputs)}")
    return _run(inputs, kinds=_kinds(options.pop("dicom")), **options)


def _kinds(names: str | None) -> tuple[Kind, ...]:
    """What `--dicom` asks for; an error before anything is read where it cannot be had."""
    if names is None:
        return ()
    from cxredge.dicom_out import checked_kinds, prepare

    kinds = checked_kinds([name.strip() for name in names.split(",") if name.strip()])
    prepare()
    return kinds


def _run(
    inputs: list[Input],
    *,
    form: str,
    output: Path | None,
    overlay: bool,
    masks: bool,
    kinds: tuple[Kind, ...],
    report: Path | None,
    batch_size: int,
    quiet: bool,
    operating_point: str | None,
    **model: Any,
) -> int:
    import cxredge
    from cxredge.cli.formats import FORMATS, csv_header
    from cxredge.files import path_text
    from cxredge.report.style import clean

    writer = _Writer(output, overlay=overlay, masks=masks, kinds=kinds)
    done = failures = 0
    cases: list[Case] = []
    with cxredge.load(**model, operating_point=operating_point) as loaded, _stopping() as asked_to_stop:
        if form == "csv":
            _print(csv_header())
        answers = loaded.predict_many([item.source for item in inputs], batch_size=batch_size)
        with closing(answers), _progress(len(inputs), quiet) as step:
            for item, prediction in zip(inputs, answers, strict=True):
                _print(FORMATS[form](prediction.record, clean(path_text(item.label))))
                failed = prediction.status == "error"
                failed |= not _attempt(lambda p=prediction, i=item: writer.write(i, p))
                if report is not None:
                    failed |= not _attempt(lambda p=prediction: cases.append(p.case()))
                failures += failed
                done += 1
                step()
                if asked_to_stop():
                    break
        if report is not None:
            failures += not _attempt(lambda: _write_report(report, cases))
    if failures and not quiet:
        click.echo(f"{failures} of {len(inputs)} inputs could not be done", err=True)
    if done < len(inputs):
        click.echo(f"stopped after {done} of {len(inputs)} inputs", err=True)
        return STOPPED
    return 1 if failures else 0


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop behind the input under way, so that no line or file is cut; a second one stops at once."""
    asked: list[int] = []

    def ask(number: int, _frame: object) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():  # only there can signals be caught
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


class _Writer:
    """The files of each input: its JSON, overlay, masks and DICOM objects, as far as they were asked for."""

    def __init__(self, folder: Path | None, *, overlay: bool, masks: bool, kinds: tuple[Kind, ...]) -> None:
        self._folder = folder or Path()
        self._json = folder is not None
        self._overlay = overlay
        self._masks = masks
        self._kinds = kinds
        self._names = OutputNames()

    def write(self, item: Input, prediction: Prediction) -> None:
        from cxredge.files import write_atomically

        stem = self._names.name(item.label)
        if self._json:
            write_atomically(self._folder / f"{stem}.json", prediction.to_json().encode() + b"\n")
        if self._overlay and prediction.evidence is not None:
            write_atomically(self._folder / f"{stem}.overlay.png", _png(prediction.overlay()))
        if self._masks:
            from PIL import Image

            for structure, mask in prediction.masks.items():
                write_atomically(self._folder / f"{stem}.{structure}.png", _png(Image.fromarray(mask)))
        if self._kinds:
            from cxredge.dicom_out import results_as_dicom, write_results

            write_results(results_as_dicom(prediction, item.source, self._kinds), self._folder, stem)


def _png(image: Any) -> bytes:
    import io

    from PIL.PngImagePlugin import PngInfo

    from cxredge.rasters import WRITTEN_BY

    buffer, told = io.BytesIO(), PngInfo()
    for key, value in WRITTEN_BY.items():
        told.add_text(key, value)
    image.save(buffer, format="PNG", compress_level=3, pnginfo=told)
    return buffer.getvalue()


def _write_report(path: Path, cases: list[Case]) -> None:
    from datetime import UTC, datetime

    from cxredge.files import write_atomically
    from cxredge.report.html import render_report

    write_atomically(path, render_report(cases, generated=datetime.now(UTC)).encode("utf-8"))


def _attempt(work: Any) -> bool:
    """Do it; on an error say so on stderr and go on with the next input."""
    from cxredge.errors import Code, CxredgeError

    try:
        work()
    except Exception as problem:  # one picture must not stop the others
        # The text of a foreign exception may quote the file, so only its type is shown.
        known = isinstance(problem, CxredgeError)
        error = problem if known else CxredgeError(Code.INTERNAL, type(problem).__name__)
        click.echo(f"cxredge: {error}", err=True)
        return False
    return True


def _print(text: str) -> None:
    """One flush a result, so that what is done is out before anything can stop us.

    A terminal gets text in its own encoding; a file or pipe gets UTF-8, whatever the system's code page is.
    """
    out: TextIO | None = sys.stdout
    if out is None:  # closed: what was asked for may be files alone
        return
    try:
        if out.isatty():
            click.echo(text.encode(out.encoding, "replace").decode(out.encoding))
        else:
            click.echo(text.encode("utf-8", "replace"))
        out.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk
        from cxredge.errors import Code, CxredgeError

        detail = f"standard output: {error.strerror or type(error).__name__}"
        raise click.ClickException(str(CxredgeError(Code.OUTPUT_UNWRITABLE, detail))) from None


@contextmanager
def _progress(count: int, quiet: bool) -> Iterator[Any]:
    """A bar on stderr, for many files and a person watching; where the results themselves scroll by, none is needed."""
    if quiet or count < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    with click.progressbar(length=count, file=sys.stderr, label="predicting") as bar:
        yield lambda: bar.update(1)
