"""What tuning is worth: each experiment trained as it is and tuned, on three seeds, tested on data kept for that.

python examples/digits/untouched_or_tuned.py examples/digits/autotune.toml examples/digits/much_too_low.toml
"""

import logging
import sys
import time
import warnings
from pathlib import Path

import lightning.pytorch  # noqa: F401 - sets its loggers' levels when it is imported, so that they can be lowered below
from rich.console import Console
from rich.table import Table

from lit_autotune import ExperimentConfig

SEEDS = (1, 2, 3)
HERE = Path(__file__).parent


def train(path, seed, is_tuned):
    """Train and test; returns a row of the table."""
    config = ExperimentConfig.from_toml(path)
    config.seed = seed
    config.trainer_config |= {"enable_progress_bar": False}
    config.tuner_config.verbose = False
    trainer, module, datamodule = config.setup_target()
    start = time.perf_counter()
    if is_tuned:
        config.tune(trainer, module, datamodule, save_plot=False)
    tuned = time.perf_counter()
    trainer.fit(module, datamodule=datamodule)
    trained = time.perf_counter()
    (scores,) = trainer.test(module, datamodule=datamodule, verbose=False)
    return {
        "batch size": datamodule.hparams.batch_size,
        "learning rate": f"{module.hparams.learning_rate:.2e}",
        "test accuracy": scores["test_accuracy"],
        "epochs": trainer.current_epoch,
        "training, s": trained - tuned,
        "tuning, s": tuned - start if is_tuned else 0.0,
    }


def show(path):
    """The table of one experiment, and who wins."""
    table = Table(title=f"{path.stem}: untouched and tuned", title_justify="left")
    table.add_column("seed", justify="right")
    table.add_column("")
    rows = {(seed, is_tuned): train(path, seed, is_tuned) for seed in SEEDS for is_tuned in (False, True)}
    for name in rows[SEEDS[0], False]:
        table.add_column(name, justify="right")
    for (seed, is_tuned), row in rows.items():
        cells = (f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        table.add_row(str(seed), "tuned" if is_tuned else "untouched", *cells, end_section=is_tuned)
    console = Console(width=max(100, Console().width))
    console.print(table)
    gains = [rows[seed, True]["test accuracy"] - rows[seed, False]["test accuracy"] for seed in SEEDS]
    mean = sum(gains) / len(gains)
    won, lost = sum(gain > 0 for gain in gains), sum(gain < 0 for gain in gains)
    outcome = "Tuning wins" if mean > 0 and won > lost else "Tuning does not win"
    console.print(
        f"{outcome}: test accuracy {mean:+.3f} in the mean, higher on {won} and lower on {lost} of 3 seeds.\n"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for name in ("lightning.pytorch", "lightning.fabric", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.ERROR)
    for argument in sys.argv[1:] or (HERE / "autotune.toml", HERE / "much_too_low.toml"):
        show(Path(argument))
