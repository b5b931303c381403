"""Tests what is said of two models: flips, intervals, orders of classes and examples, weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from lambdapress.sweeps.results.model_difference import difference, weight_difference
from lambdapress.sweeps.results.schema import ResultError

RNG = np.random.default_rng(0)
COUNTS = ["examples", "right_to_wrong", "wrong_to_right"]


def classifier(labels, accuracy=0.7):
    """Makes a classifier's records, with invented predictions."""
    wrong = RNG.random(len(labels)) > accuracy
    predicted = np.where(wrong, RNG.choice(np.unique(labels), len(labels)), labels)
    return {"label": labels, "predicted": predicted, "probability": RNG.uniform(0.2, 1, len(labels))}


def pair(count=500, classes=(-1, 0, 3, 7)):
    labels = RNG.choice(classes, count)
    return classifier(labels, 0.8), classifier(labels, 0.6)


def flipped(lost, won, both, neither):
    """Makes two models' records with given numbers of the four outcomes, in a random order."""
    right = np.repeat(
        [[True, False], [False, True], [True, True], [False, False]], [lost, won, both, neither], 0
    )
    RNG.shuffle(right)
    labels = np.zeros(len(right), np.int64)
    return tuple({"label": labels, "predicted": np.where(one, 0, 1)} for one in right.T)


def counted(a, b, label=None):
    """Counts one example at a time."""
    examples = right_to_wrong = wrong_to_right = right_a = right_b = 0
    for truth, p, q in zip(a["label"], a["predicted"], b["predicted"], strict=True):
        if label is None or truth == label:
            examples += 1
            right_a += p == truth
            right_b += q == truth
            right_to_wrong += p == truth and q != truth
            wrong_to_right += p != truth and q == truth
    return {
        "examples": examples,
        "right_to_wrong": right_to_wrong,
        "wrong_to_right": wrong_to_right,
        "accuracy_a": right_a / examples,
        "accuracy_b": right_b / examples,
        "change": (right_b - right_a) / examples,
    }


def test_flips_are_those_that_are_counted_one_at_a_time():
    a, b = pair()
    found = difference(a, b)
    expected = counted(a, b)
    assert {name: found.totals[name] for name in expected} == pytest.approx(expected)
    assert found.totals["right_to_wrong"] > 0 < found.totals["wrong_to_right"]
    assert sorted(found.classes["label"]) == [-1, 0, 3, 7]
    for row in found.classes.to_dict("records"):
        expected = counted(a, b, row["label"])
        assert {name: row[name] for name in expected} == pytest.approx(expected)
    for name in COUNTS:
        assert found.classes[name].sum() == found.totals[name]


@pytest.mark.parametrize("lost, won", [(0, 0), (1, 0), (0, 7), (5, 1), (30, 12), (12, 30), (400, 300)])
def test_the_p_value_is_that_of_the_binomial_test(lost, won):
    found = difference(*flipped(lost, won, 20, 5)).totals
    assert (found["right_to_wrong"], found["wrong_to_right"]) == (lost, won)
    expected = scipy.stats.binomtest(won, lost + won, 0.5).pvalue if lost + won else 1.0
    assert found["mcnemar_p"] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("lost, won", [(0.08, 0.03), (0.10, 0.10), (0.02, 0.06)])
def test_the_interval_covers_the_true_change_as_often_as_it_says(lost, won):
    """Each class is a pair of models that err together: of 200 examples, 80% right in both."""
    pairs, count = 2000, 200
    random = np.random.default_rng(7)
    outcomes = random.choice(4, (pairs, count), p=[lost, won, 0.8, 0.2 - lost - won])
    covered = 0
    for part in np.split(outcomes, 40):  # a call takes all classes at once
        labels = np.repeat(np.arange(len(part)), count)
        right = [np.isin(part.ravel(), kept) for kept in ([0, 2], [1, 2])]
        found = difference(*({"label": labels, "predicted": np.where(r, labels, -1)} for r in right)).classes
        assert len(found) == len(part)
        covered += int(found["change_low"].le(won - lost).mul(found["change_high"].ge(won - lost)).sum())
    assert 0.93 <= covered / pairs <= 0.975


@pytest.mark.parametrize("outcomes", [(0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0), (90, 0, 0, 0), (3, 9, 50, 8)])
def test_the_interval_is_around_the_change_and_within_what_is_possible(outcomes):
    found = difference(*flipped(*outcomes)).totals
    assert -1 <= found["change_low"] <= found["change"] <= found["change_high"] <= 1
    assert found["change_low"] < found["change_high"]


def test_models_that_change_places_have_the_opposite_change():
    a, b = pair()
    one, other = difference(a, b).totals, difference(b, a).totals
    assert one["change"] == -other["change"] != 0 and one["mcnemar_p"] == other["mcnemar_p"]
    assert one["change_low"] == pytest.approx(-other["change_high"])
    assert one["right_to_wrong"] == other["wrong_to_right"] and one["accuracy_a"] == other["accuracy_b"]


