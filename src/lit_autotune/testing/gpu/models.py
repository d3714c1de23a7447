"""Small models of three kinds for the checks on a GPU: a CNN, a GPT, a U-Net, each with data made up on the spot."""

from typing import Any

SAMPLES = 65536
"""Of the data sets: they are made when asked for, and take no memory."""


def make(kind: str, lr: float = 1e-3, batch_size: int = 4) -> tuple[Any, Any]:
    """A module and a datamodule of a kind.

    Args:
        kind: ``"CNN"``, ``"GPT"`` or ``"U-Net"``.
        lr: The learning rate.
        batch_size: The batch size.
    """
    import lightning.pytorch as pl
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader, Dataset

    network, inputs, labels = {"CNN": _cnn, "GPT": _gpt, "U-Net": _unet}[kind]()

    class MadeUp(Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return SAMPLES

        def __getitem__(self, i: int) -> Any:
            generator = torch.Generator().manual_seed(i)
            return inputs(generator), labels(generator)

    class Data(pl.LightningDataModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.batch_size = batch_size

        def train_dataloader(self) -> Any:
            return DataLoader(MadeUp(), batch_size=self.batch_size)

    class Model(pl.LightningModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lr, self.network = lr, network

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            x, y = batch
            return functional.cross_entropy(self.network(x), y)

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters(), lr=self.lr)

    return Model(), Data()


def _cnn() -> tuple[Any, Any, Any]:
    import torch
    from torch import nn

    def block(ins: int, outs: int) -> Any:
        return nn.Sequential(nn.Conv2d(ins, outs, 3, padding=1), nn.BatchNorm2d(outs), nn.ReLU(), nn.MaxPool2d(2))

    network = nn.Sequential(block(3, 32), block(32, 64), block(64, 128), nn.Flatten(), nn.Linear(128 * 64, 10))
    return (
        network,
        lambda generator: torch.randn(3, 64, 64, generator=generator),
        lambda generator: torch.randint(10, (), generator=generator),
    )


def _gpt() -> tuple[Any, Any, Any]:
    import torch
    from torch import nn

    words, length, width = 512, 128, 192

    class Causal(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(words, width)
            layer = nn.TransformerEncoderLayer(width, 6, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
            self.head = nn.Linear(width, words)

        def forward(self, x: Any) -> Any:
            mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1], device=x.device)
            return self.head(self.layers(self.embed(x), mask=mask, is_causal=True)).transpose(1, 2)

    def text(generator: Any) -> Any:
        return torch.randint(words, (length,), generator=generator)

    return Causal(), text, text


def _unet() -> tuple[Any, Any, Any]:
    import torch
    from torch import nn

    class UNet(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.down1 = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
            self.down2 = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU())
            self.up = nn.ConvTranspose2d(32, 16, 2, stride=2)
            self.head = nn.Conv2d(32, 4, 3, padding=1)

        def forward(self, x: Any) -> Any:
            first = self.down1(x)
            return self.head(torch.cat([first, self.up(self.down2(first))], dim=1))

    return (
        UNet(),
        lambda generator: torch.randn(3, 96, 96, generator=generator),
        lambda generator: torch.randint(4, (96, 96), generator=generator),
    )
