"""When do results stop looking like the baseline? Shiryaev-Roberts detectors, whose false alarms are bounded by proof.

A bet is a number L >= 0 for each outcome of an image, with a mean of at most 1 while nothing has changed. Its detector
R <- (1 + R) * L adds up the bets that were begun at each image so far; while nothing has changed R grows by at most 1
an image on average. So it does for any weighted mean of detectors, however the diseases hang together, and by optional
stopping the mean time until such a mean first reaches 10,000 is at least 10,000 images (Shin, Ramdas and Rinaldo,
E-detectors, 2023, section 2). A disease raises an alarm when its own share of that mean has reached 10,000 alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cxredge.bundle import BaselineSpec, FindingBaseline
from cxredge.operating_points import exact_interval
from cxredge.result import LABELS

__all__ = ["ABSTENTION", "IMAGES_PER_FALSE_ALARM", "Detectors", "State"]

Floats = npt.NDArray[np.float64]

IMAGES_PER_FALSE_ALARM = 10_000
ABSTENTION = len(LABELS)
"""The group of the abstentions, behind the groups of the labels."""

CONFIDENCE = 0.95
"""The baseline is itself a sample: each bet is fair for every truth up to this one-sided bound."""
_Z = 1.6448536269514722  # its normal quantile

# Shares of the one false alarm in 10,000 images, and the changes that are bet on: odds times so much.
_RISE, _FALL, _SCORES, _ABSTAIN = 0.60, 0.10, 0.20, 0.10
_ODDS = ((4.0, 0.75), (2.0, 0.25))
# Tilts of the probabilities' ranks: by a slope (all higher or lower), by a curve (towards both ends or the middle).
_TILTS = (
    ("higher scores", 0, 2.0),
    ("higher scores", 0, 1.0),
    ("lower scores", 0, -2.0),
    ("lower scores", 0, -1.0),
    ("scores further apart", 1, 1.5),
    ("scores closer together", 1, -1.5),
)
_LARGEST = 1e200  # far over the limit: nothing overflows


@dataclass(frozen=True, slots=True)
class _Bet:
    group: int
    stream: int
    what: str
    weight: float
    gains: Floats  # by cell of its stream


@dataclass(slots=True)
class State:
    """Where each detector stands; the arrays may have leading axes for many runs at once.

    Attributes:
        level: of each bet's detector.
        run: of the best single bet that was begun since `since`, as a logarithm.
        since: the image (counted from 0) at which that bet was begun.
        seen: images so far.
    """

    level: Floats
    run: Floats
    since: npt.NDArray[np.intp]
    seen: int = 0


class Detectors:
    """All bets against one baseline, at one operating point.

    The outcome of an image is a cell in each of 29 streams: for each label whether it was called positive (0 or 1),
    then for each label the bin of its probability, then whether the image was abstained on (0 or 1). A cell of -1 says
    nothing: its detectors wait.
    """

    def __init__(self, baseline: BaselineSpec, point: str) -> None:
        self._edges = [np.asarray(finding.edges) for finding in baseline.findings]
        bets = [bet for group, finding in enumerate(baseline.findings) for bet in _of_finding(group, finding, point)]
        bets += _rises(ABSTENTION, 2 * len(LABELS), "more abstentions", _abstained(baseline), _ABSTAIN)
        self._bets = bets
        self._streams = np.array([bet.stream for bet in bets])
        self._weights = np.array([bet.weight for bet in bets])
        self._groups = np.array([bet.group for bet in bets])
        self._gains = np.ones((len(bets), max(len(bet.gains) for bet in bets) + 1))  # the last column is for -1
        for row, bet in zip(self._gains, bets, strict=True):
            row[: len(bet.gains)] = bet.gains
        with np.errstate(divide="ignore"):
            self._logs = np.log(self._gains)
        self._rows = np.arange(len(bets))
        self._starts = np.flatnonzero(np.diff(self._groups, prepend=-1))

    def start(self, *runs: int) -> State:
        """Before the first image; `runs` adds leading axes."""
        shape = (*runs, len(self._bets))
        return State(np.zeros(shape), np.zeros(shape), np.zeros(shape, np.intp))

    def cells(self, probabilities: Sequence[float] | None, positive: Sequence[bool]) -> npt.NDArray[np.intp]:
        """The outcome of one image; `probabilities` is None for an abstention."""
        if probabilities is None:
            return np.array([-1] * 2 * len(LABELS) + [1])
        bins = [int(np.searchsorted(edges, p)) for edges, p in zip(self._edges, probabilities, strict=True)]
        return np.array([*map(int, positive), *bins, 0])

    def step(self, state: State, cells: npt.NDArray[np.intp]) -> None:
        """Take one image's outcome, [..., 29], into the state."""
        cell = cells[..., self._streams]
        waits = cell < 0
        grown = np.minimum((1 + state.level) * self._gains[self._rows, cell], _LARGEST)
        state.level = np.where(waits, state.level, grown)
        fresh = (state.run <= 0) & ~waits
        state.run = np.where(fresh, 0.0, state.run) + self._logs[self._rows, cell]
        state.since = np.where(fresh, state.seen, state.since)
        state.seen += 1

    def totals(self, state: State) -> Floats:
        """Each group's weighted level, [..., 15]: an alarm from IMAGES_PER_FALSE_ALARM on."""
        return np.asarray(np.add.reduceat(state.level * self._weights, self._starts, axis=-1))

    def leading(self, state: State, group: int) -> tuple[str, int]:
        """What a group's strongest detector sees, and the image since which it sees it; of a state without axes."""
        best = int(np.argmax(np.where(self._groups == group, state.level * self._weights, -1.0)))
        return self._bets[best].what, int(state.since[best])


