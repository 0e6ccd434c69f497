"""One model, many threads; another language, number format and time zone; a bundle that changes on the disk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cxredge
from cxredge.engines import catalog
from cxredge.errors import Code, CxredgeError
from tests.robustness.test_faults import COMMAND, environment, model_of
from tests.support.bad_inputs.film import good
from tests.support.filed import filed_bytes
from tests.support.phantom import draw_phantom

SOAK_SECONDS = float(os.environ.get("CXREDGE_SOAK_SECONDS", "4"))
"""How long threads share a model; CONTRIBUTING.md names the long run."""
THREADS = 8


def essence(prediction: cxredge.Prediction) -> Any:
    """All of an answer that must be the same each time, pictures too."""
    record = json.loads(prediction.to_json())
    record.pop("timing_ms")
    if prediction.status != "ok":
        return record
    return record, prediction.masks["heart"].tobytes(), prediction.heatmap("Effusion").tobytes()


def findings(model: cxredge.Model, source: Any) -> Any:
    return json.loads(model.predict(source).to_json())["findings"]


def answer(model: cxredge.Model, source: Any) -> Any:
    try:
        return essence(model.predict(source))
    except CxredgeError as error:
        return error.code


def sources(scan: Path) -> list[Any]:
    """Good and bad: a path, bytes, pixels, an abstention and two errors."""
    pixels = (draw_phantom(300, 280, seed=3) / 4095).astype(np.float32)
    return [scan, good(), pixels, np.zeros((300, 300), np.uint8), good()[:3000], b"no image"]


def at_once(work: Callable[[int], None]) -> None:
    """Eight threads do it; what one raises is raised here."""
    failures: list[BaseException] = []

    def guarded(index: int) -> None:
        try:
            work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_eight_threads_on_one_model(model: cxredge.Model, scan: Path) -> None:
    """Each answer, error and picture is what one thread gets, for as long as it is let run."""
    inputs = sources(scan)
    wanted = [answer(model, source) for source in inputs]
    assert sum(isinstance(one, Code) for one in wanted) == 2
    end, done = time.monotonic() + SOAK_SECONDS, [0] * THREADS

    def work(index: int) -> None:
        while time.monotonic() < end or done[index] < len(inputs):
            which = (index + done[index]) % len(inputs)
            assert answer(model, inputs[which]) == wanted[which], inputs[which]
            done[index] += 1

    at_once(work)
    assert min(done) >= len(inputs)


def test_eight_threads_with_many_inputs_each(model: cxredge.Model, scan: Path) -> None:
    """`predict_many` from several threads at once: nobody gets another's answers, and the order is kept."""
    inputs = [source for source in sources(scan) if not isinstance(source, Path)] * 4
    codes = [(p.status, p.reason and p.reason.code) for p in model.predict_many(inputs)]

    def work(index: int) -> None:
        told = [(p.status, p.reason and p.reason.code) for p in model.predict_many(inputs[index:])]
        assert told == codes[index:]

    at_once(work)


# -------- another language, number format and time zone --------

