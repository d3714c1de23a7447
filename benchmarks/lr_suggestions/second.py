"""More tasks that rules and thresholds were developed on; held out until one look at them gave an idea."""

from functools import partial

from torch import nn

from benchmarks.lr_suggestions import data, nets, pictures, sequences
from benchmarks.lr_suggestions.tasks import ADAM, ADAMW, MOMENTUM, RMSPROP, SGD, Task, gaussian, mse

TASKS: tuple[Task, ...] = (
    Task(
        "digits, MLP with BatchNorm, RMSprop",
        load=pictures.digits,
        build=partial(nets.mlp, 64, 10, norm=True),
        optimizer=RMSPROP,
    ),
    Task("digits, linear, momentum", load=pictures.digits, build=partial(nets.linear, 64, 10), optimizer=MOMENTUM),
    Task("raw digits, CNN, SGD", load=partial(pictures.digits, raw=True), build=partial(nets.cnn, 10), optimizer=SGD),
    Task(
        "digits, CNN with BatchNorm fine-tuned to other digits, AdamW",
        load=partial(pictures.digits, keep=range(4, 10)),
        before=partial(pictures.digits, keep=range(6)),
        build=partial(nets.cnn, 10, norm=True),
        optimizer=ADAMW,
    ),
    Task(
        "raw cancer, MLP with BatchNorm, Adam",
        load=partial(data.table, "breast_cancer", raw=True),
        build=partial(nets.mlp, 30, 2, norm=True),
        optimizer=ADAM,
    ),
    Task(
        "raw iris, MLP, momentum",
        load=partial(data.table, "iris", raw=True),
        build=partial(nets.mlp, 4, 3),
        optimizer=MOMENTUM,
    ),
    Task(
        "wine, linear, RMSprop", load=partial(data.table, "wine"), build=partial(nets.linear, 13, 3), optimizer=RMSPROP
    ),
    Task(
        "diabetes, MLP, SGD",
        load=partial(data.table, "diabetes"),
        build=partial(nets.mlp, 10, 1),
        optimizer=SGD,
        loss=mse,
    ),
    Task(
        "raw diabetes, MLP with BatchNorm, momentum",
        load=partial(data.table, "diabetes", raw=True, raw_targets=True),
        build=partial(nets.mlp, 10, 1, norm=True),
        optimizer=MOMENTUM,
        loss=mse,
    ),
    Task(
        "raw Friedman, MLP, AdamW",
        load=partial(data.friedman, raw_targets=True),
        build=partial(nets.mlp, 10, 1),
        optimizer=ADAMW,
        loss=mse,
    ),
    Task("spirals, MLP, Adam", load=data.spirals, build=partial(nets.mlp, 2, 3, act=nn.Tanh), optimizer=ADAM),
    Task("spirals, MLP, SGD", load=data.spirals, build=partial(nets.mlp, 2, 3), optimizer=SGD),
    Task("raw roll, MLP, RMSprop", load=data.roll, build=partial(nets.mlp, 3, 1), optimizer=RMSPROP, loss=mse),
    Task(
        "photograph, MLP, momentum", load=pictures.photo, build=partial(nets.mlp, 32, 3), optimizer=MOMENTUM, loss=mse
    ),
    Task(
        "patches, autoencoder with BatchNorm, Adam",
        load=pictures.patches,
        build=partial(nets.autoencoder, 64, norm=True),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "characters, GRU, momentum", load=partial(sequences.characters, "tarfile"), build=nets.GRU, optimizer=MOMENTUM
    ),
    Task(
        "characters, transformer with late norm, SGD",
        load=partial(sequences.characters, "statistics"),
        build=partial(nets.Transformer, norm_first=False),
        optimizer=SGD,
    ),
    Task(
        "characters, MLP, AdamW",
        load=partial(sequences.characters, "pprint"),
        build=nets.embedding_mlp,
        optimizer=ADAMW,
    ),
    Task(
        "shapes, CNN with BatchNorm, RMSprop",
        load=pictures.shapes,
        build=partial(nets.cnn, 4, size=12, norm=True),
        optimizer=RMSPROP,
    ),
    Task(
        "shapes, autoencoder, SGD",
        load=pictures.noisy_shapes,
        build=partial(nets.autoencoder, 144, 16),
        optimizer=SGD,
        loss=mse,
    ),
    Task("waves, GRU, AdamW", load=sequences.waves, build=partial(nets.GRU, 1, 1), optimizer=ADAMW, loss=mse),
    Task(
        "reversed letters, transformer, momentum",
        load=sequences.reverse,
        build=partial(nets.Transformer, 8, causal=False),
        optimizer=MOMENTUM,
    ),
    Task("parity, MLP, Adam (plateau)", load=data.parity, build=partial(nets.mlp, 8, 2), optimizer=ADAM),
    Task(
        "funnel, MLP, RMSprop (negative loss)",
        load=data.funnel,
        build=partial(nets.mlp, 1, 2, act=nn.Tanh),
        optimizer=RMSPROP,
        loss=gaussian,
    ),
)