def test_a_model_does_not_differ_from_itself():
    a = {**pair()[0], "nll": RNG.exponential(size=500)}
    found = difference(a, {name: values.copy() for name, values in a.items()})
    for name in ("change", "right_to_wrong", "wrong_to_right", "nll_change", "nll_change_ci"):
        assert found.totals[name] == 0
    assert found.totals["mcnemar_p"] == 1 and found.totals["change_low"] < 0 < found.totals["change_high"]
    assert not found.examples["change"].any() and not found.classes["change"].any()


def test_classes_that_lost_most_come_first():
    labels = np.repeat([4, 0, 9, 2], 100)
    right = {4: (90, 85), 0: (80, 20), 9: (50, 70), 2: (99, 99)}
    place = np.tile(np.arange(100), 4)
    a, b = (
        {"label": labels, "predicted": np.where(place < [right[label][i] for label in labels], labels, -1)}
        for i in range(2)
    )
    found = difference(a, b).classes
    assert found["label"].tolist() == [0, 4, 2, 9]
    assert found["change"].tolist() == pytest.approx([-0.6, -0.05, 0, 0.2])
    changes = difference(*pair(2000, tuple(range(30)))).classes["change"]
    assert changes.is_monotonic_increasing and changes.iloc[0] < changes.iloc[-1]


def test_examples_that_changed_most_come_first_each_once():
    a, b = pair()
    found = difference(a, b).examples
    assert sorted(found["example"]) == list(range(500)) and found["change"].is_monotonic_decreasing
    for row in found.to_dict("records"):
        i = int(row["example"])
        p, q = a["probability"][i], b["probability"][i]
        same = a["predicted"][i] == b["predicted"][i]
        assert row["change"] == pytest.approx(abs(p - q) if same else p + q)
        assert row["label"] == a["label"][i]
        assert (row["predicted_a"], row["predicted_b"]) == (a["predicted"][i], b["predicted"][i])
        assert (row["probability_a"], row["probability_b"]) == (p, q)


def test_equally_confident_models_differ_most_where_they_chose_otherwise():
    labels = np.zeros(4, np.int64)
    sure, unsure = 0.99, 0.51
    a = {
        "label": labels,
        "predicted": np.array([0, 0, 0, 0]),
        "probability": np.array([sure] * 2 + [unsure] * 2),
    }
    b = {"label": labels, "predicted": np.array([0, 1, 0, 1]), "probability": a["probability"]}
    assert difference(a, b).examples["example"].tolist()[:2] == [1, 3]


@pytest.mark.parametrize("count", [3, 50, 1000])
def test_other_records_have_their_mean_change_with_students_interval(count):
    before, after = RNG.exponential(size=count), RNG.exponential(size=count) + 0.5
    found = difference({"nll": before}, {"nll": after})
    expected = scipy.stats.ttest_rel(after, before)
    low, high = expected.confidence_interval(0.95)
    assert found.totals["examples"] == count and "change" not in found.totals and found.classes.empty
    assert found.totals["nll_a"] == pytest.approx(before.mean())
    assert found.totals["nll_b"] == pytest.approx(after.mean())
    assert found.totals["nll_change"] == pytest.approx((low + high) / 2)
    assert found.totals["nll_change_ci"] == pytest.approx((high - low) / 2)
    order = np.argsort(-np.abs(after - before))
    assert found.examples["example"].tolist() == order.tolist()
    assert found.examples["nll_b"].tolist() == after[order].tolist()


def test_the_order_of_examples_does_not_depend_on_a_records_unit():
    a = {"nll": RNG.exponential(size=50), "area": RNG.random(50)}
    b = {"nll": RNG.exponential(size=50), "area": RNG.random(50)}
    bits, square_millimetres = ({**r, "nll": r["nll"] / math.log(2), "area": 1e6 * r["area"]} for r in (a, b))
    assert (
        difference(a, b).examples["example"].equals(difference(bits, square_millimetres).examples["example"])
    )


def test_records_of_several_axes_count_and_break_nothing():
    a, b = pair(60)
    scores = RNG.normal(size=(60, 4, 2))
    other = scores.copy()
    other[17] += 100.0
    plain = difference(a, b)
    found = difference({**a, "scores": scores}, {**b, "scores": other})
    assert {name: found.totals[name] for name in plain.totals} == plain.totals
    assert found.totals["scores_change"] == pytest.approx(100 / 60)
    assert found.totals["scores_change_ci"] > 0
    assert found.examples["example"].iloc[0] == 17 and len(found.examples) == 60
    assert list(found.examples) == list(plain.examples)


