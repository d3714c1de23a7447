"""Still more tasks that rules and thresholds were developed on; held out until they had been looked at."""

from functools import partial

from torch import nn
from torch.nn import functional

from benchmarks.lr_suggestions import data, nets, pictures, sequences
from benchmarks.lr_suggestions.tasks import ADAM, ADAMW, MOMENTUM, RMSPROP, SGD, Task, gaussian, mse

TASKS: tuple[Task, ...] = (
    Task("rows of digits, GRU, Adam", load=pictures.rows_of_digits, build=partial(nets.GRU, 8, 10), optimizer=ADAM),
    Task(
        "rows of digits, GRU, momentum",
        load=pictures.rows_of_digits,
        build=partial(nets.GRU, 8, 10),
        optimizer=MOMENTUM,
    ),
    Task("mislabelled digits, MLP, Adam", load=pictures.mislabelled, build=partial(nets.mlp, 64, 10), optimizer=ADAM),
    Task(
        "mislabelled digits, CNN, momentum", load=pictures.mislabelled, build=partial(nets.cnn, 10), optimizer=MOMENTUM
    ),
    Task(
        "bits of digits, MLP, momentum",
        load=pictures.bits_of_digits,
        build=partial(nets.mlp, 64, 4),
        optimizer=MOMENTUM,
        loss=functional.binary_cross_entropy_with_logits,
    ),
    Task(
        "digits, CNN fine-tuned to other digits, momentum",
        load=partial(pictures.digits, keep=range(3, 10)),
        before=partial(pictures.digits, keep=range(5)),
        build=partial(nets.cnn, 10),
        optimizer=MOMENTUM,
    ),
    Task("digits, deep MLP, AdamW", load=pictures.digits, build=partial(nets.deep_mlp, 64, 10), optimizer=ADAMW),
    Task("rings, MLP, RMSprop", load=data.rings, build=partial(nets.mlp, 2, 3), optimizer=RMSPROP),
    Task("rings, MLP with BatchNorm, SGD", load=data.rings, build=partial(nets.mlp, 2, 3, norm=True), optimizer=SGD),
    Task("board, MLP, AdamW (plateau)", load=data.board, build=partial(nets.mlp, 2, 2), optimizer=ADAMW),
    Task(
        "raw Friedman 3, MLP with BatchNorm, Adam",
        load=data.friedman3,
        build=partial(nets.mlp, 4, 1, norm=True),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "raw Friedman 3, MLP, RMSprop", load=data.friedman3, build=partial(nets.mlp, 4, 1), optimizer=RMSPROP, loss=mse
    ),
    Task("iris, linear, Adam", load=partial(data.table, "iris"), build=partial(nets.linear, 4, 3), optimizer=ADAM),
    Task(
        "raw wine, MLP with BatchNorm, SGD",
        load=partial(data.table, "wine", raw=True),
        build=partial(nets.mlp, 13, 3, norm=True),
        optimizer=SGD,
    ),
    Task(
        "cancer, MLP, RMSprop",
        load=partial(data.table, "breast_cancer"),
        build=partial(nets.mlp, 30, 2),
        optimizer=RMSPROP,
    ),
    Task(
        "diabetes by absolute error, MLP, Adam",
        load=partial(data.table, "diabetes"),
        build=partial(nets.mlp, 10, 1),
        optimizer=ADAM,
        loss=functional.l1_loss,
    ),
    Task(
        "raw diabetes, linear, Adam",
        load=partial(data.table, "diabetes", raw=True, raw_targets=True),
        build=partial(nets.linear, 10, 1),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "photograph, deep MLP, RMSprop",
        load=pictures.photo,
        build=partial(nets.deep_mlp, 32, 3),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task(
        "patches, autoencoder, SGD", load=pictures.patches, build=partial(nets.autoencoder, 64), optimizer=SGD, loss=mse
    ),
    Task("characters, MLP, SGD", load=partial(sequences.characters, "ast"), build=nets.embedding_mlp, optimizer=SGD),
    Task(
        "characters, transformer, RMSprop",
        load=partial(sequences.characters, "fractions"),
        build=nets.Transformer,
        optimizer=RMSPROP,
    ),
    Task("characters, GRU, AdamW", load=partial(sequences.characters, "shlex"), build=nets.GRU, optimizer=ADAMW),
    Task(
        "shapes, CNN with BatchNorm, momentum",
        load=pictures.shapes,
        build=partial(nets.cnn, 4, size=12, norm=True),
        optimizer=MOMENTUM,
    ),
    Task(
        "shapes, autoencoder, Adam",
        load=pictures.noisy_shapes,
        build=partial(nets.autoencoder, 144, 16),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "waves, MLP with BatchNorm, momentum",
        load=sequences.windows,
        build=partial(nets.mlp, 24, 1, norm=True),
        optimizer=MOMENTUM,
        loss=mse,
    ),
    Task("waves, GRU, SGD", load=sequences.waves, build=partial(nets.GRU, 1, 1), optimizer=SGD, loss=mse),
    Task(
        "reversed letters, transformer, AdamW",
        load=sequences.reverse,
        build=partial(nets.Transformer, 8, causal=False),
        optimizer=ADAMW,
    ),
    Task(
        "adding, GRU, RMSprop (plateau)",
        load=sequences.adding,
        build=partial(nets.GRU, 2, 1),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task(
        "funnel, MLP with BatchNorm, Adam (negative loss)",
        load=data.funnel,
        build=partial(nets.mlp, 1, 2, norm=True, act=nn.Tanh),
        optimizer=ADAM,
        loss=gaussian,
    ),
    Task(
        "patches, deep MLP, momentum",
        load=pictures.patches,
        build=partial(nets.deep_mlp, 64, 64),
        optimizer=MOMENTUM,
        loss=mse,
    ),
)
