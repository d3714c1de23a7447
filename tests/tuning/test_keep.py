"""The Python lines that keep what was found."""

import functools

import pytest
import torch

from lit_autotune.tuning.keep import python_lines
from support.models import AS_FOUND, Blobs, Net
from support.tuning import BOTH, tuned


class InHparams(Net):
    def __init__(self, lr=1e-3):
        super().__init__()
        self.save_hyperparameters()

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams.lr)


class InADictionary(Net):
    def __init__(self):
        super().__init__()
        del self.lr
        self.config = {"optim": {"lr": 1e-3}}

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.config["optim"]["lr"])


class InAPartial(Net):
    def __init__(self):
        super().__init__()
        del self.lr
        self.optimizer = functools.partial(torch.optim.Adam, lr=1e-3)

    def configure_optimizers(self):
        return self.optimizer(self.parameters())


@pytest.mark.parametrize("kind", [Net, InHparams, InADictionary, InAPartial])
def test_lines_that_are_executed_set_the_values(kind):
    """The lines are Python: executed on other objects of the same classes, they give them the values found."""
    fields = {**AS_FOUND, **BOTH, "batch_size_max": 32, "lr_num_training": 20, "lr_verify": False}
    report = tuned(kind(), Blobs(), **fields)
    module, datamodule = kind(), Blobs()
    exec("\n".join(report.keep), {"module": module, "datamodule": datamodule})
    assert datamodule.batch_size == report.batch_size.chosen
    assert module.configure_optimizers().param_groups[0]["lr"] == report.learning_rate.chosen


def test_a_place_that_no_expression_leads_to():
    """It is a comment with its value."""
    report = tuned(Net(), Blobs(), use_batch_size_tuning=True, batch_size_max=32)
    size = report.batch_size.model_copy(update={"places": ("datamodule.nowhere.size",)})
    lines = python_lines({"datamodule": Blobs()}, report.model_copy(update={"batch_size": size}))
    assert lines == [f"# datamodule.nowhere.size: {size.chosen}"]


def test_a_peak_is_not_to_be_multiplied():
    """The line of a max_lr says that it is one already."""

    class Peaked(Net):
        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.lr, total_steps=100)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    report = tuned(Peaked(), Blobs(), use_learning_rate_tuning=True, lr_num_training=20, lr_verify=False)
    assert report.learning_rate.kind == "max_lr"
    assert report.keep[0].endswith("# the peak itself, not to be multiplied")
