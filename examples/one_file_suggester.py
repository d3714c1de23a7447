"""A suggester in one file, used without packaging it:  python examples/one_file_suggester.py

To have it in every run and in the `autotune` command, make a package of it: see plugins/README.md.
"""

import sys
from pathlib import Path

from lit_autotune import LRCurve, LRSuggester, LRSuggestionError, TunerConfig, hookimpl
from lit_autotune.curves import smooth
from lit_autotune.registry import Registry


def suggest(curve: LRCurve) -> float:
    """The first rate at which the smoothed loss has fallen half of its way."""
    rates, losses = curve.finite()
    smoothed = smooth(losses)
    if min(smoothed) == smoothed[0]:
        raise LRSuggestionError("the loss never falls; raise lr_max")
    half = (smoothed[0] + min(smoothed)) / 2
    return next(rate for rate, loss in zip(rates, smoothed, strict=True) if loss <= half)


@hookimpl
def lit_autotune_lr_suggesters() -> list[LRSuggester]:
    """Offer the suggester."""
    return [LRSuggester("half_way", suggest, "where the loss has fallen half of its way")]


def main() -> None:
    """Tune a small CNN with it; torch is imported only here, so that loading this file as a plugin is quick."""
    sys.path.insert(0, str(Path(__file__).parent / "digits"))
    import lightning.pytorch as pl
    from digits import Digits, DigitsCNN

    from lit_autotune import tune

    registry = Registry.load()
    registry.register(sys.modules[__name__], name="one_file")
    trainer = pl.Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False)
    module, datamodule = DigitsCNN(width=8), Digits()
    config = TunerConfig(use_learning_rate_tuning=True, lr_suggester="half_way", lr_min=1e-5, lr_num_training=60)
    tune(trainer, module, datamodule, config, registry=registry)
    trainer.fit(module, datamodule)


if __name__ == "__main__":
    main()
