"""The recommendation: against hand-computed values and independent regressions."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Ridge

from benchmarks.guidelines import filing, ladder
from nas_jax.guidelines import advice, kinds, models
from nas_jax.guidelines.advice import Wish
from nas_jax.guidelines.records import Descriptors
from nas_jax.networks import counts
from tests.guidelines.made_up_records import PARAMS, law, record

TASK = Descriptors(16, 1, 10, 100.0, 1.0, 0.6, 0.8)
IMAGENET = filing.IMAGENET


def one_kind(accuracies):
    found = [record(rung=rung, accuracy=x) for rung, x in enumerate(accuracies)]
    return kinds.grouped(found)[0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_rising_is_the_isotonic_regression(values):
    expected = IsotonicRegression().fit_transform(np.arange(len(values)), values)
    np.testing.assert_allclose(kinds.rising(np.array(values)), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("accuracies", "rung"),
    [
        ((0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97), 6),
        ((0.5, 0.6, 0.7, 0.965, 0.9651, 0.966, 0.97), 3),
        ((0.97,) * 7, 0),
        # the second network was lucky: its fit is the mean with the two after it
        ((0.5, 0.97, 0.7, 0.7, 0.9, 0.97, 0.97), 5),
        # the largest was unlucky: fit 0.9
        ((0.5, 0.6, 0.7, 0.8, 0.85, 0.95, 0.85), 5),
    ],
)
def test_what_suffices(accuracies, rung):
    kind = one_kind(accuracies)
    assert [point.params for point in kind.points] == list(PARAMS)
    assert kinds.needed(kind, 0.01 + 1e-9) == PARAMS[rung]


def test_records_of_one_network_are_averaged():
    kind = kinds.grouped([record(accuracy=0.8), record(accuracy=0.9)])
    assert len(kind) == 1
    assert kind[0].points[0].accuracy == pytest.approx(0.85)


def test_distance_by_hand():
    other = Descriptors(32, 1, 40, 800.0, 1.0, 0.6, 0.55)
    # a doubling of the side, two of the classes, three of the images, 0.25 of accuracy
    assert kinds.distance(TASK, other) == pytest.approx(math.sqrt(4))
    assert kinds.distance(TASK, TASK) == 0
    silent = Descriptors(16, 1, 10, 100.0, 1.0, None, None)
    assert kinds.distance(TASK, silent) == 0


def test_ridge_is_the_ridge_of_another_library():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 4)) * [1, 5, 0.1, 2] + 3, rng.normal(size=30)
    z = (x - x.mean(0)) / x.std(0)
    expected = Ridge(alpha=1.0).fit(z, y).predict(z)
    predict = models.ridge(x, y)
    np.testing.assert_allclose([predict(row) for row in x], expected)


def test_errors_are_of_families_left_out():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(12, 2)), rng.normal(size=12)
    families = ["a", "b", "c"] * 4
    model = models.fitted(x, y, families)
    others = np.array(families) != "b"
    predict = models.ridge(x[others], y[others])
    np.testing.assert_allclose(model.errors[1], y[1] - predict(x[1]))
    with pytest.raises(ValueError, match="at least two families"):
        models.fitted(x, y, ["a"] * 12)


def model_of(predict, errors, families):
    return models.Model(predict, np.asarray(errors), tuple(families))


def test_an_interval_covers_the_needed_share_of_sources():
    """Four sources: one erred by 1 four times, three once, by 2, 3 and 4."""
    errors = [1.0, -1.0, 1.0, 1.0, -2.0, 3.0, -4.0]
    model = model_of(lambda row: 10.0, errors, "aaaabcd")
    # 0.4 (4 + 1) / 4 = half of the sources erred by 2 at most: a and b
    assert model.interval(np.zeros(1), 0.4) == (8.0, 10.0, 12.0)
    # 0.41 of five needs more than half of four
    assert model.interval(np.zeros(1), 0.41) == (7.0, 10.0, 13.0)
    assert model.interval(np.zeros(1), 0.6) == (7.0, 10.0, 13.0)
    # by tasks, not by sources, four of seven would do with 1
    assert model.interval(np.zeros(1), 0.2) == (9.0, 10.0, 11.0)
    assert model.interval(np.zeros(1), 0.8) == (6.0, 10.0, 14.0)
    # beyond what four sources support: the largest error
    assert model.interval(np.zeros(1), 0.99) == (6.0, 10.0, 14.0)


def test_a_source_counts_once_however_many_tasks_it_has():
    np.testing.assert_allclose(models.even("abbb"), [1 / 2, 1 / 6, 1 / 6, 1 / 6])
    np.testing.assert_allclose(models.even("bab"), [1 / 4, 1 / 2, 1 / 4])


@pytest.mark.parametrize(
    ("families", "asked", "chance", "share"),
    [
        ("abc", 0.8, 3 / 4, 1.0),
        ("abcd", 0.8, 0.8, 1.0),
        ("aabbccdd", 0.6, 0.6, 0.75),
        ("abcde", 0.8, 0.8, 0.96),
        ("abcde", 0.9, 5 / 6, 1.0),
    ],
)
def test_what_so_many_sources_support(families, asked, chance, share):
    assert models.supported(asked, families) == pytest.approx(chance)
    assert models.needed_share(asked, families) == pytest.approx(share)


def test_intervals_cover_new_sources_as_often_as_they_say():
    """Errors of sources drawn alike; of each source tasks err alike."""
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        # six sources of three tasks: of the last nothing is known
        errors = np.repeat(rng.normal(size=6), 3) + 0.3 * rng.normal(size=18)
        model = model_of(lambda row: 0.0, errors[:15], np.repeat(list("abcde"), 3))
        low, _, high = model.interval(np.zeros(1), 0.8)
        covered.append(np.mean((low <= errors[15:]) & (errors[15:] <= high)))
    # four standard deviations below 0.8, and not all
    assert 0.73 < np.mean(covered) < 0.9


def test_margin_is_the_smallest_with_which_enough_kinds_are_served():
    """Four kinds that need their 1st, 2nd, 3rd, 4th network, all predicted the 2nd."""
    known = [
        one_kind((0.5,) * place + (0.9,) * (7 - place))._replace(family=f"f{place}")
        for place in range(4)
    ]
    sizes = np.log2([point.params for point in known[0].points])
    needs = np.log2([kinds.needed(kind, 0.01) for kind in known])
    np.testing.assert_allclose(needs, sizes[:4])
    model = model_of(lambda row: sizes[1], needs - sizes[1], "abcd")
    # of 4 kinds 0.4 (4 + 1) = 2 are to be served: those that need no more than the 2nd
    assert models.margin(known, model, 0.01, 0.4) == pytest.approx(0)
    assert models.margin(known, model, 0.01, 0.2) == pytest.approx(sizes[0] - sizes[1])
    # 0.6 * 5 = 3, and 0.8 * 5 = 4 of them
    assert models.margin(known, model, 0.01, 0.6) == pytest.approx(sizes[2] - sizes[1])
    assert models.margin(known, model, 0.01, 0.8) == pytest.approx(sizes[3] - sizes[1])
    # more than all cannot be asked for: the largest error
    assert models.margin(known, model, 0.01, 0.9) == pytest.approx(sizes[3] - sizes[1])


def test_margin_weighs_sources_alike():
    """Of source a four kinds need the 1st network, of b one needs the 3rd."""
    places = (0, 0, 0, 0, 2)
    known = [
        one_kind((0.5,) * place + (0.9,) * (7 - place))._replace(family=family)
        for place, family in zip(places, "aaaab", strict=True)
    ]
    needs = np.log2([kinds.needed(kind, 0.01) for kind in known])
    model = model_of(lambda row: needs[0], needs - needs[0], "aaaab")
    # of two sources 0.33 (2 + 1) / 2 = 0.495 are to be served: a alone is half
    assert models.margin(known, model, 0.01, 0.33) == pytest.approx(0)
    # 0.4 * 3 / 2 = 0.6: four kinds of five would be enough, one source of two is not
    assert models.margin(known, model, 0.01, 0.4) == pytest.approx(needs[4] - needs[0])


@given(st.floats(0, 1), st.integers(1, 5000))
def test_log_odds_go_back_and_forth(share, images):
    back = models.from_log_odds(models.log_odds(share, images))
    assert back == pytest.approx((share * images + 0.5) / (images + 1))


def test_parameters_follow_channels_and_classes():
    point = one_kind((0.9,) * 7).points[5]
    task = Descriptors(16, 3, 62, 100.0, 1.0, None, None)
    built = ladder.network(ladder.RUNGS[5], 16, 3, 62, "other")
    assert advice.resized(point, task) == counts.describe(built)["params"]


def test_a_law_is_found():
    known = kinds.grouped(law())
    for kind in known:
        others = [other for other in known if other.family != kind.family]
        answer = advice.advise(others, kind.descriptors)
        need = kinds.needed(kind, 0.01)
        assert answer["basis"] == "regression"
        size = answer["size"]
        assert size["params_low"] <= need <= size["params_high"]
        assert size["params"] >= need
        assert answer["saving"] == round(1 - size["params"] / kind.largest.params, 4)
        found = next(point for point in kind.points if point.params == size["params"])
        assert answer["expected_accuracy"] == pytest.approx(found.accuracy, abs=0.05)
        low, high = answer["accuracy_low"], answer["accuracy_high"]
        assert low <= answer["expected_accuracy"] <= high


def test_more_certainty_asks_for_no_less():
    known = kinds.grouped(law(noise=0.01))
    sizes = [
        advice.advise(known, TASK, Wish(chance=chance))["size"]["params"]
        for chance in (0.6, 0.8, 0.95)
    ]
    assert sizes == sorted(sizes)


def test_an_answer_states_the_chance_that_its_sources_support():
    known = kinds.grouped(law())
    assert advice.advise(known, TASK)["chance"] == 0.8
    assert advice.advise(known, TASK, Wish(chance=0.6))["chance"] == 0.6
    assert advice.advise(known, TASK, Wish(chance=0.95))["chance"] == 0.8
    three = kinds.grouped(law(families=3))
    assert advice.advise(three, TASK)["chance"] == 0.75
    # of the nearest tasks it is not known
    published = advice.advise(kinds.grouped(filing.imagenet()), IMAGENET)
    assert published["chance"] is None


def test_a_wish_for_accuracy():
    known = kinds.grouped(law())
    task = known[2].descriptors
    low = advice.advise(known, task, Wish(accuracy=0.7))["size"]["params"]
    answer = advice.advise(known, task, Wish(accuracy=0.9))
    assert low < answer["size"]["params"]
    assert answer["accuracy_low"] >= 0.9
    answer = advice.advise(known, task, Wish(accuracy=0.9999))
    assert answer["size"] is None
    assert "no size in the records is expected to reach" in answer["reason"]


def test_nothing_near_is_said():
    answer = advice.advise(kinds.grouped(law()), IMAGENET)
    assert (answer["basis"], answer["size"]) == ("no evidence near this task", None)
    assert answer["evidence"]["kinds"] == 0
    assert answer["evidence"]["nearest"][0]["distance"] > advice.NEAR


def test_no_records_at_all():
    answer = advice.advise([], TASK)
    assert answer["basis"] == "no evidence near this task"
    assert answer["evidence"]["nearest"] == []


def test_imagenet_at_80_ms_on_the_phone():
    known = kinds.grouped(filing.imagenet())
    wish = Wish(device="pixel 1", max_ms=80)
    answer = advice.advise(known, IMAGENET, wish)
    assert answer["basis"] == "nearest tasks"
    assert answer["start"]["architecture"]["name"] == "proxyless_mobile"
    assert answer["start"]["source"] == "reported by the paper"
    assert answer["expected_accuracy"] == 0.746
    # against proxyless_gpu, the largest: 7,119,848
    assert answer["saving"] == round(1 - 4_080_512 / 7_119_848, 4)


def test_an_accuracy_wish_among_the_nearest():
    known = kinds.grouped(filing.imagenet())
    found = advice.advise(known, IMAGENET, Wish(accuracy=0.74))
    assert found["start"]["architecture"]["name"] == "proxyless_mobile"
    found = advice.advise(known, IMAGENET, Wish(accuracy=0.9))
    assert found["reason"].endswith("the largest reaches 76.7% at best")


def test_no_network_within_the_latency():
    known = kinds.grouped([*law(), *filing.imagenet()])
    answer = advice.advise(known, TASK, Wish(device="V100", max_ms=5.5))
    assert answer["basis"] == "no evidence near this task"


def test_an_unknown_device_is_refused_with_those_known():
    known = kinds.grouped(filing.imagenet())
    line = r"device 'toaster': expected one .*\(Pixel 1, V100, Xeon E5-2640 v4\)"
    with pytest.raises(ValueError, match=line):
        advice.advise(known, IMAGENET, Wish(device="toaster"))


@pytest.mark.parametrize(
    ("wish", "line"),
    [
        ({"accuracy": 93.0}, "accuracy: expected a number between 0 and 1, got 93.0"),
        ({"max_ms": -1.0, "device": "V100"}, "max_ms: expected"),
        ({"chance": 0.2}, "chance: expected a number between 0.5 and 1"),
        ({"max_ms": 5.0}, "expected a device beside it; give --device"),
        ({"tolerance": math.nan}, "tolerance: expected"),
    ],
)
def test_wishes_out_of_range(wish, line):
    with pytest.raises(ValueError, match=re.escape(line)):
        Wish(**wish)
