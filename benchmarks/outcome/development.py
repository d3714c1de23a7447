"""The tasks to develop with. Batch sizes and learning rates are what one writes from habit, and have not been tuned."""

from . import development_modules as modules
from . import pictures, scans, signals, tables, texts
from .data import AttributeData, HparamsData, Split
from .tasks import Task


class Digits(HparamsData):
    def split(self) -> Split:
        return scans.digits()


class Shapes(AttributeData):
    drop_last = True

    def split(self) -> Split:
        return pictures.shapes()


class Textures(HparamsData):
    drop_last = True

    def split(self) -> Split:
        return pictures.textures()


class Customers(AttributeData):
    drop_last = True

    def split(self) -> Split:
        return tables.customers()


class Diabetes(AttributeData):
    def split(self) -> Split:
        return tables.diabetes()


class HelpPages(HparamsData):
    drop_last = True

    def split(self) -> Split:
        return texts.help_pages()


class Load(AttributeData):
    def split(self) -> Split:
        return signals.load()


class Cells(HparamsData):
    def split(self) -> Split:
        return pictures.cells()


class Ratings(AttributeData):
    def split(self) -> Split:
        return tables.ratings()


class LastDigits(HparamsData):
    def split(self) -> Split:
        return scans.last_digits()


TASKS: tuple[Task, ...] = (
    Task(
        name="digits, CNN, Adam",
        module=modules.DigitsCNN,
        datamodule=Digits,
        batch_size=64,
        learning_rate=1e-3,
        trainer={"max_epochs": 20},
        bad=((64, 0.1),),
        score="val_acc",
    ),
    Task(
        name="shapes, ResNet, SGD with cosine",
        module=modules.ShapesResNet,
        datamodule=Shapes,
        batch_size=128,
        learning_rate=0.1,
        trainer={"max_epochs": 15},
        bad=((128, 3.0),),
        score="val_acc",
    ),
    Task(
        name="textures, ViT, AdamW with OneCycle",
        module=modules.TexturesViT,
        datamodule=Textures,
        batch_size=64,
        learning_rate=1e-3,
        trainer={"max_epochs": 13, "gradient_clip_val": 1.0},
        score="val_acc",
    ),
    Task(
        name="customers, MLP, AdamW",
        module=modules.CustomersMLP,
        datamodule=Customers,
        batch_size=128,
        learning_rate=1e-3,
        trainer={"max_epochs": 12},
        score="val_acc",
    ),
    Task(
        name="diabetes, MLP, Adam",
        module=modules.DiabetesMLP,
        datamodule=Diabetes,
        batch_size=16,
        learning_rate=1e-3,
        trainer={"max_epochs": 50},
        bad=((4, 1e-3),),
        score="val_r2",
    ),
    Task(
        name="help pages, GPT, AdamW with warm-up and cosine",
        module=modules.HelpGPT,
        datamodule=HelpPages,
        batch_size=32,
        learning_rate=1e-3,
        trainer={
            "max_steps": 400,
            "val_check_interval": 80,
            "check_val_every_n_epoch": None,
            "gradient_clip_val": 1.0,
        },
        bad=((32, 1e-5),),
    ),
    Task(
        name="load, LSTM, RMSprop",
        module=modules.LoadLSTM,
        datamodule=Load,
        batch_size=32,
        learning_rate=1e-3,
        trainer={"max_epochs": 14, "accumulate_grad_batches": 2, "gradient_clip_val": 1.0},
    ),
    Task(
        name="cells, U-Net, Adam",
        module=modules.CellsUNet,
        datamodule=Cells,
        batch_size=16,
        learning_rate=1e-3,
        trainer={"max_epochs": 12},
        score="val_iou",
    ),
    Task(
        name="ratings, matrix factorization, Adam",
        module=modules.RatingsMF,
        datamodule=Ratings,
        batch_size=128,
        learning_rate=1e-3,
        trainer={"max_epochs": 12},
        bad=((128, 1e-5),),
    ),
    Task(
        name="last digits, pretrained CNN, AdamW",
        module=modules.LastDigits,
        datamodule=LastDigits,
        batch_size=32,
        learning_rate=1e-4,
        trainer={"max_epochs": 30},
        score="val_acc",
    ),
)
