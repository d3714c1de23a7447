"""The answers are those of fastai's own functions, as `record_fastai.py` has recorded them."""

import json
import math
from pathlib import Path

import lit_autotune_fastai
import pytest
from lit_autotune_fastai import RULES

from lit_autotune import LRCurve, LRSuggestionError
from lit_autotune.testing import plugin_checks

RECORDED = json.loads(Path(__file__).with_name("fastai_answers.json").read_text())["curves"]


@pytest.mark.parametrize("check", plugin_checks(), ids=lambda check: check.__name__)
def test_conformance(check):
    """The plugin keeps the contract of lit-autotune."""
    check(lit_autotune_fastai)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("one", RECORDED, ids=lambda one: one["name"])
def test_the_answers_are_fastais(one, name):
    """The same point of the curve each time."""
    curve = LRCurve(learning_rates=one["rates"], losses=one["losses"])
    assert RULES[name][0](curve) == pytest.approx(one["answers"][name], rel=1e-9)


@pytest.mark.parametrize(
    ("losses", "told"),
    [([-1.0 - i for i in range(100)], "a negative one does at once"), ([1.0] * 6, "fewer than three points")],
)
@pytest.mark.parametrize("name", RULES)
def test_no_answer(name, losses, told):
    """Where fastai's `lr_find` keeps nothing to ask the rules about."""
    rates = [10 ** (-8 + i / 20) for i in range(len(losses))]
    with pytest.raises(LRSuggestionError, match=told):
        RULES[name][0](LRCurve(learning_rates=rates, losses=losses))


@pytest.mark.parametrize("name", ["fastai-valley", "fastai-minimum", "fastai-steep"])
def test_no_answer_without_a_fall(name):
    """Where fastai returns the first point or another one, by accident."""
    rates = [10 ** (-8 + i / 20) for i in range(100)]
    with pytest.raises(LRSuggestionError):
        RULES[name][0](LRCurve(learning_rates=rates, losses=[1 + math.log1p(i / 100) for i in range(100)]))
