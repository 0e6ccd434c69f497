"""The codes: each has its meaning, its page, and messages that say what to do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from cxredge.errors import MEANINGS, Code, CxredgeError, InputError, Kind
from cxredge.result import InputFacts
from tests.support.codes_page import page

ROOT = Path(__file__).resolve().parents[1]


def test_every_code_has_a_meaning_and_every_meaning_a_code() -> None:
    assert set(MEANINGS) == set(Code)


@pytest.mark.parametrize("code", Code)
def test_messages_are_sentences(code: Code) -> None:
    meaning = MEANINGS[code]
    assert meaning.what.endswith(".")
    assert meaning.do.endswith(".")
    assert code.kind in Kind


def test_message_says_what_where_and_what_to_do() -> None:
    error = CxredgeError(Code.WRONG_MODALITY, "CT", tag="(0008,0060)")
    assert str(error) == (
        "The file is not a radiograph by its modality: CT, tag (0008,0060). "
        "Send CR or DX images of the chest. [wrong_modality]"
    )


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])  # noqa: S301
def test_errors_can_be_copied_and_sent_to_another_process(again: Callable[[CxredgeError], CxredgeError]) -> None:
    error = InputError(Code.TOO_LARGE, "9 x 9 pixels", tag="(0028,0010)")
    error.facts = InputFacts(rows=9)
    twin = again(error)
    assert type(twin) is InputError
    assert (twin.code, twin.tag, twin.facts, str(twin)) == (error.code, error.tag, error.facts, str(error))


def test_page_is_current() -> None:
    written = (ROOT / "docs" / "codes.md").read_text(encoding="utf-8")
    assert written == page(), "run `python dev.py codes`"


def test_every_code_is_used() -> None:
    """A code that nothing raises is a promise that nothing keeps."""
    package = ROOT / "cxredge"
    sources = [path.read_text(encoding="utf-8") for path in package.rglob("*.py") if path.name != "errors.py"]
    header = (package / "native" / "include" / "cxredge.h").read_text(encoding="utf-8")  # its X-macro names codes too
    used = {code for code in Code if f'"{code}"' in header or any(f"Code.{code.name}" in text for text in sources)}
    unused = sorted(set(Code) - used)
    assert not unused
