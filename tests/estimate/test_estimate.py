"""Batch sizes for memory that is not here, against what real fits take."""

import copy

import lightning.pytorch as pl
import pytest
import torch
import torch.utils.checkpoint
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.plugins import MixedPrecision
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, TensorDataset
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from lit_autotune import ConfigError, EstimateError, TunerConfig, estimate_batch_sizes, tune
from lit_autotune.copies.attributes import find_batch_size
from lit_autotune.copies.sandbox import Sandbox
from lit_autotune.estimate.estimate import first_guess
from lit_autotune.estimate.secant import largest_within
from lit_autotune.estimate.twin import Twin
from lit_autotune.testing import memory_limit
from support.models import AS_FOUND, CNN, Blobs, Images, Net, RandomNet, blobs, quiet_trainer

MIB = 2**20
TOLERANCE = 1e-3


class Tokens(pl.LightningDataModule):
    """Sentences in dictionaries."""

    def __init__(self, batch_size=4):
        super().__init__()
        self.batch_size = batch_size
        self.tokens = torch.randint(100, (256, 33))

    def train_dataloader(self):
        rows = [{"input": row[:-1], "target": row[1:]} for row in self.tokens]
        return DataLoader(rows, batch_size=self.batch_size)


class GPT(pl.LightningModule):
    """A causal transformer with tied weights, a schedule, and recomputed activations if wanted."""

    def __init__(self, recompute=False):
        super().__init__()
        self.recompute = recompute
        self.embedding, self.position = nn.Embedding(100, 64), nn.Parameter(torch.zeros(32, 64))
        layer = {"dim_feedforward": 256, "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(64, 4, **layer) for _ in range(2))
        self.head = nn.Linear(64, 100, bias=False)
        self.head.weight = self.embedding.weight

    def training_step(self, batch, batch_idx):
        state = self.embedding(batch["input"]) + self.position
        mask = nn.Transformer.generate_square_subsequent_mask(32)
        for block in self.blocks:
            if self.recompute:
                state = torch.utils.checkpoint.checkpoint(block, state, mask, use_reentrant=False)
            else:
                state = block(state, src_mask=mask, is_causal=True)
        loss = F.cross_entropy(self.head(state).flatten(0, 1), batch["target"].flatten())
        self.log_dict({"loss": loss}, prog_bar=True)
        return loss

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters())
        steps = self.trainer.estimated_stepping_batches
        return [optimizer], [torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps)]


class Points(Blobs):
    """Blobs that exist from the start."""

    def __init__(self, batch_size=4):
        super().__init__(batch_size, samples=1024)
        self.data = TensorDataset(*blobs(self.samples))

    def setup(self, stage):
        pass


class Stream(Points):
    """A data set without a length."""

    def train_dataloader(self):
        class Endless(IterableDataset):
            def __iter__(self):
                while True:
                    yield torch.ones(8), torch.tensor(1)

        return DataLoader(Endless(), batch_size=self.batch_size)


class MLP(Net):
    """A wide layer, SGD with momentum."""

    def __init__(self):
        super().__init__(width=512)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)


class Measured(MLP):
    """Metrics that look at values, in training and validation; a hook that reads what was logged."""

    def __init__(self):
        super().__init__()
        self.accuracy = MulticlassAccuracy(3)
        self.scores = MetricCollection([MulticlassAccuracy(3), MulticlassF1Score(3)])

    def training_step(self, batch, batch_idx):
        logits = self.network(batch[0])
        self.log("accuracy", self.accuracy(logits, batch[1]), prog_bar=True)
        self.log_dict(self.scores(logits, batch[1]))
        return F.cross_entropy(logits, batch[1])

    def on_train_batch_end(self, *args):
        assert self.trainer.callback_metrics["accuracy"] is not None


class TimeFirst(MLP):
    """Sequences with the batch in the second dimension, and two of them to a sample."""

    def training_step(self, batch, batch_idx):
        inputs = batch[0].repeat(2, 1).view(1, -1, 8)
        return self.network(inputs).square().mean()


