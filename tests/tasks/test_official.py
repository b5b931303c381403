"""Tests the config of Official Models' experiments: refusals before anything is built, and changes."""

from __future__ import annotations

import pytest

from lambdapress.framework.task import Metric
from lambdapress.tasks.official import OfficialTask
from lambdapress.tasks.official_config import ExperimentError, experiment_config, experiments, nested

BERT = "bert/sentence_prediction"


def test_experiments_are_found_by_their_full_names():
    assert {BERT, "resnet_imagenet", "wmt_transformer/large"} <= set(experiments())


def test_dots_and_nesting_are_the_same():
    assert nested({"a.b": 1, "a": {"c.d": 2}}) == {"a": {"b": 1, "c": {"d": 2}}}


@pytest.mark.parametrize(
    "overrides, message",
    [
        ({"trainer.train_stepz": 1}, r"\['trainer'\]\['train_stepz'\].*did you mean 'train_steps'"),
        ({"trainer": {"train_steps": "many"}}, r"\['train_steps'\] is a int \(\d+\); got 'many', a str"),
        ({"task.train_data": 3}, "is a group of keys; got 3"),
        ({"trainer.train_steps": {"a": 1}}, "not a group of keys"),
        ({"trainer.train_steps": True}, "got True, a bool"),
        ({"trainer.train_steps": 1, "trainer": {"train_steps": 2}}, "sets 'train.*' twice"),
        ({3: 1}, "has the key 3"),
    ],
)
def test_overrides_are_checked(overrides, message):
    with pytest.raises(ExperimentError, match=message):
        experiment_config(BERT, overrides)


def test_a_boolean_in_a_list_of_numbers_is_refused():
    with pytest.raises(ExperimentError, match=r"input_size.* is a list of numbers .*; got \[True, 64, 3\]"):
        experiment_config("resnet_imagenet", {"task.model.input_size": [True, 64, 3]})
    config = experiment_config("resnet_imagenet", {"task.model.input_size": [64, 64, 3]})
    assert list(config.task.model.input_size) == [64, 64, 3]


def test_later_overrides_win_and_other_configs_stay():
    config = experiment_config(BERT, {"trainer.train_steps": 5}, {"trainer.train_steps": 7})
    assert config.trainer.train_steps == 7
    assert experiment_config(BERT).trainer.train_steps != 7


def test_a_misspelt_experiment_is_told_its_neighbours():
    with pytest.raises(ExperimentError, match="did you mean .*'bert/sentence_prediction'"):
        OfficialTask("bert/sentence_predicton")
    with pytest.raises(ExperimentError, match="official.experiment is not set"):
        OfficialTask()


def test_the_metric_that_counts_is_known_before_training():
    assert OfficialTask(BERT).metrics == (Metric("cls_accuracy"),)
    assert OfficialTask("resnet_imagenet").metrics == (Metric("accuracy"),)
    with pytest.raises(ExperimentError, match="official.metric_name is not set"):
        OfficialTask("retinanet_resnetfpn_coco", {"task.annotation_file": ""}).build_model()
