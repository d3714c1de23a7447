"""The modules of the development tasks, each in the manner of another user."""

from functools import cache

from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torchmetrics.classification import MulticlassJaccardIndex

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
from .nets import SmallCNN, UNet, ViT, resnet
from .other_nets import CharGPT, Forecaster, MatrixFactorization, mlp
from .pictures import SHAPES, TEXTURES
from .scans import first_digits
from .signals import FUTURE
from .texts import CHARACTERS, CONTEXT


class DigitsCNN(Classifier):
    def __init__(self, lr: float = 1e-3):
        super().__init__(classes=10)
        self.save_hyperparameters()
        self.net = SmallCNN(classes=10, size=8)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.hparams.lr)


class ShapesResNet(Classifier):
    def __init__(self, learning_rate: float = 0.1):
        super().__init__(classes=len(SHAPES))
        self.learning_rate = learning_rate
        self.net = resnet(classes=len(SHAPES))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = SGD(self.parameters(), lr=self.learning_rate, momentum=0.9, weight_decay=5e-4)
        return cosine_per_epoch(optimizer, self.trainer)


class TexturesViT(Classifier):
    def __init__(self, lr: float = 1e-3, weight_decay: float = 0.05):
        super().__init__(classes=len(TEXTURES))
        self.save_hyperparameters()
        self.net = ViT(classes=len(TEXTURES), patches=16, patch=4)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = AdamW(self.parameters(), lr=self.hparams.lr, weight_decay=self.hparams.weight_decay)
        return one_cycle(optimizer, self.hparams.lr, self.trainer)


class CustomersMLP(Classifier):
    def __init__(self, lr: float = 1e-3):
        super().__init__(classes=5)
        self.lr = lr
        self.net = mlp(30, 128, 128, 5, norm=True, dropout=0.1)

    def configure_optimizers(self) -> Optimizer:
        return AdamW(self.parameters(), lr=self.lr)


class DiabetesMLP(Regressor):
    def __init__(self, learning_rate: float = 1e-3):
        super().__init__()
        self.save_hyperparameters()
        self.net = mlp(10, 64, 64, 1)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.hparams.learning_rate)


class HelpGPT(Supervised):
    def __init__(self, lr: float = 1e-3, warmup: int = 50):
        super().__init__(nn.CrossEntropyLoss())
        self.save_hyperparameters()
        self.net = CharGPT(CHARACTERS, CONTEXT)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer = AdamW(self.parameters(), lr=self.hparams.lr, betas=(0.9, 0.95), weight_decay=0.1)
        return warmup_cosine(optimizer, self.trainer, self.hparams.warmup)


class LoadLSTM(Supervised):
    def __init__(self, learning_rate: float = 1e-3):
        super().__init__(nn.MSELoss())
        self.learning_rate = learning_rate
        self.net = Forecaster(FUTURE)

    def configure_optimizers(self) -> Optimizer:
        return RMSprop(self.parameters(), lr=self.learning_rate)


class CellsUNet(Supervised):
    def __init__(self, lr: float = 1e-3):
        super().__init__(nn.CrossEntropyLoss(), val_iou=MulticlassJaccardIndex(2))
        self.save_hyperparameters()
        self.net = UNet(classes=2)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.hparams.lr)


class RatingsMF(Supervised):
    def __init__(self, lr: float = 1e-3):
        super().__init__(nn.MSELoss())
        self.lr = lr
        self.net = MatrixFactorization(people=300, films=200)

    def configure_optimizers(self) -> Optimizer:
        return Adam(self.parameters(), lr=self.lr, weight_decay=1e-5)


class LastDigits(Classifier):
    """Fine-tunes a net that knows the digits 0 to 4."""

    def __init__(self, learning_rate: float = 1e-4):
        super().__init__(classes=5)
        self.learning_rate = learning_rate
        self.net = _five_digits()
        self.net.backbone.load_state_dict(_knows_first_digits())

    def configure_optimizers(self) -> Optimizer:
        return AdamW(slow_backbone(self.net, self.learning_rate), lr=self.learning_rate)


def _five_digits() -> SmallCNN:
    return SmallCNN(classes=5, size=8, width=32)


@cache
def _knows_first_digits() -> dict[str, Tensor]:
    return pretrained(_five_digits, first_digits()[0], epochs=10)
