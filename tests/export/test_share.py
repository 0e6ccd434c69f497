"""How many images are compared: all, or as many as prove the batches where one image costs much."""

from __future__ import annotations

import numpy as np
import pytest

from export import share
from export.errors import ExportError, Problem
from export.images import Images, gather
from export.parity import compare
from tests.support.exported import Shelf, plan


def numbered(phantoms: int, real: int) -> Images:
    batch = np.arange(phantoms + real, dtype=np.float32).reshape(-1, 1, 1, 1)
    return Images(batch, phantoms, real, 0)


def test_drawn_and_real_by_turns() -> None:
    first = numbered(7, 8).first(9)
    assert first.batch.ravel().tolist() == [0, 7, 1, 8, 2, 9, 3, 10, 4] and (first.phantoms, first.real) == (5, 4)
    assert numbered(8, 1).first(4).batch.ravel().tolist() == [0, 8, 1, 2]


def test_a_network_of_one_view_is_compared_on_everything(shelf: Shelf) -> None:
    found = share.share_of(numbered(7, 8), shelf.graph("se_multimap").data)
    assert found.counts == {1: 15, 7: 15} and len(found.images.batch) == 15


def test_a_dear_network_on_a_full_and_a_ragged_batch(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The narrow network taken for a dear one: every row of its report is still there."""
    monkeypatch.setattr(share, "DEAR", 1.0)
    said: list[str] = []
    report = compare(
        shelf.subject("se_multimap"), shelf.graph("se_multimap"), plan(gather(128, phantoms=12), say=said.append)
    )
    assert report["passed"], report["reasons"]
    assert {(row["engine"], row["batch"], row["images"]) for row in report["rows"] if row["gates"]} == {
        (engine, *counts) for engine in ("onnxruntime", "openvino") for counts in ((1, 4), (7, 9))
    }
    assert [row["flips"][0]["decisions"] for row in report["rows"][:2]] == [4 * 14, 9 * 14]
    assert (report["images"]["phantoms"], report["images"]["gathered"]) == (9, 12)
    assert any("9 of 12 are compared" in line for line in said)
    every = share.share_of(numbered(7, 8), shelf.graph("se_multimap").data, every=True)
    assert every.counts == {1: 15, 7: 15}


def test_too_few_images_prove_no_batches(shelf: Shelf) -> None:
    with pytest.raises(ExportError, match="7 images prove no batches of 7: at least 8") as caught:
        compare(shelf.subject("dcnn"), shelf.graph("dcnn"), plan(gather(128, phantoms=7)))
    assert caught.value.problem is Problem.PARITY
    with pytest.raises(ExportError, match="no image to compare on"):
        gather(128, phantoms=0)
