"""A new process that predicts once on a raw film and ends: `cxredge predict`, against torchxrayvision's path.

    python benchmarks/cold_against_peer.py --peer-python PYTHON --peer-script SCRIPT [--rounds N] [--json FILE]

In turns: seconds from the start of the process to its end, and the largest resident memory of the process as the
system counts it. The engine cache is warm, the files lie in the page cache; what the first start after an
installation takes (compiling, `cxredge benchmark` measures it) is left out.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks import _films, _peer
from benchmarks._processes import spent
from benchmarks._turns import finish, in_turns, load, options, ratio, summary, verdict

FASTER, MEMORY = 5.0, 0.5


def measure(film: Path, peer: _peer.Peer | None, rounds: int, cache: Path) -> dict[str, Any]:
    """Seconds and megabytes of both."""
    environment = os.environ | {"CXREDGE_CACHE": str(cache)}
    ours = [sys.executable, "-P", "-m", "cxredge", "predict", str(film), "--format", "json", "--quiet"]
    commands = {"ours": (ours, environment)}
    if peer is not None:
        commands["theirs"] = (peer.cold(film), _peer.clean_environment())
    peaks: dict[str, list[float]] = {name: [] for name in commands}

    def side(name: str) -> float:
        seconds, peak, _ = spent(*commands[name])
        peaks[name].append(peak)
        return seconds

    taken = in_turns({name: lambda name=name: side(name) for name in commands}, rounds, warm_up=1)
    row: dict[str, Any] = {f"{name}_seconds": summary(values) for name, values in taken.items()}
    row |= {f"{name}_mb": summary(values) for name, values in peaks.items()}
    if peer is None:
        return row | {"peer_not_run": "no --peer-python and --peer-script"}
    row |= ratio(taken["theirs"], taken["ours"]) | {"at_least": FASTER}
    share = row["ours_mb"]["median"] / row["theirs_mb"]["median"]
    return row | {"memory_share": round(share, 3), "memory_at_most": MEMORY}


def main() -> None:
    """Measure and print."""
    parser = options(__doc__, rounds=9)
    _peer.add_options(parser)
    asked = parser.parse_args()
    before, peer = load(), _peer.find(asked)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = _films.write(folder, *((600, 500) if asked.smoke else (3000, 2500)))["raw"]
        row = measure(film, peer, 1 if asked.smoke else asked.rounds, folder / "cache")
    print(f"ours             {row['ours_seconds']['median']:6.3f} s {row['ours_mb']['median']:7.1f} MB")
    least, most = (None, None) if asked.smoke else (FASTER, MEMORY)
    if peer is not None:
        print(f"torchxrayvision  {row['theirs_seconds']['median']:6.3f} s {row['theirs_mb']['median']:7.1f} MB")
        print(f"{row['ratio']:.1f} times as fast ({row['low']:.1f} to {row['high']:.1f}){verdict(row['ratio'], least)}")
        share = row["memory_share"]
        print(f"{share:.2f} of the memory{verdict(share, most, lower_is_better=True)}")
    finish({"cold": row}, asked, before)


if __name__ == "__main__":
    main()