def peak_of_a_fit(module, data, **arguments):
    """What two real steps and a validation batch take."""
    steps = 2 * min(arguments.get("accumulate_grad_batches", 1), 2)
    arguments = {**arguments, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    arguments["accumulate_grad_batches"] = steps // 2
    limits = {"max_epochs": 1, "limit_train_batches": steps} if not isinstance(data, Stream) else {"max_steps": 2}
    with memory_limit(2**60) as meter:
        quiet_trainer(**arguments, **limits).fit(copy.deepcopy(module), datamodule=data)
    return meter.peak_bytes


def predicted(module, data, size, **arguments):
    sandbox = Sandbox(quiet_trainer(**arguments), module, data)
    return Twin(sandbox, find_batch_size(sandbox.originals, None)).peak(size)


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize(
    ("make_module", "make_data", "arguments"),
    [
        (CNN, Images, {}),
        (CNN, Images, {"accumulate_grad_batches": 4}),
        (CNN, Images, {"gradient_clip_val": 1.0}),
        (CNN, Images, {"precision": "bf16-mixed"}),
        (CNN, Images, {"precision": "bf16-true"}),
        (GPT, Tokens, {}),
        (lambda: GPT(recompute=True), Tokens, {}),
        (MLP, Points, {}),
        (MLP, Stream, {}),
        (TimeFirst, Points, {}),
    ],
    ids=lambda value: getattr(value, "__name__", "-".join(map(str, value)) if isinstance(value, dict) else None),
)
def test_as_a_real_fit(make_module, make_data, arguments, size):
    """The peak predicted is that of a real fit within a thousandth."""
    module = make_module()
    real = peak_of_a_fit(module, make_data(size), **arguments)
    assert predicted(module, make_data(), size, **arguments) == pytest.approx(real, rel=TOLERANCE)


def test_manual_optimization():
    """Steps of the user's own are traced like Lightning's."""

    class ByHand(MLP):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()

    real = peak_of_a_fit(ByHand(), Points(64))
    assert predicted(ByHand(), Points(), 64) == pytest.approx(real, rel=TOLERANCE)


def test_validation_counts():
    """A validation batch that takes more than a training step decides."""

    class Wide(MLP):
        def validation_step(self, batch, batch_idx):
            return self.network(batch[0].repeat(50, 1))

    class Validated(Points):
        def val_dataloader(self):
            return DataLoader(self.data, batch_size=self.batch_size)

    real = peak_of_a_fit(Wide(), Validated(64))
    assert predicted(Wide(), Validated(), 64) == pytest.approx(real, rel=TOLERANCE)
    assert real > 2 * predicted(Wide(), Points(), 64)


@pytest.mark.parametrize("memory", [3 * MIB, 16 * MIB])
def test_largest_size_for_a_memory(memory):
    """The size fits with its margin, the next one does not, as real fits confirm; the trials are shown."""
    (estimate,) = estimate_batch_sizes(quiet_trainer(), CNN(), Images(), memory=[memory])
    assert (estimate.memory, estimate.usable) == (memory, int(0.9 * memory))
    assert peak_of_a_fit(CNN(), Images(estimate.batch_size)) <= estimate.usable * (1 + TOLERANCE)
    assert peak_of_a_fit(CNN(), Images(estimate.batch_size + 1)) > estimate.usable * (1 - TOLERANCE)
    probes = dict(estimate.probes)
    assert probes[estimate.batch_size] == estimate.peak_bytes <= estimate.usable < probes[estimate.batch_size + 1]


@pytest.mark.slow
def test_the_search_agrees():
    """A real search under a limit of that size finds what was predicted, within two percent."""
    memory = 4 * MIB
    (estimate,) = estimate_batch_sizes(quiet_trainer(), CNN(), Images(), memory=[memory])
    module, data = CNN(), Images()
    fields = {**AS_FOUND, "batch_size_mode": "binsearch", "batch_size_margin": 0}
    config = TunerConfig(use_batch_size_tuning=True, verbose=False, **fields)
    with memory_limit(memory):
        found = tune(quiet_trainer(), module, data, config).batch_size
    assert estimate.batch_size == pytest.approx(found.chosen, rel=0.02)


def test_several_memories_at_once():
    """In the order asked for, as text or bytes; ``None`` where not even one sample fits."""
    estimates = estimate_batch_sizes(quiet_trainer(), CNN(), Images(), memory=["8MiB", 16 * MIB, "10KiB"])
    assert [estimate.memory for estimate in estimates] == [8 * MIB, 16 * MIB, 10 * 1024]
    assert estimates[0].batch_size < estimates[1].batch_size
    assert estimates[2].batch_size is None
    assert estimates[2].peak_bytes > estimates[2].usable


def test_says_what_it_does_not_see():
    """What only the device knows, and metrics that had to be left out."""
    (estimate,) = estimate_batch_sizes(quiet_trainer(), Measured(), Points(), memory=["8MiB"])
    for unseen in ("workspaces of kernels", "CUDA context", "fragmentation", "metrics that need values: accuracy"):
        assert any(unseen in text for text in estimate.unseen)
    real = peak_of_a_fit(Measured(), Points(64))
    assert predicted(Measured(), Points(), 64) == pytest.approx(real, rel=TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("make_module", [lambda: RandomNet(0.1), lambda: CNN(0.1)])
def test_users_objects_are_as_before(make_module):
    """Weights, gradients, settings, Trainer and random state: an estimate leaves no trace."""
    module, data, trainer = make_module(), Images() if isinstance(make_module(), CNN) else Points(), quiet_trainer()
    before, state = copy.deepcopy(module.state_dict()), torch.get_rng_state()
    estimate_batch_sizes(trainer, module, data, memory=["8MiB"])
    after = module.state_dict()
    assert all(type(after[name]) is torch.Tensor and torch.equal(after[name], before[name]) for name in before)
    assert all(parameter.grad is None for parameter in module.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert (data.batch_size, data.trainer, trainer.global_step) == (4, None, 0)
    trainer.fit(module, datamodule=data)


class Refused(MLP):
    """Does something with a batch that needs its values."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def training_step(self, batch, batch_idx):
        loss = super().training_step(batch, batch_idx)
        return loss + 0 * self.operation(loss, batch[0])


def with_branch(loss, inputs):
    if loss > 3:
        return loss
    return inputs.sum()


OPERATIONS = {
    "item": (lambda loss, inputs: loss.item(), "loss.item()"),
    "float": (lambda loss, inputs: float(loss), "float(loss)"),
    "branch": (with_branch, "in with_branch: `if loss > 3:`"),
    "mask": (lambda loss, inputs: inputs[inputs > 0].sum(), "inputs[inputs > 0]"),
    "unique": (lambda loss, inputs: inputs.unique().sum(), "inputs.unique()"),
    "nonzero": (lambda loss, inputs: inputs.nonzero().sum(), "nonzero"),
    "numpy": (lambda loss, inputs: inputs.numpy().sum(), "inputs.numpy()"),
    "tolist": (lambda loss, inputs: inputs.tolist()[0][0], "inputs.tolist()"),
}


@pytest.mark.parametrize(("operation", "text"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_that_need_values_are_refused_by_name(operation, text):
    """The message has file, line and source of the culprit."""
    with pytest.raises(EstimateError, match=r"test_estimate\.py:\d+.*needs the values of a tensor") as caught:
        estimate_batch_sizes(quiet_trainer(), Refused(operation), Points(), memory=["8MiB"])
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


class Recurrent(pl.LightningModule):
    """An LSTM."""

    def __init__(self):
        super().__init__()
        self.reader = nn.Sequential(nn.LSTM(8, 3, batch_first=True))

    def training_step(self, batch, batch_idx):
        return F.cross_entropy(self.reader(batch[0])[0], batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class Capturable(MLP):
    """An optimizer for CUDA graphs."""

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), capturable=True)


class Quasi(MLP):
    """An optimizer that compares losses."""

    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters())


class OnCuda(MLP):
    """A step that names its device."""

    def training_step(self, batch, batch_idx):
        return super().training_step(batch, batch_idx) + torch.zeros(3, device="cuda:0").sum()


class Deaf(Points):
    """A loader that does not read the batch size."""

    def train_dataloader(self):
        return DataLoader(self.data, batch_size=4)


@pytest.mark.parametrize(
    ("module", "data", "arguments", "message"),
    [
        (Recurrent(), Points(), {}, r"module\.reader\.0 is of type LSTM"),
        (Capturable(), Points(), {}, r"AdamW\(capturable=True\)"),
        (Quasi(), Points(), {}, r"lbfgs\.py:\d+, in step: `.*` needs the values"),
        (OnCuda(), Points(), {}, "makes tensors on cuda:0 itself"),
        (MLP(), Points(), {"strategy": "ddp", "devices": 2}, "single device"),
        (MLP(), Points(), {"strategy": "ddp"}, "single device"),
    ],
    ids=["RNN", "capturable", "LBFGS", "cuda", "two devices", "ddp"],
)
def test_what_would_be_wrong_is_refused_by_name(module, data, arguments, message):
    """Rather no estimate than one that is too low; and a search does without."""
    with pytest.raises(EstimateError, match=message):
        estimate_batch_sizes(quiet_trainer(**arguments), module, data, memory=["8MiB"])
    sandbox = Sandbox(quiet_trainer(**arguments), module, data)
    assert first_guess(sandbox, find_batch_size(sandbox.originals, None), 8 * MIB) is None


def test_mistakes_of_the_user():
    """A loader that ignores the setting, sizes that are none, exceptions of his own."""
    with pytest.raises(ConfigError, match=r"changing datamodule\.batch_size does not change the tensors"):
        estimate_batch_sizes(quiet_trainer(), MLP(), Deaf(), memory=["8MiB"])
    with pytest.raises(ConfigError, match="memory: '80%' is not a size"):
        estimate_batch_sizes(quiet_trainer(), MLP(), Points(), memory=["80%"])
    with pytest.raises(ZeroDivisionError):
        estimate_batch_sizes(quiet_trainer(), Refused(lambda loss, inputs: 1 / 0), Points(), memory=["8MiB"])


def test_batches_made_in_setup():
    """A batch size that only ``setup`` reads is followed, too."""

    class Cut(Blobs):
        def setup(self, stage):
            inputs, labels = blobs(64)
            self.batches = list(zip(inputs.split(self.batch_size), labels.split(self.batch_size), strict=True))

        def train_dataloader(self):
            return DataLoader(self.batches, batch_size=None)

    peaks = [predicted(MLP(), make(), 64) for make in (Cut, Points)]
    assert peaks[0] == pytest.approx(peaks[1], rel=0.02)


def test_trainer_of_another_device():
    """A GPU's Trainer is traced on the CPU, with its precision but without its gradient scaler."""

    def for_a_gpu(trainer):
        trainer.strategy._root_device = torch.device("cuda", 0)
        trainer.strategy.precision_plugin = MixedPrecision("16-mixed", "cuda")
        return trainer

    memory = {"memory": ["8MiB"]}
    (there,) = estimate_batch_sizes(for_a_gpu(quiet_trainer()), CNN(), Images(), **memory)
    (here,) = estimate_batch_sizes(quiet_trainer(precision="bf16-mixed"), CNN(), Images(), **memory)
    assert there.batch_size == here.batch_size


def test_first_guess_of_a_search():
    """The size for bytes of tensors, without a margin."""
    sandbox = Sandbox(quiet_trainer(), CNN(), Images())
    guess = first_guess(sandbox, find_batch_size(sandbox.originals, None), 4 * MIB)
    assert peak_of_a_fit(CNN(), Images(guess)) == pytest.approx(4 * MIB, rel=0.02)
    assert first_guess(sandbox, find_batch_size(sandbox.originals, None), 1024) is None


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**8)), min_size=1, max_size=4), st.integers(1, 10**12)
)
def test_largest_size_within_a_memory(lines, usable):
    """On convex piecewise linear peaks the answer is exact, and found in a few traces."""
    traced = []

    def peak(size):
        traced.append(size)
        return max(start + slope * size for start, slope in lines)

    found = largest_within(peak, usable)
    assert found == 0 or peak(found) <= usable
    assert found == 2**30 or peak(found + 1) > usable
    assert len(traced) <= 40


def test_models_cut_into_shards_are_refused_by_name():
    """What each rank holds is decided by processes that find each other, and there is one."""
    trainer = quiet_trainer(strategy=ModelParallelStrategy(), devices=2)
    with pytest.raises(ConfigError, match="ModelParallelStrategy cuts the model"):
        estimate_batch_sizes(trainer, Net(), Blobs(), memory=["1GiB"])
