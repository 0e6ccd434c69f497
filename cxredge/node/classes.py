"""What may be sent to the node: SOP classes and transfer syntaxes, and why each."""

from __future__ import annotations

from collections.abc import Sequence

from cxredge.node.wire import Context, is_uid

__all__ = ["RADIOGRAPHS", "STORED", "VERIFICATION", "negotiate"]

VERIFICATION = "1.2.840.10008.1.1"
"""C-ECHO: the first thing that whoever sets up a sender does."""

RADIOGRAPHS = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.1",  # Computed Radiography: storage phosphor plates
        "1.2.840.10008.5.1.4.1.1.1.1",  # Digital X-Ray, for presentation: flat detectors
        # Digital X-Ray, for processing: some devices send both in one association and fail altogether where one is
        # refused. It is abstained on (FOR_PROCESSING), and the report says so.
        "1.2.840.10008.5.1.4.1.1.1.1.1",
        # Secondary Capture: scanned films, and archives that were converted once. What is no chest is abstained on.
        "1.2.840.10008.5.1.4.1.1.7",
    }
)
"""What is analysed."""

_RESULTS = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.88.34",  # Comprehensive 3D SR
        "1.2.840.10008.5.1.4.1.1.66.4",  # Segmentation
        "1.2.840.10008.5.1.4.1.1.11.1",  # Grayscale Softcopy Presentation State
    }
)
"""As which results of cxredge are written (the fourth is Secondary Capture). A PACS that forwards whole studies sends
them too, and would try for ever if they were refused; they are kept as long as an image is, and never analysed."""

STORED = RADIOGRAPHS | _RESULTS

_STANDARD = "1.2.840.10008.1.2"
_NOT_WITH_THE_PIXELS = frozenset(
    {
        *("1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.95"),  # JPIP: the pixels lie elsewhere
        *("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205"),  # JPIP with HTJ2K
        *("1.2.840.10008.1.2.7.1", "1.2.840.10008.1.2.7.2", "1.2.840.10008.1.2.7.3"),  # streams of video and audio
    }
)
_ACCEPTED, _NO_CLASS, _NO_SYNTAX = 0, 3, 4  # PS3.8 table 9-18


def negotiate(contexts: Sequence[Context]) -> list[tuple[int, int, str]]:
    """The answer to each proposed context: number, result, and the chosen transfer syntax."""
    return [_answer(context) for context in contexts]


def _answer(context: Context) -> tuple[int, int, str]:
    """Any syntax will do, as an instance is bytes to the node: so nothing is transcoded on the way.

    The sender's first is taken, as that is the one its instances are in as a rule; a maker's own only where no standard
    one is offered. What the reader cannot decode is told by the analysis, not by a refusal that nobody reads.
    """
    fallback = context.syntaxes[0] if context.syntaxes else ""
    if context.abstract not in STORED and context.abstract != VERIFICATION:
        return context.number, _NO_CLASS, fallback
    able = [syntax for syntax in context.syntaxes if is_uid(syntax) and syntax not in _NOT_WITH_THE_PIXELS]
    able.sort(key=lambda syntax: not f"{syntax}.".startswith(f"{_STANDARD}."))
    return (context.number, _ACCEPTED, able[0]) if able else (context.number, _NO_SYNTAX, fallback)
