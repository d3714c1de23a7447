"""``Tuner``: the interface of ``lightning.pytorch.tuner.Tuner`` on our engine. Change one import line."""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lit_autotune._shared.text import Wording
from lit_autotune.config import Method, TunerConfig
from lit_autotune.copies.owners import owners
from lit_autotune.drop_in.arguments import FEWEST, bound_size, make_config, refuse_callback
from lit_autotune.drop_in.errors import lightning_errors
from lit_autotune.drop_in.loaders import GivenLoaders, data_of
from lit_autotune.drop_in.lr_finder import LRFinder
from lit_autotune.drop_in.places import batch_size_name, learning_rate_name, present_batch_size, write_if_there
from lit_autotune.drop_in.words import BATCH_SIZE, LEARNING_RATE, wording
from lit_autotune.errors import ConfigError, LRSuggestionError
from lit_autotune.internals.packages import trainer_package
from lit_autotune.tuning.orchestrator import tune_in_words

PASSED = ("train_dataloaders", "val_dataloaders", "dataloaders", "datamodule")


class Tuner:
    """Drop-in for Lightning's ``Tuner``.

    Errors that say that something cannot be used are a ``ConfigError``, and also what Lightning raises then.

    Args:
        trainer: The Lightning Trainer. It is copied, never run.
    """

    def __init__(self, trainer: Any):
        self._trainer = trainer

    def scale_batch_size(
        self,
        model: Any,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: Any = None,
        method: Method = "fit",
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> int | None:
        """Find the largest batch size that fits in memory, and set it; warn if it leaves few optimizer steps.

        Args:
            model: The LightningModule.
            train_dataloaders: Loaders for training, or a datamodule. Loaders are rebuilt with other batch sizes; the
                result is returned, and also written to the model if it has the attribute.
            val_dataloaders: Loaders for the validation that is part of training.
            dataloaders: Loaders for the other methods, or a datamodule.
            datamodule: The LightningDataModule.
            method: What has to fit in memory.
            mode: Search strategy: ``"power"``, ``"binsearch"``, or a plugin's.
            steps_per_trial: Optimizer steps of a trial, or batches of an evaluation; at least 3.
            init_val: Size of the first trial.
            max_trials: At most this many trials, failed ones counted; and no size that is not reached from
                ``init_val`` by doubling as often.
            batch_arg_name: Name or dotted place of the batch size. A name stands for all that have it at the top; the
                default, if none has, for nested places, too.
            margin: Headroom below a limit that was met.
            max_val: Never try a larger size.

        Returns:
            The batch size; with ``fast_dev_run`` the present one, and nothing is tried.

        Raises:
            ConfigError: If an argument or the objects cannot be used.
            BatchSizeError: If no size fits.
        """
        passed = (train_dataloaders, val_dataloaders, dataloaders, datamodule)
        given, words = self._data(model, method, passed, BATCH_SIZE)
        with lightning_errors(self._trainer, words):
            refuse_callback(self._trainer, "BatchSizeFinder")
            is_ours = isinstance(given, GivenLoaders) and "batch_size" in vars(given)
            name = batch_size_name(owners(model, given)) if batch_arg_name == "batch_size" else batch_arg_name
            attribute = "datamodule.batch_size" if is_ours else name
            if self._trainer.fast_dev_run:
                self._warn("fast_dev_run is on, so that no batch size is tried")
                return present_batch_size(owners(model, given), attribute)
            config = make_config(
                self._trainer,
                use_batch_size_tuning=True,
                batch_size_mode=str(mode).lower(),
                batch_size_target="largest",
                compare=False,
                batch_size_method=method,
                batch_size_steps_per_trial=max(steps_per_trial, 3),
                batch_size_init_val=init_val,
                batch_size_max_trials=max_trials,
                batch_size_attribute=attribute,
                batch_size_margin=margin,
                batch_size_max=max_val,
            )
            result = tune_in_words(
                bound_size(config, words), self._trainer, model, given, config, save_plot=False
            ).batch_size
            assert result is not None
            if is_ours:
                write_if_there(model, batch_arg_name, result.chosen)
            return result.chosen

    def lr_find(
        self,
        model: Any,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: Any = None,
        method: Method = "fit",
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
        weights_only: bool | None = None,
    ) -> LRFinder:
        """Run an LR range test and set the suggested learning rate.

        Args:
            model: The LightningModule.
            train_dataloaders: Loaders for training, used as they are, or a datamodule.
            val_dataloaders: Accepted for compatibility; the range test does not validate.
            dataloaders: Refused: they are for evaluations.
            datamodule: The LightningDataModule.
            method: Only ``"fit"`` has a learning rate.
            min_lr: First learning rate. With 0, which linear mode allows, the first one above it in ``num_training``.
            max_lr: Last learning rate.
            num_training: Optimizer steps. With fewer than 10 there is a curve but no suggestion.
            mode: ``"exponential"`` or ``"linear"``.
            early_stop_threshold: When to stop a diverging test; ``None``: never.
            update_attr: Whether to write the suggestion to the model.
            attr_name: Name or dotted place of the learning rate. If empty it is ``lr`` or ``learning_rate`` at the top
                of the model or its ``hparams``, else it is searched for.
            weights_only: Accepted for compatibility; no checkpoint is loaded.

        Returns:
            Curve and suggestion. If the curve gives none it is ``None``, with a warning that says why; with
            ``fast_dev_run``, or without training batches, the curve is empty.

        Raises:
            ConfigError: If an argument or the objects cannot be used.
        """
        passed = (train_dataloaders, val_dataloaders, dataloaders, datamodule)
        given, words = self._data(model, method, passed, LEARNING_RATE)
        with lightning_errors(self._trainer, words):
            if method != "fit":
                raise ConfigError(f"lr_find: method={method!r}: only 'fit' has a learning rate")
            refuse_callback(self._trainer, "LearningRateFinder")
            finder = LRFinder(str(mode).lower(), min_lr, max_lr, num_training)
            starts_at_0 = finder.mode == "linear" and min_lr == 0
            config = make_config(
                self._trainer,
                use_learning_rate_tuning=True,
                lr_min=max_lr / max(num_training, 2) if starts_at_0 else min_lr,
                lr_max=max_lr,
                lr_num_training=num_training,
                lr_mode=finder.mode,
                lr_auto_extend=False,
                lr_verify=False,
                compare=False,
                lr_early_stop_threshold=early_stop_threshold,
                update_model_lr=update_attr and num_training >= FEWEST,
                lr_attribute=attr_name or learning_rate_name(model),
            )
            finder = self._find(finder, model, given, config, words)
        if finder.value is None:
            self._warn(f"no learning rate is suggested: {finder.reason}")
        return finder

    def _find(self, finder: LRFinder, model: Any, given: Any, config: TunerConfig, words: Wording) -> LRFinder:
        """What there is to find: a curve, a suggestion."""
        if self._trainer.fast_dev_run:
            return replace(finder, reason="fast_dev_run is on, so that none is tried")
        if self._trainer.limit_train_batches == 0:
            return replace(finder, reason="limit_train_batches=0 leaves no batch to train on")
        reason = ""
        if finder.num_training < FEWEST:
            reason = f"num_training={finder.num_training} gives too few points, {FEWEST} are needed"
        try:
            found = tune_in_words(words, self._trainer, model, given, config, save_plot=False).learning_rate
        except LRSuggestionError as error:
            if error.curve is None:
                raise
            curve, suggestions, kind, value = error.curve, error.suggestions, error.kind, None
            reason = reason or words(str(error))
        else:
            assert found is not None
            curve, suggestions, kind = found.curve, found.suggestions, found.kind
            value = None if reason else found.chosen
        return replace(
            finder,
            measured=curve,
            suggestions=suggestions,
            suggester=config.lr_suggester,
            kind=kind,
            value=value,
            reason=reason,
        )

    def _data(self, model: Any, method: str, passed: tuple[Any, ...], names: Mapping[str, str]) -> tuple[Any, Wording]:
        """The datamodule passed, or made of the loaders passed; and the words to speak of it."""
        resize = names is BATCH_SIZE
        words = wording("scale_batch_size" if resize else "lr_find", names)
        with lightning_errors(self._trainer, words):
            trainer_package(self._trainer)
            given = data_of(self._trainer, model, method, dict(zip(PASSED, passed, strict=True)), resize)
        if isinstance(given, GivenLoaders):
            words = words.with_names(**{"datamodule.batch_size": f"the batch size of the {given.tuned} passed"})
        return given, words

    def _warn(self, text: str) -> None:
        if self._trainer.is_global_zero:
            warnings.warn(text, stacklevel=3)
