"""The suggester conforms, is installed under its name, and computes what it says."""

import math

import pytest
from lit_autotune_log_mean import suggest

from lit_autotune import LRCurve, LRSuggestionError
from lit_autotune.builtin import minimum, steepest
from lit_autotune.registry import Registry
from lit_autotune.testing import LR_SUGGESTER_CHECKS

RATES = tuple(10 ** (-6 + i / 10) for i in range(61))
VALLEY = LRCurve(learning_rates=RATES, losses=tuple((math.log10(rate) + 2) ** 2 for rate in RATES))


@pytest.mark.parametrize("check", LR_SUGGESTER_CHECKS)
def test_conformance(check):
    """The installed suggester keeps the contract of lit-autotune."""
    check(Registry.load().suggester("log_mean"))


def test_geometric_mean():
    """The suggestion is the geometric mean of the two built-in ones, so it lies between them."""
    low, high = sorted((steepest.suggest(VALLEY), minimum.suggest(VALLEY)))
    assert low < suggest(VALLEY) < high
    assert suggest(VALLEY) ** 2 == pytest.approx(low * high)


def test_no_answer_without_a_fall():
    """A loss that only rises has no suggestion, and the reason is given."""
    with pytest.raises(LRSuggestionError, match="lr_min"):
        suggest(LRCurve(learning_rates=RATES, losses=tuple(range(len(RATES)))))
