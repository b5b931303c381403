"""Defines small versions of Official Models' experiments, on generated data, for the coverage test.

An experiment keeps its own model family, task, losses, metrics, optimizer and schedule. Depth, width, images,
sequences and batches are smaller.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

BATCH = 2
CLASSES = 5
IMAGE = 64
Overrides = dict[str, Any]
# For experiments that leave the optimizer to the user.
SGD = {
    "optimizer": {"type": "sgd"},
    "learning_rate": {"type": "constant", "constant": {"learning_rate": 0.1}},
}


@dataclasses.dataclass(frozen=True)
class Experiment:
    """Keeps an experiment's name, the overrides that make it small, and the metric that is evaluated."""

    name: str
    overrides: Callable[[Path], Overrides]
    metric: str


def _data(**paths: str) -> Overrides:
    """Returns overrides of both data sets' paths and batch sizes."""
    overrides: Overrides = {}
    for split in ("train_data", "validation_data"):
        overrides[f"task.{split}.global_batch_size"] = BATCH
        overrides.update({f"task.{split}.{key}": value for key, value in paths.items()})
    return overrides


def _short(**trainer: Any) -> Overrides:
    return {
        "trainer.train_steps": 2,
        "trainer.steps_per_loop": 2,
        "trainer.validation_steps": 1,
        "runtime.mixed_precision_dtype": "float32",
        **{f"trainer.{key}": value for key, value in trainer.items()},
    }


def _records(folder: Path, examples: list[Any]) -> str:
    from official.vision.dataloaders import tfexample_utils

    path = str(folder / "data.tfrecord")
    tfexample_utils.dump_to_tfrecord(path, examples)
    return path


def _classification(optimizer: Overrides | None = None, **model: Any) -> Callable[[Path], Overrides]:
    def overrides(folder: Path) -> Overrides:
        from official.vision.dataloaders import tfexample_utils

        example = tfexample_utils.create_classification_example(IMAGE, IMAGE, output_serialized_example=False)
        return {
            **_short(**({"optimizer_config": optimizer} if optimizer else {})),
            **_data(input_path=_records(folder, [example] * 2 * BATCH)),
            "task.train_data.shuffle_buffer_size": 2,
            "task.model.num_classes": 1001,
            "task.model.input_size": [IMAGE, IMAGE, 3],
            **{f"task.model.{key}": value for key, value in model.items()},
        }

    return overrides


def imagenet_records(folder: Path) -> Overrides:
    """Returns overrides of `resnet18` or `resnet50`: two steps on small TFRecords of ImageNet's format."""
    tfds = {f"task.{split}.tfds_name": "" for split in ("train_data", "validation_data")}
    return {**_classification()(folder), **tfds, "trainer.optimizer_config": SGD}


def _detection_example(size: int) -> Any:
    """Makes a picture with two boxes, each with its mask, in COCO's TFRecord format."""
    pixels = np.random.default_rng(0).integers(0, 255, (size, size, 3), np.uint8)
    masks = np.zeros((2, size, size, 1), np.uint8)
    masks[:, size // 4 : size // 2, size // 4 : size // 2] = 1

    def integers(values: Sequence[int]) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(values: Sequence[float]) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def strings(values: Sequence[bytes]) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {
        "image/encoded": strings([tf.io.encode_jpeg(pixels).numpy()]),
        "image/source_id": strings([b"7"]),
        "image/height": integers([size]),
        "image/width": integers([size]),
        "image/object/bbox/xmin": floats([0.25, 0.25]),
        "image/object/bbox/xmax": floats([0.5, 0.5]),
        "image/object/bbox/ymin": floats([0.25, 0.25]),
        "image/object/bbox/ymax": floats([0.5, 0.5]),
        "image/object/class/label": integers([1, 2]),
        "image/object/area": floats([(size / 4) ** 2] * 2),
        "image/object/is_crowd": integers([0, 0]),
        "image/object/mask": strings([tf.io.encode_png(mask).numpy() for mask in masks]),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def _detection(size: int, **more: Any) -> Callable[[Path], Overrides]:
    def overrides(folder: Path) -> Overrides:
        return {
            **_short(),
            **_data(
                input_path=_records(folder, [_detection_example(size)] * 2 * BATCH), shuffle_buffer_size=2
            ),
            "task.annotation_file": "",
            "task.init_checkpoint": "",
            "task.model.num_classes": CLASSES,
            "task.model.input_size": [size, size, 3],
            **{key.replace("__", "."): value for key, value in more.items()},
        }

    return overrides


def _segmentation(**model: Any) -> Callable[[Path], Overrides]:
    def overrides(folder: Path) -> Overrides:
        from official.vision.dataloaders import tfexample_utils

        example = tfexample_utils.create_segmentation_test_example(IMAGE, IMAGE, 3)
        return {
            **_short(),
            **_data(
                input_path=_records(folder, [example] * 2 * BATCH),
                shuffle_buffer_size=2,
                output_size=[IMAGE, IMAGE],
            ),
            "task.train_data.crop_size": [],
            "task.init_checkpoint": "",
            "task.model.num_classes": CLASSES,
            "task.model.input_size": [IMAGE, IMAGE, 3],
            **{f"task.model.{key}": value for key, value in model.items()},
        }

    return overrides


def _video(folder: Path) -> Overrides:
    from official.vision.dataloaders import tfexample_utils

    example = tfexample_utils.make_video_test_example(image_shape=(IMAGE, IMAGE, 3))
    return {
        **_short(optimizer_config=SGD),
        **_data(
            input_path=_records(folder, [example] * 2 * BATCH),
            shuffle_buffer_size=2,
            feature_shape=[4, IMAGE, IMAGE, 3],
            min_image_size=IMAGE,
            num_classes=CLASSES,
            num_examples=2 * BATCH,
        ),
    }


ENCODER = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 2,
    "num_layers": 2,
    "vocab_size": 500,
    "max_position_embeddings": 32,
}


def _bert(encoder: str = "task.model.encoder", **more: Any) -> Callable[[Path], Overrides]:
    def overrides(folder: Path) -> Overrides:
        del folder
        return {
            **_short(),
            **_data(input_path="dummy", seq_length=16),
            "trainer.optimizer_config.warmup.polynomial.warmup_steps": 1,
            "trainer.optimizer_config.learning_rate.polynomial.decay_steps": 2,
            **{f"{encoder}.bert.{key}": value for key, value in ENCODER.items()},
            **{key.replace("__", "."): value for key, value in more.items()},
        }

    return overrides


def _squad(folder: Path) -> Overrides:
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] the a cat sat on mat where did sit ? .".split()
    vocabulary = folder / "vocabulary.txt"
    vocabulary.write_text("\n".join(words))
    question = {
        "id": "1",
        "question": "where did the cat sit ?",
        "answers": [{"text": "on the mat", "answer_start": 12}],
    }
    paragraph = {"context": "the cat sat on the mat .", "qas": [question]}
    squad = folder / "squad.json"
    squad.write_text(json.dumps({"version": "1.1", "data": [{"title": "", "paragraphs": [paragraph]}]}))
    return {
        **_bert()(folder),
        "task.validation_data.input_path": str(squad),
        "task.validation_data.vocab_file": str(vocabulary),
        "task.validation_data.query_length": 8,
        "task.validation_data.is_training": False,
    }


