"""The tasks to judge with, on other data than the development ones. Nothing in them has been tuned either."""

from typing import Any

from torch.utils.data import DataLoader

from . import held_out_modules as modules
from . import pictures, scans, signals, tables, texts
from .data import AttributeData, HparamsData, Split
from .tasks import Task


class Capitals(AttributeData):
    def split(self) -> Split:
        return scans.capitals()


class Places(HparamsData):
    drop_last = True

    def split(self) -> Split:
        return scans.places()


class Sounds(AttributeData):
    def split(self) -> Split:
        return pictures.sounds()


class Tumours(HparamsData):
    def split(self) -> Split:
        return tables.tumours()


class Friedman(AttributeData):
    def split(self) -> Split:
        return tables.friedman()

    def val_dataloader(self) -> DataLoader[Any]:
        return self._val(256)


class Snippets(HparamsData):
    def split(self) -> Split:
        return texts.snippets()


class Movements(AttributeData):
    drop_last = True

    def split(self) -> Split:
        return signals.movements()


class Flower(HparamsData):
    def split(self) -> Split:
        return scans.noisy_flower()


class Clicks(AttributeData):
    def split(self) -> Split:
        return tables.clicks()


class SmallLetters(HparamsData):
    def split(self) -> Split:
        return scans.small_letters()


TASKS: tuple[Task, ...] = (
    Task(
        name="capitals, CNN, Adam",
        module=modules.CapitalsCNN,
        datamodule=Capitals,
        batch_size=32,
        learning_rate=1e-3,
        trainer={"max_epochs": 8},
        bad=((32, 0.03),),
        score="val_acc",
    ),
    Task(
        name="places, VGG, SGD with cosine",
        module=modules.PlacesVGG,
        datamodule=Places,
        batch_size=64,
        learning_rate=0.01,
        trainer={"max_epochs": 10},
        bad=((64, 1e-4),),
        score="val_acc",
    ),
    Task(
        name="sounds, ViT, AdamW with OneCycle",
        module=modules.SoundsViT,
        datamodule=Sounds,
        batch_size=32,
        learning_rate=1e-3,
        trainer={"max_epochs": 8, "gradient_clip_val": 1.0},
        score="val_acc",
    ),
    Task(
        name="tumours with wrong labels, MLP, AdamW",
        module=modules.TumoursMLP,
        datamodule=Tumours,
        batch_size=32,
        learning_rate=1e-3,
        trainer={"max_epochs": 30},
        bad=((4, 1e-3),),
        score="val_acc",
    ),
    Task(
        name="Friedman, MLP, SGD with cosine",
        module=modules.FriedmanMLP,
        datamodule=Friedman,
        batch_size=64,
        learning_rate=0.01,
        trainer={"max_epochs": 15},
        bad=((64, 0.3),),
        score="val_r2",
    ),
    Task(
        name="snippets, EmbeddingBag, Adagrad",
        module=modules.SnippetsBag,
        datamodule=Snippets,
        batch_size=32,
        learning_rate=0.01,
        trainer={"max_epochs": 10, "accumulate_grad_batches": 2},
        score="val_acc",
    ),
    Task(
        name="movements, TCN, AdamW with warm-up and cosine",
        module=modules.MovementsTCN,
        datamodule=Movements,
        batch_size=64,
        learning_rate=1e-3,
        trainer={"max_epochs": 12},
        score="val_acc",
    ),
    Task(
        name="flower, denoising autoencoder, Adam",
        module=modules.FlowerDenoiser,
        datamodule=Flower,
        batch_size=64,
        learning_rate=1e-3,
        trainer={"max_epochs": 10},
        score="val_psnr",
    ),
    Task(
        name="clicks, factorization machine, Adam",
        module=modules.ClicksFM,
        datamodule=Clicks,
        batch_size=128,
        learning_rate=1e-3,
        trainer={"max_steps": 1000, "val_check_interval": 100, "check_val_every_n_epoch": None},
        bad=((128, 1e-5),),
        score="val_auroc",
    ),
    Task(
        name="small letters, pretrained CNN, SGD with cosine",
        module=modules.SmallLetters,
        datamodule=SmallLetters,
        batch_size=32,
        learning_rate=0.01,
        trainer={"max_epochs": 15},
        score="val_acc",
    ),
)
