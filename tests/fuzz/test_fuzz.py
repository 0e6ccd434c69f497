"""The fuzzer itself: it sees what it must see, and every target runs."""

from __future__ import annotations

import json
import logging
import random
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

from cxredge.errors import Code, InputError
from tests.fuzz import __main__ as command
from tests.fuzz.judge import CANARY, Broken, Judge, as_record, kind_of
from tests.fuzz.mutate import damaged
from tests.fuzz.targets import TARGETS
from tests.support.bad_inputs.film import good

ROOT = Path(__file__).resolve().parents[2]


def foreign(_data: bytes) -> str:
    raise KeyError("what a library raises")


def slow(_data: bytes) -> str:
    until = time.process_time() + 2.1
    while time.process_time() < until:
        pass
    return "ok"


def large(_data: bytes) -> str:
    return str(len(bytearray(b"\1") * (1100 << 20)))


def quoting(_data: bytes) -> str:
    return kind_of(InputError(Code.DICOM_BROKEN, CANARY["PatientName"]))


def logging_it(_data: bytes) -> str:
    logging.getLogger("cxredge").warning("read %s", CANARY["PatientID"])
    return "ok"


def internal(_data: bytes) -> str:
    return kind_of(InputError(Code.INTERNAL, "KeyError"))


def dragging(_data: bytes) -> str:
    try:
        try:
            raise ValueError(CANARY["PatientName"])
        except ValueError:
            raise InputError(Code.DICOM_BROKEN, "broken")  # noqa: B904 - the fault that is looked for
    except InputError as error:
        return kind_of(error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (foreign, "foreign: KeyError"),
        (slow, "slow: 2."),
        pytest.param(large, "large: 1", marks=pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")),
        (quoting, "broken: the message of dicom_broken holds ['kanari', 'zebulon']"),
        (logging_it, "broken: the log or standard error holds"),
        (internal, "broken: internal"),
        (dragging, "broken: dicom_broken drags a foreign ValueError along"),
    ],
)
def test_the_judge_sees_it(fault: object, reason: str) -> None:
    told = Judge(fault)(b"")  # type: ignore[arg-type]
    assert told is not None and told.casefold().startswith(reason.casefold()), told


def test_the_judge_lets_an_answer_pass() -> None:
    judge = Judge(lambda data: kind_of(InputError(Code.DICOM_BROKEN, "unreadable")))
    with warnings.catch_warnings(record=True) as heard:
        assert judge(b"") is None
    assert judge.kinds == {"dicom_broken": 1} and not heard


def test_a_result_that_names_the_patient_is_seen() -> None:
    with pytest.raises(Broken, match="kanari"):
        as_record(json.dumps({"input": {"path": "a"}, "warnings": [{"message": CANARY["PatientName"]}]}))
    with pytest.raises(Broken, match="not JSON"):
        as_record("{")


def test_damage_differs_and_can_be_made_again() -> None:
    whole = good()
    made = [damaged(whole, [whole], random.Random(seed), 1 << 21) for seed in range(20)]
    assert made == [damaged(whole, [whole], random.Random(seed), 1 << 21) for seed in range(20)]
    assert len(set(made)) >= 18 and whole not in made[:5]


@pytest.mark.parametrize("name", sorted(set(TARGETS) - {"command"}))
def test_every_target_answers_its_seeds_and_damage(name: str) -> None:
    target = TARGETS[name]()
    judge, chance = Judge(target.run), random.Random(1)
    seeds = [seed for seed in target.seeds() if len(seed) <= 20_000][:12]
    for data in (*seeds, *(damaged(chance.choice(seeds), seeds, chance, target.most) for _ in range(40))):
        assert judge(data) is None
    assert len(judge.kinds) >= 2, "all inputs end alike: the seeds are no good"


def test_the_names_are_those_of_the_targets() -> None:
    assert set(command.NAMES) == set(TARGETS)


def test_a_run_as_people_start_it() -> None:
    words = ["--seconds", "2", "--driver", "random", "--target", "golden", "--target", "manifest"]
    start = f"import sys; sys.path.append({str(ROOT)!r}); from tests.fuzz.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-P", "-c", start, *words], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("golden", "manifest")))
    assert all(json.loads(line)["inputs"] > 20 for line in told.values()) and len(told) == 2
    assert done.stdout.splitlines()[-1] == "0 finds"
