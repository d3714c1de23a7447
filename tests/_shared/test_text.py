"""Words for messages."""

import pytest

from lit_autotune._shared.text import Wording

WORDS = Wording("Tuner", {"lr_max": "max_lr", "batch_size_max": "max_val", "batch_size_max_trials": "max_trials"})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise lr_max, or lower lr_min", "raise max_lr, or lower lr_min"),
        ("look at lr_max.", "look at max_lr."),
        ("batch_size_max_trials and batch_size_max", "max_trials and max_val"),
        ("module.lr_max and module.lr_max.first stay, as do 'lr_max' and lr_max.first", None),
        ("my_lr_max is another", None),
    ],
)
def test_settings_are_called_what_the_user_calls_them(text, said):
    """Fields are renamed where they are meant, and the user's own names are not."""
    assert WORDS(text) == (text if said is None else said)
    assert Wording()(text) == text
    assert WORDS.with_names(lr_min="min_lr")("lr_min, lr_max") == "min_lr, max_lr"
