"""Many phantoms: processes that draw them, and a device that develops their pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Self

from training.phantoms.device import Developer, chosen
from training.phantoms.generator import Phantom, Undeveloped, draw, finished, generate

__all__ = ["PhantomPool", "batch"]

_CHUNK = 4


class PhantomPool:
    """Worker processes that draw phantoms; one pool serves many batches.

    with PhantomPool(2) as pool:
        for phantom in pool.stream(range(10_000), size=256): ...
    """

    def __init__(self, workers: int = 2, *, device: str | None = None) -> None:
        """Start the pool.

        Args:
            workers: processes; 0 draws in this process.
            device: of torch, on which the pictures are developed, many at once, while the processes draw the next
                ones: "cuda", "cuda:1", "cpu", or "auto": a graphics card where torch sees one, otherwise none. None
                leaves all to the processes. Masks, boxes and labels do not depend on it; see docs/phantoms.md for how
                near the pictures come.

        Raises:
            UsageError: BAD_ARGUMENT: torch is not there or does not see that device.
        """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        self.device = chosen(device)
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(workers, mp_context=context) if workers > 0 else None
        self._workers = workers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def stream(self, seeds: Sequence[int], **options: Any) -> Iterator[Phantom]:
        """Phantoms in the order of the seeds; options as for `generate`. Never runs far ahead of its reader."""
        if self.device is None:
            yield from self._each(generate, seeds, options)
            return
        develop = Developer(self.device)
        drawn: Iterator[Undeveloped] = self._each(draw, seeds, options)
        while together := list(islice(drawn, develop.at_once(options.get("size", 256)))):
            stored = develop([one.exposed for one in together])
            yield from map(finished, together, stored)

    def _each(self, make: Callable[..., Any], seeds: Sequence[int], options: dict[str, Any]) -> Iterator[Any]:
        """What `make` gives for each seed."""
        if self._pool is None:
            yield from (make(seed, **options) for seed in seeds)
            return
        waiting: deque[Any] = deque()
        for first in range(0, len(seeds), _CHUNK):
            waiting.append(self._pool.submit(_several, make, list(seeds[first : first + _CHUNK]), options))
            if len(waiting) > 2 * self._workers + 1:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def batch(seeds: Sequence[int], *, workers: int = 0, device: str | None = None, **options: Any) -> list[Phantom]:
    """The phantoms of several seeds, in order; options as for `generate`.

    Args:
        seeds: one for each phantom.
        workers: processes to share the work; 0 stays in this one. Starting them takes a second: keep a `PhantomPool`
            for many batches.
        device: as of `PhantomPool`.
        **options: as for `generate`.
    """
    with PhantomPool(min(workers, len(seeds)), device=device) as pool:
        return list(pool.stream(seeds, **options))


def _several(make: Callable[..., Any], seeds: list[int], options: dict[str, Any]) -> list[Any]:
    return [make(seed, **options) for seed in seeds]
