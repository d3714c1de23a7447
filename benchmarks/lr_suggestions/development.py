"""The tasks that rules and thresholds were developed on."""

from functools import partial

from torch import nn

from benchmarks.lr_suggestions import data, nets, pictures, sequences
from benchmarks.lr_suggestions.tasks import ADAM, ADAMW, MOMENTUM, RMSPROP, SGD, Task, gaussian, mse

TASKS: tuple[Task, ...] = (
    Task("digits, MLP, SGD", load=pictures.digits, build=partial(nets.mlp, 64, 10), optimizer=SGD),
    Task("digits, CNN, AdamW", load=pictures.digits, build=partial(nets.cnn, 10), optimizer=ADAMW),
    Task(
        "digits, CNN with BatchNorm, momentum",
        load=pictures.digits,
        build=partial(nets.cnn, 10, norm=True),
        optimizer=MOMENTUM,
    ),
    Task(
        "digits, autoencoder, Adam",
        load=pictures.pictures_of_digits,
        build=partial(nets.autoencoder, 64),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "digits, CNN fine-tuned to other digits, SGD",
        load=partial(pictures.digits, keep=range(5, 10)),
        before=partial(pictures.digits, keep=range(5)),
        build=partial(nets.cnn, 10),
        optimizer=SGD,
    ),
    Task("wine, MLP, Adam", load=partial(data.table, "wine"), build=partial(nets.mlp, 13, 3), optimizer=ADAM),
    Task(
        "raw cancer, linear, Adam",
        load=partial(data.table, "breast_cancer", raw=True),
        build=partial(nets.linear, 30, 2),
        optimizer=ADAM,
    ),
    Task(
        "raw diabetes, MLP, Adam",
        load=partial(data.table, "diabetes", raw=True, raw_targets=True),
        build=partial(nets.mlp, 10, 1),
        optimizer=ADAM,
        loss=mse,
    ),
    Task("characters, GRU, Adam", load=partial(sequences.characters, "argparse"), build=nets.GRU, optimizer=ADAM),
    Task(
        "characters, transformer, momentum",
        load=partial(sequences.characters, "difflib"),
        build=nets.Transformer,
        optimizer=MOMENTUM,
    ),
    Task(
        "characters, MLP, RMSprop",
        load=partial(sequences.characters, "textwrap"),
        build=nets.embedding_mlp,
        optimizer=RMSPROP,
    ),
    Task("shapes, CNN, momentum", load=pictures.shapes, build=partial(nets.cnn, 4, size=12), optimizer=MOMENTUM),
    Task("waves, MLP, SGD", load=sequences.windows, build=partial(nets.mlp, 24, 1), optimizer=SGD, loss=mse),
    Task("adding, GRU, Adam (plateau)", load=sequences.adding, build=partial(nets.GRU, 2, 1), optimizer=ADAM, loss=mse),
    Task(
        "Friedman, MLP with BatchNorm, RMSprop",
        load=data.friedman,
        build=partial(nets.mlp, 10, 1, norm=True),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task("photograph, MLP, Adam", load=pictures.photo, build=partial(nets.mlp, 32, 3), optimizer=ADAM, loss=mse),
    Task(
        "funnel, MLP, Adam (negative loss)",
        load=data.funnel,
        build=partial(nets.mlp, 1, 2, act=nn.Tanh),
        optimizer=ADAM,
        loss=gaussian,
    ),
    Task(
        "raw digits, MLP, Adam",
        load=partial(pictures.digits, raw=True),
        build=partial(nets.mlp, 64, 10),
        optimizer=ADAM,
    ),
    Task(
        "digits, CNN with BatchNorm, SGD", load=pictures.digits, build=partial(nets.cnn, 10, norm=True), optimizer=SGD
    ),
    Task(
        "raw digits, linear, SGD",
        load=partial(pictures.digits, raw=True),
        build=partial(nets.linear, 64, 10),
        optimizer=SGD,
    ),
    Task(
        "digits, autoencoder, RMSprop",
        load=pictures.pictures_of_digits,
        build=partial(nets.autoencoder, 64),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task(
        "digits, MLP fine-tuned to inverted ones, Adam",
        load=partial(pictures.digits, invert=True),
        before=pictures.digits,
        build=partial(nets.mlp, 64, 10),
        optimizer=ADAM,
    ),
    Task(
        "raw wine, MLP, SGD", load=partial(data.table, "wine", raw=True), build=partial(nets.mlp, 13, 3), optimizer=SGD
    ),
    Task(
        "cancer, MLP, momentum",
        load=partial(data.table, "breast_cancer"),
        build=partial(nets.mlp, 30, 2),
        optimizer=MOMENTUM,
    ),
    Task(
        "diabetes, linear, SGD",
        load=partial(data.table, "diabetes"),
        build=partial(nets.linear, 10, 1),
        optimizer=SGD,
        loss=mse,
    ),
    Task(
        "iris, MLP with BatchNorm, AdamW",
        load=partial(data.table, "iris"),
        build=partial(nets.mlp, 4, 3, norm=True),
        optimizer=ADAMW,
    ),
    Task("characters, GRU, RMSprop", load=partial(sequences.characters, "calendar"), build=nets.GRU, optimizer=RMSPROP),
    Task(
        "characters, transformer, AdamW",
        load=partial(sequences.characters, "zipfile"),
        build=nets.Transformer,
        optimizer=ADAMW,
    ),
    Task(
        "reversed letters, transformer, Adam",
        load=sequences.reverse,
        build=partial(nets.Transformer, 8, causal=False, norm_first=False),
        optimizer=ADAM,
    ),
    Task("shapes, CNN, Adam", load=pictures.shapes, build=partial(nets.cnn, 4, size=12), optimizer=ADAM),
    Task(
        "shapes, autoencoder with BatchNorm, AdamW",
        load=pictures.noisy_shapes,
        build=partial(nets.autoencoder, 144, 16, norm=True),
        optimizer=ADAMW,
        loss=mse,
    ),
    Task("waves, GRU, momentum", load=sequences.waves, build=partial(nets.GRU, 1, 1), optimizer=MOMENTUM, loss=mse),
    Task("parity, MLP, SGD (plateau)", load=data.parity, build=partial(nets.mlp, 8, 2), optimizer=SGD),
    Task("moons, MLP, momentum", load=data.moons, build=partial(nets.mlp, 2, 2), optimizer=MOMENTUM),
    Task(
        "patches, autoencoder, momentum",
        load=pictures.patches,
        build=partial(nets.autoencoder, 64),
        optimizer=MOMENTUM,
        loss=mse,
    ),
    Task(
        "funnel, MLP, SGD (negative loss)",
        load=data.funnel,
        build=partial(nets.mlp, 1, 2, act=nn.Tanh),
        optimizer=SGD,
        loss=gaussian,
    ),
)
