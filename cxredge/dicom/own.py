"""By what cxredge's own DICOM objects are known, so that no result is ever taken for an image and analysed again."""

from __future__ import annotations

import uuid

from cxredge.dicom import tags as t
from cxredge.dicom.tags import Tags

__all__ = ["IMPLEMENTATION", "MANUFACTURER", "MODEL", "NAMESPACE", "is_own"]

NAMESPACE = uuid.UUID("491e72da-0ed8-4883-9ac2-f2481c574310")
"""What every identifier of cxredge follows from (PS3.5 B.2)."""
IMPLEMENTATION = f"2.25.{NAMESPACE.int}"
"""Implementation Class UID (0002,0012) of every file and association."""

MANUFACTURER = "cxredge"
MODEL = "cxredge results"
"""Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090) of every object that is written."""


def is_own(tags: Tags) -> bool:
    """Whether the object is a result of cxredge, of whatever version; both tags are kept when a PACS passes it on."""
    return tags.text(t.MANUFACTURER) == MANUFACTURER.upper() and tags.text(t.MODEL) == MODEL.upper()
