"""DCNN, the ResNet-50 baseline: what the CXR-IRNet paper re-ran as "DCNN" after Wang et al. (CVPR 2017).

Wang et al. put a transition layer and log-sum-exp pooling behind the backbone; the five papers compare with the plain
classifier, so that is what this is.
"""

from __future__ import annotations

from typing import ClassVar

from training.methods import base
from training.methods.chexnet import PooledClassifier

__all__ = ["Dcnn", "Options"]


class Options(base.Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As every method's, on ResNet-50."""

    backbone: str = "resnet50"


class Dcnn(PooledClassifier[Options]):
    """The ResNet-50 baseline."""

    name = "dcnn"
    options_type: ClassVar[type[base.Options]] = Options
