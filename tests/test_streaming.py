"""Many inputs in order, in bounded memory, with answers that never get mixed up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxredge.streaming import Answered, in_order


@dataclass
class Ready:
    number: int


def prepare(number: int) -> Ready | Answered[str]:
    return Answered(f"refused {number}") if number % 5 == 3 else Ready(number)


def finish(batch: list[Ready]) -> list[str]:
    return [f"done {item.number}" for item in batch]


def expected(count: int) -> list[str]:
    return [f"refused {n}" if n % 5 == 3 else f"done {n}" for n in range(count)]


@settings(deadline=None, max_examples=40)
@given(count=st.integers(0, 40), workers=st.integers(1, 4), batch=st.integers(1, 9))
def test_one_answer_for_each_in_order(count: int, workers: int, batch: int) -> None:
    assert list(in_order(range(count), prepare, finish, workers, batch)) == expected(count)


def test_order_is_kept_when_reading_is_not_even() -> None:
    def slow(number: int) -> Ready | Answered[str]:
        time.sleep(0.01 if number % 2 == 0 else 0)
        return prepare(number)

    assert list(in_order(range(20), slow, finish, 4, 3)) == expected(20)


def test_sources_are_taken_only_as_they_are_needed() -> None:
    taken: list[int] = []

    def feed() -> Iterator[int]:
        for number in range(10_000):
            taken.append(number)
            yield number

    answers = in_order(feed(), prepare, finish, 2, 3)
    for _ in range(10):
        next(answers)
    assert len(taken) <= 10 + 3 + 2 * (2 * 2 + 3)
    answers.close()


def test_reading_overlaps_with_the_engine() -> None:
    """The second input is being read while the first is in the engine: neither would end without the other."""
    second_is_read = threading.Event()

    def read(number: int) -> Ready | Answered[str]:
        if number == 1:
            second_is_read.set()
        return Ready(number)

    def infer(batch: list[Ready]) -> list[str]:
        assert second_is_read.wait(10)
        return finish(batch)

    assert list(in_order(range(2), read, infer, 1, 1)) == ["done 0", "done 1"]


def test_stopping_early_leaves_no_thread() -> None:
    answers = in_order(range(1000), prepare, finish, 3, 1)
    next(answers)
    answers.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cxredge-read")]


def test_an_error_of_the_feed_reaches_the_caller() -> None:
    def feed() -> Iterator[int]:
        yield 1
        raise ValueError("the list broke")

    with pytest.raises(ValueError, match="the list broke"):
        list(in_order(feed(), prepare, finish, 1, 1))


@pytest.mark.parametrize("batch", [1, 3])
def test_an_error_of_the_feed_loses_no_answer(batch: int) -> None:
    def feed() -> Iterator[int]:
        yield from range(7)
        raise ValueError("the list broke")

    answers: list[str] = []

    def take() -> None:
        for answer in in_order(feed(), prepare, finish, 2, batch):
            answers.append(answer)  # noqa: PERF402 - one by one, as what came before the error counts

    with pytest.raises(ValueError, match="the list broke"):
        take()
    assert answers == expected(7)
