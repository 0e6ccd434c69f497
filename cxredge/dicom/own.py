"""By what cxredge's own DICOM objects are known, so that no result is ever taken for an image and analysed again."""

from __future__ import annotations

from cxredge.dicom import tags as t
from cxredge.dicom.tags import Tags

__all__ = ["MANUFACTURER", "MODEL", "is_own"]

MANUFACTURER = "cxredge"
MODEL = "cxredge results"
"""Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090) of every object that is written."""


def is_own(tags: Tags) -> bool:
    """Whether the object is a result of cxredge, of whatever version; both tags are kept when a PACS passes it on."""
    return tags.text(t.MANUFACTURER) == MANUFACTURER.upper() and tags.text(t.MODEL) == MODEL.upper()