EMBEDDING = """
import json, locale, sys, time
wanted = sys.argv[1]
locale.setlocale(locale.LC_ALL, "")  # as a program with windows does: now C writes and reads numbers in this language
assert wanted == "C" or locale.localeconv()["decimal_point"] == ",", locale.localeconv()
time.tzset()
import cxredge
with cxredge.load(sys.argv[2], engine=sys.argv[3], precision="fp32") as model:
    prediction = model.predict(sys.argv[4])
    prediction.overlay()
    from cxredge.dicom_out import results_as_dicom
    made = results_as_dicom(prediction, sys.argv[4])
    record = json.loads(prediction.to_json())
    record["written"] = sorted(type(one).__name__ for one in made)
    print(json.dumps(record))
"""


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Turkish (a comma in numbers, and an i of its own in upper case), made here, as few machines have it."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(folder / "tr_TR.UTF-8")]
    try:
        subprocess.run(command, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs localedef and the sources of locales (Debian: locales)")
    return folder


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_another_language_and_time_zone(tiny_bundle: Path, tmp_path: Path, locales: Path, engine: str) -> None:
    """Compiling, reading, predicting and writing, each with an empty cache: the same answers to the last digit."""
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    film = tmp_path / "film.dcm"
    film.write_bytes(filed_bytes())
    told = {}
    for name, zone in (("C", "UTC"), ("tr_TR.UTF-8", "Pacific/Kiritimati")):
        variables = environment(
            LC_ALL=name, LANG=name, TZ=zone, LOCPATH=str(locales), CXREDGE_CACHE=str(tmp_path / name)
        )
        command = [sys.executable, "-P", "-c", EMBEDDING, name, str(tiny_bundle), engine, str(film)]
        done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
        assert done.returncode == 0, done.stderr.decode()
        told[name] = json.loads(done.stdout)
        assert told[name].pop("timing_ms")
    assert told["C"]["status"] == "ok"
    assert told["tr_TR.UTF-8"] == told["C"]


@pytest.mark.parametrize("name", ["tr_TR.UTF-8", "C", "POSIX"])
def test_the_command_in_another_language(
    tiny_bundle: Path, scan: Path, tmp_path: Path, locales: Path, name: str
) -> None:
    """Names that are not ASCII, too: in the C locale, Python's own file names are UTF-8."""
    film = tmp_path / "Gö\u011füs \u0130.dcm"
    shutil.copy(scan, film)
    variables = environment(LC_ALL=name, LOCPATH=str(locales), TZ="Asia/Kathmandu", PYTHONUTF8=None)
    command = [*COMMAND, "predict", str(film), *model_of(tiny_bundle), "--format", "json"]
    done = subprocess.run(command, capture_output=True, env=variables, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    record = json.loads(done.stdout)
    assert (record["status"], record["input"]["path"]) == ("ok", str(film))


# -------- a bundle that changes while it is loaded --------


def overwrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def cut(path: Path) -> None:
    os.truncate(path, 100)


def remove(path: Path) -> None:
    path.unlink()


def exchange(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(b"another bundle")
    other.replace(path)


@pytest.mark.parametrize("change", [overwrite, cut, remove, exchange], ids=lambda change: change.__name__)
@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_a_bundle_that_changes_while_it_is_loaded(
    tiny_bundle: Path, scan: Path, tmp_path: Path, engine: str, change: Callable[[Path], None]
) -> None:
    """The loaded model goes on as it was, for one image and many; what it reads anew is checked; loading refuses."""
    if not catalog.engine(engine).availability().ok:
        pytest.skip(f"{engine} is not installed")
    path = tmp_path / "bundle.cxr"
    shutil.copy(tiny_bundle, path)
    with cxredge.load(path, engine=engine, precision="fp32") as model:
        wanted = findings(model, scan)
        change(path)
        assert findings(model, scan) == wanted
        for prediction in model.predict_many([scan] * 17):  # enough for a second session, if it can still be opened
            assert prediction.status == "ok"
            np.testing.assert_allclose([f.probability for f in prediction.findings], [f["probability"] for f in wanted])
        if change in (overwrite, cut):
            with pytest.raises(cxredge.BundleError):
                model.golden_input()
    with pytest.raises(cxredge.BundleError):
        cxredge.load(path, engine=engine, precision="fp32")


@pytest.mark.parametrize("change", [overwrite, cut, remove], ids=lambda change: change.__name__)
def test_a_folder_whose_graph_changes_while_it_is_loaded(
    gated_bundle: Path, scan: Path, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(gated_bundle, folder)
    with cxredge.load(folder, engine="onnxruntime", precision="fp32") as model:
        wanted = essence(model.predict(scan))
        change(folder / "fp32.onnx")
        assert essence(model.predict(scan)) == wanted
        assert [p.status for p in model.predict_many([scan] * 17)] == [model.predict(scan).status] * 17
    with pytest.raises(cxredge.BundleError):
        cxredge.load(folder, engine="onnxruntime", precision="fp32")
