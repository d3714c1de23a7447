"""Notification: values, tables and plots of a tuning go to the Trainer's own loggers."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lit_autotune import hookimpl
from lit_autotune_loggers.contents import RASTER, Table, pictures, tables, values

if TYPE_CHECKING:
    from lit_autotune import TuningReport


class Contents(NamedTuple):
    """What a logger gets.

    Attributes:
        tables: What was applied, tried and suggested.
        pictures: Files by name.
        report: The whole report as JSON.
    """

    tables: list[Table]
    pictures: list[tuple[str, Path]]
    report: str

    @property
    def text(self) -> str:
        """All tables as Markdown."""
        return "\n".join(table.markdown for table in self.tables)


@hookimpl
def lit_autotune_finished(report: "TuningReport", trainer: Any) -> None:
    """Write to all loggers of the Trainer, in its first process only.

    Raises:
        RuntimeError: If a logger refused; the others have been written to.
    """
    numbers = values(report)
    if not trainer.is_global_zero or not (numbers or report.tables or report.figures):
        return
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        contents = Contents(tables(report), list(pictures(report, Path(folder))), report.model_dump_json(indent=2))
        for logger in trainer.loggers:
            try:
                if numbers:
                    logger.log_metrics(numbers, step=0)
                _writer(logger)(logger, contents)
                logger.save()
            except Exception as error:
                failed.append(f"{type(logger).__name__}: {type(error).__name__}: {error}")
    if failed:
        raise RuntimeError("; ".join(failed))


def _writer(logger: Any) -> Callable[[Any, Contents], None]:
    """What writes tables and pictures to a logger: by the name of its class, so that none is imported."""
    names = [kind.__name__ for kind in type(logger).__mro__]
    return next((_WRITERS[name] for name in names if name in _WRITERS), lambda logger, contents: None)


def _tensorboard(logger: Any, contents: Contents) -> None:
    from matplotlib.image import imread

    logger.experiment.add_text("autotune", contents.text, 0)
    for name, path in contents.pictures:
        if path.suffix in RASTER:
            logger.experiment.add_image(f"autotune/{name}", imread(path)[..., :3], 0, dataformats="HWC")


def _csv(logger: Any, contents: Contents) -> None:
    logger.experiment  # noqa: B018 - makes the folder of the run
    folder = Path(logger.log_dir) / "autotune"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(contents.report, encoding="utf-8")
    (folder / "report.md").write_text(contents.text, encoding="utf-8")
    for name, path in contents.pictures:
        (folder / f"{name}{path.suffix}").write_bytes(path.read_bytes())


def _mlflow(logger: Any, contents: Contents) -> None:
    client, run = logger.experiment, logger.run_id
    client.log_text(run, contents.report, "autotune/report.json")
    client.log_text(run, contents.text, "autotune/report.md")
    with tempfile.TemporaryDirectory() as folder:
        for name, path in contents.pictures:
            named = Path(folder) / f"{name}{path.suffix}"
            named.write_bytes(path.read_bytes())
            client.log_artifact(run, str(named), "autotune")


def _wandb(logger: Any, contents: Contents) -> None:
    for table in contents.tables:
        rows = [[None if cell is None else str(cell) for cell in row] for row in table.rows]
        logger.log_table(f"autotune/{table.title}", columns=list(table.columns), data=rows)
    for name, path in contents.pictures:
        if path.suffix in RASTER:
            logger.log_image(f"autotune/{name}", [str(path)])


_WRITERS: dict[str, Callable[[Any, Contents], None]] = {
    "TensorBoardLogger": _tensorboard,
    "CSVLogger": _csv,
    "MLFlowLogger": _mlflow,
    "WandbLogger": _wandb,
}
