"""``Tuner``: the interface of ``lightning.pytorch.tuner.Tuner`` on our engine. Change one import line."""

from typing import Any

from pydantic import ValidationError

from lit_autotune._shared.text import first_problem
from lit_autotune.config import Method, TunerConfig
from lit_autotune.copies.attributes import find_batch_size, find_setting, write
from lit_autotune.copies.owners import owners
from lit_autotune.drop_in.loaders import GivenLoaders, datamodule_of
from lit_autotune.drop_in.lr_finder import LRFinder
from lit_autotune.errors import ConfigError
from lit_autotune.internals.methods import METHODS
from lit_autotune.internals.strategies import start_method
from lit_autotune.tuning.orchestrator import tune


class Tuner:
    """Drop-in for Lightning's ``Tuner``.

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
            max_trials: At most this many trials, failed ones counted.
            batch_arg_name: Name or dotted place of the batch size. The default also finds nested places.
            margin: Headroom below a limit that was met.
            max_val: Never try a larger size.

        Returns:
            The batch size; with ``fast_dev_run`` the present one, and nothing is tried.

        Raises:
            ConfigError: If an argument or the objects cannot be used.
            BatchSizeError: If no size fits.
        """
        given = datamodule or self._datamodule(train_dataloaders, val_dataloaders, dataloaders, method)
        named = None if batch_arg_name == "batch_size" else batch_arg_name
        is_ours = isinstance(given, GivenLoaders)
        attribute = "datamodule.batch_size" if is_ours else named
        if self._trainer.fast_dev_run:
            found = find_batch_size(owners(model, given), attribute, "batch_arg_name")
            return None if found.value is None else int(found.value)
        config = self._config(
            use_batch_size_tuning=True,
            batch_size_mode=mode.lower(),
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
        result = tune(self._trainer, model, given, config, save_plot=False).batch_size
        size = None if result is None else result.chosen
        if is_ours and size is not None:
            _write_if_present(model, named or "batch_size", size)
        return size

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
    ) -> LRFinder | None:
        """Run an LR range test and set the suggested learning rate.

        Args:
            model: The LightningModule.
            train_dataloaders: Loaders for training, or a datamodule.
            val_dataloaders: Accepted for compatibility; the range test does not validate.
            dataloaders: Refused: they are for evaluations.
            datamodule: The LightningDataModule.
            method: Only ``"fit"`` has a learning rate.
            min_lr: First learning rate.
            max_lr: Last learning rate.
            num_training: Optimizer steps.
            mode: ``"exponential"`` or ``"linear"``.
            early_stop_threshold: When to stop a diverging test; ``None``: never.
            update_attr: Whether to write the suggestion to the model.
            attr_name: Name or dotted place of the learning rate; found by itself if empty.

        Returns:
            Curve and suggestion; ``None`` with ``fast_dev_run``, where nothing is tried.

        Raises:
            ConfigError: If an argument or the objects cannot be used.
            LRSuggestionError: If there is no suggestion; says why.
        """
        if method != "fit":
            raise ConfigError(f"lr_find: method={method!r}: only 'fit' has a learning rate")
        given = datamodule or self._datamodule(train_dataloaders, None, dataloaders, "fit")
        config = self._config(
            use_learning_rate_tuning=True,
            lr_min=min_lr,
            lr_max=max_lr,
            lr_num_training=num_training,
            lr_mode=mode,
            lr_auto_extend=False,
            lr_verify=False,
            compare=False,
            lr_early_stop_threshold=early_stop_threshold,
            update_model_lr=update_attr,
            lr_attribute=attr_name or None,
        )
        result = tune(self._trainer, model, given, config, save_plot=False).learning_rate
        if result is None:
            return None
        return LRFinder(result.curve, result.suggestions, result.suggester, result.chosen, result.kind)

    def _config(self, **fields: Any) -> TunerConfig:
        try:
            return TunerConfig(verbose=self._trainer.progress_bar_callback is not None, **fields)
        except ValidationError as error:
            raise ConfigError(f"Tuner: {first_problem(error)}") from error

    def _datamodule(self, train: Any, val: Any, other: Any, method: str) -> Any:
        """A datamodule of the loaders passed, or the datamodule passed in their place."""
        for passed in (train, other):
            if hasattr(passed, "prepare_data_per_node"):
                return passed
        unused = {"dataloaders": other} if method == "fit" else {"train_dataloaders": train, "val_dataloaders": val}
        for name, passed in unused.items():
            if passed is not None:
                wanted = "train_dataloaders" if method == "fit" else "dataloaders"
                raise ConfigError(f"method={method!r} does not use {name}; pass {wanted} instead")
        if method == "fit" and train is not None:
            loaders = {"train": train, "val": val}
        elif method != "fit" and other is not None:
            loaders = {METHODS[method].stages[0]: other}
        else:
            return None
        if start_method(self._trainer) in ("spawn", "forkserver"):
            raise ConfigError("loaders cannot be sent to spawned processes; pass a datamodule, or use strategy='ddp'")
        return datamodule_of(self._trainer, **loaders)


def _write_if_present(model: Any, name: str, value: int) -> None:
    try:
        setting = find_setting({"module": model}, (name,), None, "batch_arg_name")
    except ConfigError:
        return
    for place in setting.places:
        write({"module": model}, place, value)
