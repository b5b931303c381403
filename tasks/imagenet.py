"""Trains Official Models' residual networks on ImageNet: its experiment `resnet_imagenet`, at two depths."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from ..framework.task import tasks
from .official import OfficialTask


def _resnet(depth: int) -> dict[str, Any]:
    return {
        "task.model.backbone.resnet.model_id": depth,
        "task.train_data.input_path": "",
        "task.train_data.tfds_name": "imagenet2012",
        "task.train_data.tfds_split": "train",
        "task.validation_data.input_path": "",
        "task.validation_data.tfds_name": "imagenet2012",
        "task.validation_data.tfds_split": "validation",
    }


@tasks.register("resnet18")
@dataclasses.dataclass(frozen=True)
class ResNet18(OfficialTask):
    """ImageNet with Official Models' ResNet-18, 11.7 million parameters, by its own recipe.

    K. He et al., "Deep residual learning for image recognition", CVPR 2016. The data is read through
    TensorFlow Datasets (`imagenet2012`); for TFRecords, override `task.train_data.tfds_name` with "" and
    `task.train_data.input_path` with their path, and `task.validation_data` likewise.
    """

    base: ClassVar[Mapping[str, Any]] = _resnet(18)

    experiment: str = "resnet_imagenet"
    metric_name: str | None = "accuracy"


@tasks.register("resnet50")
@dataclasses.dataclass(frozen=True)
class ResNet50(OfficialTask):
    """ImageNet with Official Models' ResNet-50, 25.6 million parameters, by its own recipe.

    `ResNet18` names the paper and says where the data comes from.
    """

    base: ClassVar[Mapping[str, Any]] = _resnet(50)

    experiment: str = "resnet_imagenet"
    metric_name: str | None = "accuracy"
