"""The tasks that nobody looked at before all rules and thresholds were fixed."""

from functools import partial

from torch import nn
from torch.nn import functional

from benchmarks.lr_suggestions import data, nets, pictures, sequences
from benchmarks.lr_suggestions.tasks import ADAM, ADAMW, MOMENTUM, RMSPROP, SGD, Task, gaussian, mse

TASKS: tuple[Task, ...] = (
    Task("turned digits, CNN, Adam", load=pictures.turned_digits, build=partial(nets.cnn, 4), optimizer=ADAM),
    Task(
        "sums of digits, MLP, momentum",
        load=pictures.sums_of_digits,
        build=partial(nets.mlp, 128, 19, width=64),
        optimizer=MOMENTUM,
    ),
    Task("odd digits, linear, SGD", load=pictures.odd_digits, build=partial(nets.linear, 64, 2), optimizer=SGD),
    Task(
        "numbers of digits, CNN with BatchNorm, RMSprop",
        load=pictures.numbers_of_digits,
        build=partial(nets.cnn, 1, norm=True),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task(
        "halves of digits, MLP, AdamW",
        load=pictures.halves_of_digits,
        build=partial(nets.mlp, 32, 32, act=nn.GELU),
        optimizer=ADAMW,
        loss=mse,
    ),
    Task(
        "noisy digits, autoencoder, momentum",
        load=pictures.noisy_digits,
        build=partial(nets.autoencoder, 64, 16),
        optimizer=MOMENTUM,
        loss=mse,
    ),
    Task(
        "columns of digits, transformer, AdamW",
        load=pictures.columns_of_digits,
        build=partial(nets.Transformer, 8, causal=False, inputs=8, outputs=10, each=False),
        optimizer=ADAMW,
    ),
    Task(
        "alcohol, MLP, SGD",
        load=data.alcohol,
        build=partial(nets.mlp, 12, 1, width=32, act=nn.Tanh),
        optimizer=SGD,
        loss=mse,
    ),
    Task(
        "severe diabetes, MLP with BatchNorm, Adam",
        load=data.severe,
        build=partial(nets.mlp, 10, 2, width=24, norm=True),
        optimizer=ADAM,
    ),
    Task(
        "classes, MLP, momentum",
        load=data.classes,
        build=partial(nets.mlp, 20, 4, width=64, act=nn.GELU),
        optimizer=MOMENTUM,
    ),
    Task(
        "mislabelled classes, MLP, AdamW",
        load=partial(data.classes, mislabelled=0.3),
        build=partial(nets.mlp, 20, 4, width=64),
        optimizer=ADAMW,
    ),
    Task("raw blobs, linear, Adam", load=data.blobs, build=partial(nets.linear, 5, 6), optimizer=ADAM),
    Task("plane, linear, momentum", load=data.plane, build=partial(nets.linear, 20, 1), optimizer=MOMENTUM, loss=mse),
    Task(
        "raw Friedman 2, residual MLP, RMSprop",
        load=data.friedman2,
        build=partial(nets.residual_mlp, 4, 1),
        optimizer=RMSPROP,
        loss=mse,
    ),
    Task(
        "raw topics, MLP, RMSprop",
        load=data.topics,
        build=partial(nets.mlp, 30, 5, width=32),
        optimizer=RMSPROP,
        loss=functional.binary_cross_entropy_with_logits,
    ),
    Task("curve, residual MLP, SGD", load=data.curve, build=partial(nets.residual_mlp, 3, 1), optimizer=SGD, loss=mse),
    Task("shells, deep MLP, Adam", load=data.shells, build=partial(nets.deep_mlp, 4, 3, act=nn.Tanh), optimizer=ADAM),
    Task(
        "pendulum, MLP, AdamW (negative loss)",
        load=data.pendulum,
        build=partial(nets.mlp, 2, 2, act=nn.Tanh),
        optimizer=ADAMW,
        loss=gaussian,
    ),
    Task("two photographs, CNN, SGD", load=pictures.two_photos, build=partial(nets.cnn, 2, channels=3), optimizer=SGD),
    Task(
        "coloured patches, autoencoder, AdamW",
        load=pictures.coloured_patches,
        build=partial(nets.autoencoder, 108, 12),
        optimizer=ADAMW,
        loss=mse,
    ),
    Task("dots, CNN, RMSprop", load=pictures.dots, build=partial(nets.cnn, 4, size=12), optimizer=RMSPROP),
    Task(
        "gratings, residual CNN with BatchNorm, momentum",
        load=pictures.gratings,
        build=partial(nets.residual_cnn, 6),
        optimizer=MOMENTUM,
    ),
    Task(
        "masks of shapes, CNN, AdamW",
        load=pictures.masks_of_shapes,
        build=nets.image_to_image,
        optimizer=ADAMW,
        loss=functional.binary_cross_entropy_with_logits,
    ),
    Task(
        "kinds of words, GRU, RMSprop",
        load=sequences.kinds_of_words,
        build=partial(nets.GRU, outputs=5, width=32, each=False),
        optimizer=RMSPROP,
    ),
    Task("kinds of tokens, GRU, SGD", load=sequences.kinds_of_tokens, build=nets.GRU, optimizer=SGD),
    Task(
        "modules of lines, transformer, Adam",
        load=sequences.modules_of_lines,
        build=partial(nets.Transformer, 24, causal=False, outputs=4, each=False),
        optimizer=ADAM,
    ),
    Task(
        "characters, transformer fine-tuned from code to prose, momentum",
        load=sequences.prose,
        before=partial(sequences.characters, "configparser"),
        build=nets.Transformer,
        optimizer=MOMENTUM,
    ),
    Task(
        "signals, CNN with BatchNorm, SGD",
        load=sequences.signals,
        build=partial(nets.signal_cnn, 4),
        optimizer=SGD,
    ),
    Task(
        "swings, GRU of two layers, Adam",
        load=sequences.swings,
        build=partial(nets.GRU, 1, 1, width=16, layers=2),
        optimizer=ADAM,
        loss=mse,
    ),
    Task(
        "first letters, GRU, RMSprop (plateau)",
        load=sequences.first_letters,
        build=partial(nets.GRU, outputs=8, each=False),
        optimizer=RMSPROP,
    ),
)