def _abstained(baseline: BaselineSpec) -> tuple[int, int]:
    return baseline.abstained, baseline.images + baseline.abstained


def _of_finding(group: int, finding: FindingBaseline, point: str) -> list[_Bet]:
    share = 1 / len(LABELS)
    rate = finding.positives[point], sum(finding.counts)
    return [
        *_rises(group, group, "more positives", rate, _RISE * share),
        *_falls(group, group, "fewer positives", rate, _FALL * share),
        *_tilts(group, group + len(LABELS), finding.counts, _SCORES * share),
    ]


def _rises(group: int, stream: int, what: str, rate: tuple[int, int], weight: float) -> list[_Bet]:
    """Bets on more: fair at the highest rate that the baseline leaves possible, and in our disfavour below it."""
    high = exact_interval(*rate, level=2 * CONFIDENCE - 1)[1]
    return [_Bet(group, stream, what, weight * part, _ratio(high, odds)) for odds, part in _ODDS]


def _falls(group: int, stream: int, what: str, rate: tuple[int, int], weight: float) -> list[_Bet]:
    low = exact_interval(*rate, level=2 * CONFIDENCE - 1)[0]
    return [_Bet(group, stream, what, weight * part, _ratio(low, 1 / odds)) for odds, part in _ODDS]


def _ratio(rate: float, odds: float) -> Floats:
    """The likelihood ratio of a negative and of a positive, where the odds are `odds` times those of `rate`."""
    if not 0 < rate < 1:
        return np.zeros(2)  # no rate can lie beyond: nothing to bet on
    new = odds * rate / (1 - rate + odds * rate)
    return np.array([(1 - new) / (1 - rate), new / rate])


def _tilts(group: int, stream: int, counts: Sequence[int], weight: float) -> list[_Bet]:
    share = (np.asarray(counts) + 0.5) / (sum(counts) + 0.5 * len(counts))
    rank = 2 * (np.cumsum(share) - share / 2) - 1
    shapes = (rank, (3 * rank**2 - 1) / 2)
    bets = []
    for what, shape, slope in _TILTS:
        gains = np.exp(slope * shapes[shape])
        mean = float(share @ gains)
        error = float(np.sqrt(share @ (gains - mean) ** 2 / sum(counts)))
        bets.append(_Bet(group, stream, what, weight / len(_TILTS), gains / (mean + _Z * error)))
    return bets
