"""Nets for pictures."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SmallCNN(nn.Module):
    """Two convolutions and a linear head."""

    def __init__(self, classes: int, size: int, width: int = 16):
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(2 * width * (size // 4) ** 2, 64),
            nn.ReLU(),
        )
        self.head = nn.Linear(64, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        return self.head(self.backbone(pictures))


def convolution(channels: int, width: int, stride: int = 1) -> nn.Sequential:
    """Convolution, BatchNorm and ReLU."""
    return nn.Sequential(nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())


class ResidualBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int, width: int, stride: int):
        super().__init__()
        self.first = convolution(channels, width, stride)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, pictures: Tensor) -> Tensor:
        return F.relu(self.second(self.first(pictures)) + self.shortcut(pictures))


def resnet(classes: int, width: int = 8) -> nn.Sequential:
    """Three residual blocks, each but the first at half the resolution of the one before."""
    return nn.Sequential(
        convolution(1, width, stride=2),
        ResidualBlock(width, width, 1),
        ResidualBlock(width, 2 * width, 2),
        ResidualBlock(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, classes),
    )


def vgg(channels: int, classes: int, width: int = 8) -> nn.Sequential:
    """Plain convolutions with BatchNorm, and a head with dropout."""
    return nn.Sequential(
        convolution(channels, width),
        nn.MaxPool2d(2),
        convolution(width, 2 * width),
        nn.MaxPool2d(2),
        convolution(2 * width, 4 * width),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * width * 4, classes),
    )


class ViT(nn.Module):
    """A vision transformer, with a class token or with the mean over all patches."""

    def __init__(self, classes: int, patches: int, patch: int, width: int = 24, depth: int = 2, token: bool = True):
        super().__init__()
        self.patches = nn.Conv2d(1, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width)) if token else None
        self.positions = nn.Parameter(0.02 * torch.randn(1, patches + token, width))
        self.blocks = transformer(width, depth)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, pictures: Tensor) -> Tensor:
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        if self.token is not None:
            tokens = torch.cat([self.token.expand(len(tokens), -1, -1), tokens], 1)
        tokens = self.blocks(tokens + self.positions)
        return self.head(tokens.mean(1) if self.token is None else tokens[:, 0])


def transformer(width: int, depth: int) -> nn.TransformerEncoder:
    """Blocks with the normalization first, as is usual today."""
    block = nn.TransformerEncoderLayer(
        width, 2, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(block, depth, enable_nested_tensor=False)


class UNet(nn.Module):
    """Two steps down, two up, and across."""

    def __init__(self, classes: int, width: int = 6):
        super().__init__()
        self.top = convolution(1, width)
        self.middle = convolution(width, 2 * width)
        self.bottom = convolution(2 * width, 4 * width)
        self.up_middle = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.up_top = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.join_middle = convolution(4 * width, 2 * width)
        self.join_top = convolution(2 * width, width)
        self.out = nn.Conv2d(width, classes, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        top = self.top(pictures)
        middle = self.middle(F.max_pool2d(top, 2))
        bottom = self.bottom(F.max_pool2d(middle, 2))
        middle = self.join_middle(torch.cat([middle, self.up_middle(bottom)], 1))
        return self.out(self.join_top(torch.cat([top, self.up_top(middle)], 1)))


def autoencoder(channels: int, width: int = 16) -> nn.Sequential:
    """Down to a quarter of the resolution and up again."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(2 * width, width, 2, stride=2),
        nn.ReLU(),
        nn.ConvTranspose2d(width, channels, 2, stride=2),
        nn.Sigmoid(),
    )
