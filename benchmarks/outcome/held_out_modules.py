"""The modules of the held-out tasks, each in the manner of another user."""

from functools import cache

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer
from torchmetrics import Metric
from torchmetrics.classification import BinaryAUROC
from torchmetrics.image import PeakSignalNoiseRatio

from .modules import (
    Classifier,
    Regressor,
    Supervised,
    cosine_per_epoch,
    one_cycle,
    pretrained,
    slow_backbone,
    warmup_cosine,
)
from .nets import SmallCNN, ViT, autoencoder, vgg
from .other_nets import TCN, FactorizationMachine, WordAverage, mlp
from .pictures import SOUNDS
from .scans import capitals
from .signals import MOVEMENTS
from .tables import CLICK_FIELDS
from .texts import MODULES, VOCABULARY


class CapitalsCNN(Classifier):
    def __init__(self, learning_rate: float = 1e-3):
        super().__init__(classes=26)
        self.learning_rate = learning_rate
        self.net = SmallCNN(classes=26, size=16, width=8)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.learning_rate)


class PlacesVGG(Classifier):
    def __init__(self, lr: float = 0.01, momentum: float = 0.9):
        super().__init__(classes=4)
        self.save_hyperparameters()
        self.net = vgg(channels=3, classes=4)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = SGD(
            self.parameters(), lr=self.hparams.lr, momentum=self.hparams.momentum, weight_decay=5e-4, nesterov=True
        )
        return cosine_per_epoch(optimizer, self.trainer)


class SoundsViT(Classifier):
    def __init__(self, lr: float = 1e-3):
        super().__init__(classes=SOUNDS)
        self.save_hyperparameters()
        self.net = ViT(classes=SOUNDS, patches=16, patch=8, token=False)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return one_cycle(AdamW(self.parameters(), lr=self.hparams.lr), self.hparams.lr, self.trainer)


class TumoursMLP(Classifier):
    def __init__(self, lr: float = 1e-3):
        super().__init__(classes=2)
        self.lr = lr
        self.net = mlp(30, 64, 64, 2, dropout=0.2)

    def configure_optimizers(self) -> Optimizer:
        return AdamW(self.parameters(), lr=self.lr)


class FriedmanMLP(Regressor):
    def __init__(self, learning_rate: float = 0.01):
        super().__init__()
        self.save_hyperparameters()
        self.net = mlp(10, 128, 64, 1)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = SGD(self.parameters(), lr=self.hparams.learning_rate, momentum=0.9)
        return cosine_per_epoch(optimizer, self.trainer)


class SnippetsBag(Classifier):
    def __init__(self, lr: float = 0.01):
        super().__init__(classes=len(MODULES))
        self.save_hyperparameters()
        self.net = WordAverage(VOCABULARY, len(MODULES))

    def configure_optimizers(self) -> Optimizer:
        return Adagrad(self.parameters(), lr=self.hparams.lr)


class MovementsTCN(Classifier):
    def __init__(self, learning_rate: float = 1e-3, warmup: int = 30):
        super().__init__(classes=MOVEMENTS)
        self.learning_rate = learning_rate
        self.warmup = warmup
        self.net = TCN(channels=3, classes=MOVEMENTS)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        return warmup_cosine(AdamW(self.parameters(), lr=self.learning_rate), self.trainer, self.warmup)


class FlowerDenoiser(Supervised):
    def __init__(self, lr: float = 1e-3):
        super().__init__(nn.MSELoss(), val_psnr=PeakSignalNoiseRatio(data_range=1.0))
        self.save_hyperparameters()
        self.net = autoencoder(channels=3)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.hparams.lr)


class ClicksFM(Supervised):
    def __init__(self, lr: float = 1e-3):
        super().__init__(nn.BCEWithLogitsLoss(), val_auroc=BinaryAUROC())
        self.lr = lr
        self.net = FactorizationMachine(CLICK_FIELDS)

    def judge(self, score: Metric, output: Tensor, target: Tensor) -> None:
        score.update(output.sigmoid(), target.int())

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.lr)


class SmallLetters(Classifier):
    """Fine-tunes a net that knows the capital letters."""

    def __init__(self, learning_rate: float = 0.01):
        super().__init__(classes=26)
        self.save_hyperparameters()
        self.net = _letters()
        self.net.backbone.load_state_dict(_knows_capitals())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        learning_rate = self.hparams.learning_rate
        return cosine_per_epoch(
            SGD(slow_backbone(self.net, learning_rate), lr=learning_rate, momentum=0.9), self.trainer
        )


def _letters() -> SmallCNN:
    return SmallCNN(classes=26, size=16, width=12)


@cache
def _knows_capitals() -> dict[str, Tensor]:
    return pretrained(_letters, capitals()[0], epochs=6)
