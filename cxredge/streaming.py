"""Many inputs through one engine: read ahead in threads, infer in batches, answer in order, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Answered", "in_order"]

S = TypeVar("S")
P = TypeVar("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Answered(Generic[R]):
    """An input that needs no engine: its answer is known already."""

    answer: R


def in_order(
    sources: Iterable[S],
    prepare: Callable[[S], P | Answered[R]],
    finish: Callable[[list[P]], list[R]],
    workers: int,
    batch_size: int,
) -> Generator[R, None, None]:
    """Yield one answer for each source, in order.

    `prepare` runs in `workers` threads and gives either something for the engine or what is `Answered` already;
    `finish` runs in the consumer's thread on up to `batch_size` prepared ones. Neither may raise for one bad source.
    When the consumer stops early, what has not begun is cancelled. What `sources` itself raises is raised behind the
    answers to all that it gave before.
    """
    pending: deque[Future[P | Answered[R]]] = deque()
    feed = _Feed(sources)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="cxredge-read")
    try:
        while _fill(pending, feed, pool, prepare, 2 * workers + batch_size):
            # One batch takes what is ready next in line, so that a slow file never holds back a full batch for long.
            group = [pending.popleft().result() for _ in range(min(batch_size, len(pending)))]
            _fill(pending, feed, pool, prepare, 2 * workers + batch_size)
            yield from _answers(group, finish)
        if feed.broken is not None:
            raise feed.broken
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


class _Feed(Generic[S]):
    """The sources one by one; an exception of theirs ends them and is kept."""

    def __init__(self, sources: Iterable[S]) -> None:
        self._sources = iter(sources)
        self.broken: Exception | None = None

    def __iter__(self) -> Iterator[S]:
        return self

    def __next__(self) -> S:
        if self.broken is not None:
            raise StopIteration
        try:
            return next(self._sources)
        except StopIteration:
            raise
        except Exception as error:
            self.broken = error
            raise StopIteration from None


def _fill(
    pending: deque[Future[P | Answered[R]]],
    feed: _Feed[S],
    pool: ThreadPoolExecutor,
    prepare: Callable[[S], P | Answered[R]],
    most: int,
) -> bool:
    """Keep up to `most` inputs under way; False when nothing is left."""
    while len(pending) < most:
        for source in feed:
            pending.append(pool.submit(prepare, source))
            break
        else:
            break
    return bool(pending)


def _answers(group: list[P | Answered[R]], finish: Callable[[list[P]], list[R]]) -> list[R]:
    batch = [item for item in group if not isinstance(item, Answered)]
    finished = iter(finish(batch) if batch else [])
    return [item.answer if isinstance(item, Answered) else next(finished) for item in group]
