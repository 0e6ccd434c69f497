"""The command line answers at once, and says what is missing."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

from calibration import cli
from calibration.cases import patient_tag, read_table
from tests.support.site_cases import draw_cases, write_cases
from training.checkpoint import patient_tag as tag_of_training
from training.data import open_collection, split_of
from training.data.write_cases import write_cases as write_fold

ROOT = Path(__file__).resolve().parents[2]


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom calibration.cli import LATER, main\n"
        "for words in (['--help'], *([name, '--help'] for name in LATER)):\n"
        "    try:\n        main(words)\n    except SystemExit as end:\n        assert end.code == 0\n"
        "print('LOADED', *{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "calibration" in loaded and not {"torch", "onnx", "nncf", "onnxruntime", "openvino", "numpy"} & loaded
    assert all(name in done.stdout for name in cli.LATER)


def test_a_fold_written_by_training_is_read_here_with_the_same_patients(tmp_path: Path) -> None:
    import numpy as np

    images = draw_cases(tmp_path, 30)
    truth = np.tile([[0.0] * 13 + [float("nan")]], (30, 1))
    table = write_cases(tmp_path / "cases.csv", images, truth, [f"P{i // 2}" for i in range(30)])
    table.write_text(table.read_text().replace("path,", "image,", 1))
    collection = open_collection("csv", table, ignore=("note",))
    fold = split_of(collection, kind="random").fold("val")
    out = tmp_path / "val.csv"
    assert write_fold((collection.cases[i] for i in fold), out) == len(fold) > 0
    read = read_table(out)
    assert set(read.tags) == {tag_of_training(collection.cases[i].patient) for i in fold}
    assert all(path.is_file() for path in read.paths) and np.isnan(read.truth[:, 13]).all()
    with out.open(newline="") as file:
        assert not Path(next(csv.DictReader(file))["path"]).is_absolute()
    assert patient_tag("x") == tag_of_training("x")