def _translation(folder: Path) -> Overrides:
    import sentencepiece

    lines = ["abc ede fg", "bbcd ef a g", "de f a a g", "dd cc a ef g", "bcd ef a g", "gef cd ba"]
    text = folder / "text.txt"
    text.write_text("\n".join(lines))
    sentencepiece.SentencePieceTrainer.Train(
        f"--input={text} --vocab_size=12 --model_prefix={folder / 'pieces'} --model_type=bpe "
        "--bos_id=-1 --pad_id=0 --eos_id=1 --unk_id=2 --minloglevel=2"
    )
    examples = []
    for source, target in zip(lines[:3], lines[3:], strict=True):
        pair = {"en": source, "de": target}
        features = {
            key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value.encode()]))
            for key, value in pair.items()
        }
        examples.append(tf.train.Example(features=tf.train.Features(feature=features)))
    small = {"num_layers": 1, "num_attention_heads": 2, "intermediate_size": 256}
    return {
        **_short(),
        **_data(
            input_path=_records(folder, examples),
            tfds_name="",
            tfds_split="",
            src_lang="en",
            tgt_lang="de",
            max_seq_length=12,
        ),
        "task.train_data.static_batch": True,
        "task.train_data.global_batch_size": 24,
        "task.validation_data.static_batch": True,
        "task.validation_data.global_batch_size": 4,
        "task.sentencepiece_model_path": str(folder / "pieces.model"),
        "task.model.embedding_width": 64,
        "task.model.decode_max_length": 12,
        "task.model.encoder": small,
        "task.model.decoder": small,
    }


RESNET = {"backbone.resnet.model_id": 10}
MOBILENET = {"backbone.mobilenet.filter_size_scale": 0.25}
VIT = {"backbone.vit.model_name": "vit-ti16"}
HEAD = {"task__model__head__num_convs": 1, "task__model__head__num_filters": 32}

EXPERIMENTS = [
    Experiment("resnet_imagenet", _classification(**RESNET), "accuracy"),
    Experiment("resnet_rs_imagenet", _classification(**RESNET), "accuracy"),
    Experiment("revnet_imagenet", _classification(**{"backbone.revnet.model_id": 38}), "accuracy"),
    Experiment("mobilenet_imagenet", _classification(**MOBILENET), "accuracy"),
    Experiment(
        "image_classification",
        _classification(SGD, backbone={"type": "efficientnet", "efficientnet": {"model_id": "b0"}}),
        "accuracy",
    ),
    Experiment("vit_imagenet_finetune", _classification(**VIT), "accuracy"),
    Experiment("deit_imagenet_pretrain", _classification(**VIT), "accuracy"),
    Experiment(
        "retinanet_resnetfpn_coco", _detection(128, task__model__backbone__resnet__model_id=10, **HEAD), "AP"
    ),
    Experiment("retinanet_mobile_coco", _detection(128), "AP"),
    Experiment("maskrcnn_resnetfpn_coco", _detection(128, task__model__backbone__resnet__model_id=10), "AP"),
    Experiment(
        "seg_deeplabv3plus_pascal", _segmentation(**{"backbone.dilated_resnet.model_id": 50}), "mean_iou"
    ),
    Experiment("mnv2_deeplabv3_pascal", _segmentation(**MOBILENET), "mean_iou"),
    Experiment("video_classification", _video, "accuracy"),
    Experiment("bert/sentence_prediction", _bert(task__model__num_classes=3), "cls_accuracy"),
    Experiment("bert/tagging", _bert(task__class_names=["A", "B", "C"]), "accuracy"),
    Experiment("bert/squad", _squad, "final_f1"),
    Experiment("bert/pretraining", _bert(), "masked_lm_accuracy"),
    Experiment("wmt_transformer/large", _translation, "sacrebleu_score"),
]
