"""The classifier two-sample test: equal sets, different sets, patients, classes, and too few of each."""

import numpy as np
import pytest

from histoforge.metrics.two_sample import two_sample_test

RNG = np.random.default_rng(1)
PATIENTS = np.repeat([f"p{number}" for number in range(8)], 30).astype(object)
ONE_CLASS = np.zeros(240, np.int64)
REAL = RNG.normal(size=(240, 12)).astype(np.float32)


def test_sets_of_one_distribution_are_not_told_apart():
    fake = RNG.normal(size=(240, 12)).astype(np.float32)
    test = two_sample_test(fake, REAL, PATIENTS, classes=(ONE_CLASS, ONE_CLASS))
    assert 0.4 < test.auc < 0.6
    assert 0.4 < test.accuracy < 0.6
    assert test.low < 0.5 < test.high
    assert (test.patches, test.patients) == (240, 8)


def test_a_shift_in_one_feature_is_found():
    fake = RNG.normal(size=(240, 12)).astype(np.float32)
    fake[:, 3] += 6
    test = two_sample_test(fake, REAL, PATIENTS, classes=(ONE_CLASS, ONE_CLASS))
    assert test.auc > 0.99
    assert test.low > 0.98
    assert test.accuracy > 0.95


def test_patients_that_were_not_trained_on_decide():
    """Patients differ, and half of them are taken for synthetic: those that were trained on would be told apart."""
    offsets = RNG.normal(size=(16, 40)).repeat(30, axis=0) * 3
    features = (RNG.normal(size=(480, 40)) + offsets).astype(np.float32)
    names = np.repeat([f"p{number}" for number in range(16)], 30).astype(object)
    classes = (ONE_CLASS, ONE_CLASS)
    grouped = two_sample_test(features[:240], features[240:], names[240:], classes=classes, groups=names[:240])
    patches_as_patients = np.arange(240).astype(object)
    ungrouped = two_sample_test(features[:240], features[240:], patches_as_patients, classes=classes)
    assert grouped.auc < 0.85
    assert ungrouped.auc > 0.99


def test_a_surplus_of_one_class_does_not_give_a_set_away():
    labels = np.tile([0, 1], 120)
    real = REAL + 5 * labels[:, None].astype(np.float32)
    surplus = np.where(np.arange(240) < 40, 1, 0)
    fake = (RNG.normal(size=(240, 12)) + 5 * surplus[:, None]).astype(np.float32)
    test = two_sample_test(fake, real, PATIENTS, classes=(surplus, labels))
    assert test.patches == 160
    assert 0.35 < test.auc < 0.65


@pytest.mark.parametrize(
    ("count", "patients"), [(19, np.array(["a", "b"] * 20, object)[:19]), (40, np.full(40, "a", object))]
)
def test_too_few_patches_or_patients_give_no_result(count, patients):
    labels = np.zeros(count, np.int64)
    assert two_sample_test(REAL[:count], REAL[-count:], patients, classes=(labels, labels)) is None


def test_sets_without_a_class_in_common_give_no_result():
    assert two_sample_test(REAL, REAL, PATIENTS, classes=(ONE_CLASS, ONE_CLASS + 1)) is None
