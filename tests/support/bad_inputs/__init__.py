"""The table of bad inputs: each made by code from one good film, each with its one right answer.

`tests/robustness` asks the command and the API for every row; `docs/robustness.md` is made from it.
"""

from __future__ import annotations

from tests.support.bad_inputs.content import KINDS, PICTURES, VIEWS
from tests.support.bad_inputs.display import DISPLAY
from tests.support.bad_inputs.identity import IDENTITY
from tests.support.bad_inputs.pieces import PIECES
from tests.support.bad_inputs.pixels import COLOUR, PIXELS, TWINS
from tests.support.bad_inputs.streams import FRAGMENTS, STREAMS
from tests.support.bad_inputs.structure import BOMBS, FILES, SYNTAX
from tests.support.bad_inputs.table import BadInput, Group

__all__ = ["GROUPS", "ROWS", "BadInput", "Group"]

GROUPS = (
    FILES, SYNTAX, BOMBS, PIECES, PIXELS, COLOUR, DISPLAY, STREAMS, FRAGMENTS, VIEWS, KINDS, PICTURES, IDENTITY, TWINS,
)  # fmt: skip
ROWS = tuple(row for group in GROUPS for row in group.rows)
