"""``TunerConfig``: what to tune and how."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lit_autotune._shared.sizes import parse_size
from lit_autotune._shared.text import did_you_mean

PRESETS: dict[str, dict[str, float]] = {
    "quick": {"batch_size_max_trials": 10, "lr_num_training": 50},
    "thorough": {"batch_size_max_trials": 25, "lr_num_training": 100, "verify_budget": 0.05},
}
"""Settings by the name of the flag that stands for them."""

HELD_OUT = "val"
"""The value of ``lr_monitor`` that asks for the loss of a validation batch."""

Method = Literal["fit", "validate", "test", "predict"]
"""The Trainer's methods that a batch size can be found for."""

Isolation = Literal["auto", "process", "group", "none"]
"""Where a trial runs."""

Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class TunerConfig(BaseModel):
    """What to tune before ``trainer.fit``, and how.

    It reads no file and no environment variable by itself; ``ExperimentConfig.from_toml`` and the ``autotune``
    command do. Fields can be changed after construction and are validated then, too.

    Raises:
        pydantic.ValidationError: On an unknown field or a value that makes no sense.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True, validate_default=True)

    use_batch_size_tuning: bool = Field(False, description="Enable batch size tuning.")
    batch_size_mode: str = Field(
        "power",
        description="How to search: `power` (doubles), `binsearch` (exact), `predictive` (few trials), or a plugin's.",
    )
    batch_size_method: Method = Field(
        "fit", description="What a trial runs: training with validation, or one of the evaluations alone."
    )
    batch_size_init_val: int = Field(2, ge=1, description="Batch size of the first trial, in samples.")
    batch_size_max_trials: int = Field(25, ge=1, description="At most this many trials, failed ones counted.")
    batch_size_max: int | None = Field(None, examples=[512], ge=1, description="Never try a batch size above this one.")
    batch_size_steps_per_trial: int = Field(
        3, ge=3, description="Optimizer steps of one trial. The first one allocates the optimizer's state."
    )
    batch_size_margin: float = Field(
        0.05,
        ge=0,
        lt=1,
        description="Headroom below a size that failed short of the budget, as a fraction of the batch size.",
    )
    batch_size_target: Literal["auto", "largest", "fastest"] = Field(
        "auto",
        description="Which size to choose: the largest that costs no quality, the largest, or the smallest one within "
        "5 % of the best throughput.",
    )
    batch_size_probe: str = Field(
        "first",
        examples=["longest", "train.py:worst_batch"],
        description="What trials run on: the `first` batches, the `longest` samples, or a function that makes a batch.",
    )
    memory_budget: str = Field(
        "auto",
        examples=["24GiB", "80%"],
        description="Memory that training may take: `auto` for what there is, a size, or a share of what there is.",
    )
    memory_margin: float = Field(0.1, ge=0, lt=1, description="Share of the memory budget to leave free.")
    trial_isolation: Isolation = Field(
        "auto",
        description="Which trials run in another process: those that come near the limit, all, or none; `group`: all, "
        "on all devices together, in processes that talk to each other and are ended as one.",
    )
    trial_timeout: float = Field(
        600.0,
        gt=0,
        description="Seconds for which processes of a `group` may stand still, or say nothing, before all are ended.",
    )
    batch_size_attribute: str | None = Field(
        None,
        examples=["datamodule.train_bs"],
        description="Where the batch size is kept, e.g. `datamodule.train_bs`. Found by itself if not given.",
    )
    batch_size_plot_path: Path | None = Field(
        None,
        examples=[".logs/batch_size_plot.png"],
        description="Where to save the plot of memory and throughput (default `.logs/batch_size_plot.png`).",
    )
    use_learning_rate_tuning: bool = Field(False, description="Enable the LR range test.")
    lr_min: Rate = Field(1e-8, description="Learning rate of the first step of the range test.")
    lr_max: Rate = Field(1.0, description="Learning rate of the last step of the range test.")
    lr_num_training: int = Field(100, ge=10, description="Optimizer steps of the range test.")
    lr_mode: Literal["exponential", "linear"] = Field(
        "exponential", description="How the range test spaces its learning rates."
    )
    lr_auto_extend: bool = Field(
        True, description="Sweep once more over a longer range if the loss is lowest at an end of the range."
    )
    lr_num_repeats: int = Field(
        1, ge=1, description="Sweeps from the same start over different batches; their median is read."
    )
    lr_early_stop_threshold: float | None = Field(
        4.0, gt=0, description="Stop once the loss lies this many times its fall above its start; none: never stop."
    )
    lr_suggester: str = Field(
        "consensus",
        description="Rule to apply: `consensus`, `drop`, `minimum`, `slide`, `steepest`, `valley`, or a plugin's.",
    )
    lr_schedule: Literal["auto", "constant", "one_cycle"] = Field(
        "auto",
        description="What the rate is for: constant, or the `max_lr` of a schedule; `auto` looks at the scheduler.",
    )
    lr_verify: bool | Literal["auto"] = Field(
        "auto", description="Race the suggestion against its neighbours: never, always, or `auto`: if it is doubtful."
    )
    compare: bool | Literal["auto"] = Field(
        "auto",
        description="Compare the values found with the present ones before they replace them; `auto`: what was asked "
        "for by name (`largest`, `fastest`) is not put in question.",
    )
    verify_budget: float = Field(
        0.02,
        ge=0,
        le=1,
        description="Share of the planned training that races and the comparison may take; what takes seconds is "
        "always allowed, and never more than ten minutes.",
    )
    lr_attribute: str | None = Field(
        None,
        examples=["module.params.optimizer.learning_rate"],
        description="Where the learning rate is kept, e.g. `module.params.optimizer.learning_rate`.",
    )
    lr_optimizer_index: int | None = Field(
        None,
        examples=[0],
        ge=0,
        description="With several optimizers: which one to sweep. All of them together if not given.",
    )
    lr_monitor: str | None = Field(
        None,
        examples=["train_loss"],
        description="A logged value to use as the loss, or `val`: the loss of one validation batch after each step.",
    )
    lr_plot_path: Path | None = Field(
        None,
        examples=[".logs/lr_finder_plot.png"],
        description="Where to save the plot of loss against learning rate (default `.logs/lr_finder_plot.png`).",
    )
    lr_plot_rules: bool = Field(True, description="Show in that plot what the other rules suggest.")
    update_model_lr: bool = Field(True, description="Write the suggestion to the module; if false, only report it.")
    steps: list[str] = Field(
        default_factory=list,
        examples=[["noise-scale"]],
        description="Steps of plugins to run as well, by name; none runs for being installed.",
    )
    cache: bool | Path = Field(
        False,
        examples=[True, ".autotune_cache"],
        description="Keep the result, and reuse it at the next start with the same code, arguments, data and settings: "
        "`true`, or a folder.",
    )
    plot_style: Literal["light", "dark"] = Field("light", description="Colours of the plots.")
    verbose: bool = Field(True, description="Say what is being done.")
    is_debug: bool = Field(False, description="Say more: every point, what was kept and dropped, Lightning's output.")
    options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="Options of plugins: a table for each strategy, suggester or step by name."
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, data: Any) -> Any:
        for name in data if isinstance(data, dict) else ():
            if name not in cls.model_fields:
                raise ValueError(f"unknown field {name!r}{did_you_mean(name, cls.model_fields)}")
        return data

    @field_validator("memory_budget")
    @classmethod
    def _check_budget(cls, value: str) -> str:
        share = value.removesuffix("%")
        if value != "auto" and value == share:
            parse_size(value)
        elif share != value and not (share.replace(".", "", 1).isdigit() and 0 < float(share) <= 100):
            raise ValueError(f"{value!r} is not a share between 0 % and 100 %")
        return value

    @model_validator(mode="after")
    def _check_range(self) -> "TunerConfig":
        if self.lr_min >= self.lr_max:
            raise ValueError(f"lr_min ({self.lr_min:g}) must be below lr_max ({self.lr_max:g})")
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in type(self).model_fields:
            raise ValueError(f"TunerConfig has no field {name!r}{did_you_mean(name, type(self).model_fields)}")
        # Validate a whole new config first: an assignment that is refused must leave this one as it was.
        type(self).model_validate({**{key: getattr(self, key) for key in type(self).model_fields}, name: value})
        super().__setattr__(name, value)

    @property
    def asks_for_tuning(self) -> bool:
        """Whether anything is to be tuned."""
        return self.use_batch_size_tuning or self.use_learning_rate_tuning or bool(self.steps)

    def run_tuning(self, trainer: Any, module: Any, datamodule: Any = None) -> tuple[int | None, float | None]:
        """Tune, and write the values found to ``module`` and ``datamodule``.

        Args:
            trainer: The Trainer that will fit later. It is copied, never run.
            module: The LightningModule. It is copied, never run.
            datamodule: The LightningDataModule, or ``None`` if the module brings its own loaders.

        Returns:
            ``(batch_size, learning_rate)``, each ``None`` if it was not tuned.

        Raises:
            AutotuneError: See :func:`lit_autotune.tune`.
        """
        from lit_autotune.tuning.orchestrator import tune

        __tracebackhide__ = True  # from IPython's tracebacks
        report = tune(trainer, module, datamodule, self)
        return (
            report.batch_size.chosen if report.batch_size else None,
            report.learning_rate.chosen if report.learning_rate else None,
        )