def test_only_what_both_models_have_is_compared():
    a, b = pair()
    found = difference({**a, "nll": RNG.random(500)}, {**b, "margin": RNG.random(500)})
    expected = difference(a, b)
    assert found.totals == expected.totals and found.examples.equals(expected.examples)
    unlabelled = difference(a, {name: values for name, values in b.items() if name != "label"})
    assert "change" not in unlabelled.totals and unlabelled.classes.empty and len(unlabelled.examples) == 500


def shortened(records, count):
    return {name: values[:count] for name, values in records.items()}


def test_models_that_saw_other_examples_are_refused():
    a, b = pair()
    for other in (
        shortened(b, 499),
        {**b, "probability": b["probability"][:499]},
        {**b, "label": b["label"][::-1]},
        {**b, "label": np.where(np.arange(500) == 499, 3 - b["label"], b["label"])},
    ):
        for one, two in ((a, other), (other, a)):
            with pytest.raises(ResultError, match="same examples"):
                difference(one, two)
    with pytest.raises(ResultError, match="same examples"):
        difference({"nll": np.zeros(3)}, {"nll": np.zeros(4)})


def test_models_that_recorded_nothing_alike_are_refused():
    for one, other in (({}, {}), (pair()[0], {}), ({"nll": np.zeros(3)}, {"margin": np.zeros(3)})):
        with pytest.raises(ResultError, match="same kind"):
            difference(one, other)


def weights(sparsity=0.6):
    return {
        "conv/kernel": np.float32(RNG.normal(size=(3, 3, 4, 5)) * (RNG.random((3, 3, 4, 5)) > sparsity)),
        "fc/kernel": np.float32(RNG.normal(size=(40, 30)) * (RNG.random((40, 30)) > sparsity)),
        "fc/bias": np.float32(RNG.uniform(1, 2, 30)),
    }


def test_equal_weights_do_not_differ():
    a = weights()
    found = weight_difference(a, {path: values.copy() for path, values in a.items()})
    assert found["weight"].tolist() == list(a) and found["elements"].tolist() == [180, 1200, 30]
    assert found["relative_error"].tolist() == [0, 0, 0]
    assert found["zeros_overlap"].tolist()[:2] == [1, 1] and math.isnan(found["zeros_overlap"][2])
    assert found["nonzeros_a"].equals(found["nonzeros_b"])


@pytest.mark.parametrize("factor, error", [(1.25, 0.25), (0.5, 0.5), (0.0, 1.0), (-1.0, 2.0), (1e6, 1e6 - 1)])
def test_scaled_weights_have_a_known_relative_error(factor, error):
    a = weights()
    found = weight_difference(a, {path: np.float32(factor) * values for path, values in a.items()})
    assert found["relative_error"].tolist() == pytest.approx([error] * 3, rel=1e-5)


def test_the_relative_error_is_that_of_the_first_model():
    a, b = {"w": np.array([3.0, 4.0])}, {"w": np.array([3.0, 14.0])}
    assert weight_difference(a, b)["relative_error"][0] == pytest.approx(2.0)
    assert weight_difference(b, a)["relative_error"][0] == pytest.approx(10 / math.hypot(3, 14))


def test_zeros_are_counted_one_at_a_time():
    a, b = weights(0.7), weights(0.4)
    for row in weight_difference(a, b).to_dict("records"):
        pairs = list(zip(a[row["weight"]].flat, b[row["weight"]].flat, strict=True))
        both, either = sum(x == 0 and y == 0 for x, y in pairs), sum(x == 0 or y == 0 for x, y in pairs)
        assert row["nonzeros_a"] == sum(x != 0 for x, _ in pairs)
        assert row["nonzeros_b"] == sum(y != 0 for _, y in pairs)
        assert row["zeros_overlap"] == pytest.approx(both / either if either else math.nan, nan_ok=True)


def test_weights_that_are_all_zero_have_no_relative_error():
    found = weight_difference({"w": np.zeros((2, 3))}, {"w": np.ones((2, 3))})
    assert math.isnan(found["relative_error"][0]) and found["zeros_overlap"][0] == 0
    assert (found["nonzeros_a"][0], found["nonzeros_b"][0]) == (0, 6)


def test_weights_of_other_shapes_and_names_are_left_out():
    a = weights()
    b = {**weights(), "fc/kernel": a["fc/kernel"].T, "fc/bias": a["fc/bias"][None], "new/kernel": np.ones(3)}
    assert weight_difference(a, b)["weight"].tolist() == ["conv/kernel"]
    assert weight_difference(b, a)["weight"].tolist() == ["conv/kernel"]


@pytest.mark.parametrize("other", [{}, {"w": np.ones(4)}, {"v": np.ones(3)}])
def test_models_that_share_no_weight_have_a_frame_without_rows(other):
    found = weight_difference({"w": np.ones(3)}, other)
    assert len(found) == 0 and {"weight", "elements", "zeros_overlap", "relative_error"} <= set(found)
