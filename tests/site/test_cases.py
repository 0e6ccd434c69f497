"""The table of cases: what is read, and every refusal, none of which quotes the table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cxredge.errors import Code, InputError
from cxredge.result import LABELS
from cxredge.site import read_cases

HEADER = ["path", "patient", *LABELS]


def table(tmp_path: Path, *rows: list[str], header: list[str] = HEADER) -> Path:
    path = tmp_path / "cases.csv"
    path.write_text("\n".join(",".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
    return path


def row(path: str = "a.dcm", patient: str = "Doe", first: str = "1") -> list[str]:
    return [path, patient, first, *["0"] * 12, ""]


def test_labels_paths_and_patients(tmp_path: Path) -> None:
    cases = read_cases(table(tmp_path, row(), row("/x/b.dcm"), row("c.dcm", "Roe", "0.0")))
    assert cases.paths == (tmp_path / "a.dcm", Path("/x/b.dcm"), tmp_path / "c.dcm")
    assert cases.patients[0] == cases.patients[1] != cases.patients[2]
    assert "Doe" not in repr(cases) and "a.dcm" not in repr(cases)
    assert cases.truth[:, 0].tolist() == [1, 1, 0] and np.isnan(cases.truth[:, 13]).all()
    assert cases.clustered


def test_the_order_of_columns_is_free_and_others_are_not_read(tmp_path: Path) -> None:
    header = ["comment", *reversed(LABELS), "path"]
    cases = read_cases(table(tmp_path, ["x", *["0"] * 13, "1", "a"], ["y", *["0"] * 14, "b"], header=header))
    assert cases.truth[0].tolist() == [1.0, *[0.0] * 13]
    assert not cases.clustered and cases.patients[0] != cases.patients[1]


def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path) -> None:
    path = table(tmp_path, row())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(read_cases(path).paths) == 1


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a label that is none": (lambda p: table(p, row(), row("b.dcm", "Doe", "yes")), "line 3: Atelectasis is neither"),
    "a doubt": (lambda p: table(p, row(first="-1")), "line 2: Atelectasis"),
    "a column missing": (lambda p: table(p, header=[n for n in HEADER if n != "Hernia"]), "lacks Hernia"),
    "no path column": (lambda p: table(p, header=HEADER[1:]), "lacks path"),
    "a column twice": (lambda p: table(p, header=[*HEADER, "patient"]), "stands twice"),
    "an empty path": (lambda p: table(p, row(" ")), "line 2 has no path"),
    "a patient left out": (lambda p: table(p, row(), row("b.dcm", "")), "line 3 has no patient"),
    "an image twice": (lambda p: table(p, row(), row("b.dcm"), row("./a.dcm", first="0")), "lines 2 and 4"),
    "a cell too many": (lambda p: table(p, [*row(), "0"]), "line 2 has more or fewer cells"),
    "a cell too few": (lambda p: table(p, row()[:-1]), "line 2 has more or fewer cells"),
    "not text": (lambda p: (p / "cases.csv").write_bytes(b"path,\xff\xfe"), "not a CSV table"),
    "a quote without end": (lambda p: (p / "cases.csv").write_text('path,"'), "not a CSV table"),
    "nothing": (lambda p: (p / "cases.csv").write_text(""), "lacks path"),
    "no file": (lambda p: None, "cannot be read"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_refusals(tmp_path: Path, name: str) -> None:
    make, says = CHANGES[name]
    make(tmp_path)
    with pytest.raises(InputError) as caught:
        read_cases(tmp_path / "cases.csv")
    assert caught.value.code == Code.CASES_UNUSABLE
    assert says in caught.value.detail
    assert "Doe" not in str(caught.value) and "dcm" not in str(caught.value)
