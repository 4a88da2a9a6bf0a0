"""Calibration of probabilities."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from pyg_stgcn.errors import InputError
from pyg_stgcn.recognition.calibration import calibration_error, fit_temperature, softmax


def drawn(count, classes=6, seed=0):
    """Logits whose probabilities are right, and labels drawn from them."""
    random = np.random.default_rng(seed)
    logits = 2 * random.normal(size=(count, classes))
    labels = [random.choice(classes, p=row) for row in softmax(logits)]
    return logits, np.array(labels)


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_undoes_a_factor_of_the_logits(factor):
    logits, labels = drawn(4000)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.1)


def test_the_temperature_minimises_the_likelihood_with_one_clip_of_unknown_class():
    logits, labels = drawn(30)

    def loss(log_temperature):
        logs = np.log(softmax(5 * logits, np.exp(log_temperature)))
        return -logs[np.arange(30), labels].sum() - logs.mean()

    best = np.exp(minimize_scalar(loss, bounds=(-4, 4), method="bounded").x)
    assert fit_temperature(5 * logits, labels) == pytest.approx(best, rel=1e-4)


def test_calibration_lowers_the_error_and_changes_no_answer():
    logits, labels = drawn(2000)
    temperature = fit_temperature(4 * logits, labels)
    before, after = softmax(4 * logits), softmax(4 * logits, temperature)
    assert calibration_error(before, labels) > 0.2 > 0.05 > calibration_error(after, labels)
    np.testing.assert_array_equal(before.argmax(axis=1), after.argmax(axis=1))


@pytest.mark.parametrize("count", [1, 5, 200])
def test_clips_that_are_all_right_do_not_make_the_model_certain(count):
    logits = np.zeros((count, 4))
    logits[:, 2] = 9
    found = softmax(logits, fit_temperature(logits, np.full(count, 2)))[0, 2]
    assert found == pytest.approx((count + 0.25) / (count + 1))


@pytest.mark.parametrize("scale", [1e-6, 1e6, 1e300])
def test_the_temperature_is_bounded(scale):
    logits = np.zeros((8, 3))
    logits[:, 0] = scale
    for label in (0, 1):
        found = fit_temperature(logits, np.full(8, label))
        assert 0.01 <= found <= 100


def test_without_information_the_temperature_is_one():
    assert fit_temperature(np.zeros((0, 3)), []) == 1
    assert fit_temperature(np.full((5, 3), 7.0), [0, 1, 2, 0, 1]) == 1
    assert calibration_error(np.zeros((0, 3)), []) == 0


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy():
    probabilities = [[0.9, 0.1]] * 10 + [[0.4, 0.6]] * 10
    labels = [0] * 7 + [1] * 3 + [1] * 9 + [0]
    assert calibration_error(probabilities, labels) == pytest.approx((0.2 + 0.3) / 2)


@pytest.mark.parametrize(
    ("logits", "labels", "message"),
    [
        ([[0.0, np.nan]], [0], "not finite"),
        ([[0.0, 1.0]], [0, 1], "do not fit"),
        ([0.0, 1.0], [0, 1], "do not fit"),
        ([[0.0, 1.0]], [2], "from 2 to 2, but there are 2 classes"),
    ],
)
def test_what_does_not_fit_is_refused(logits, labels, message):
    for function in (fit_temperature, calibration_error):
        with pytest.raises(InputError, match=message):
            function(logits, labels)
