"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


def _options(*decorators: Callable[..., Any]) -> Callable[..., Any]:
    def apply(command: Callable[..., Any]) -> Callable[..., Any]:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


learning_options = _options(
    click.option("--learners", metavar="A,B", help="Standard learners to use; default: the whole committee."),
    click.option(
        "--policy",
        type=click.Choice(["continual", "superiority"]),
        default="continual",
        show_default=True,
        help="What serves learns on, guarded; or stays frozen until a challenger is proven better.",
    ),
    click.option(
        "--commission",
        type=click.IntRange(0, 1_000_000_000),
        default=2048,
        show_default=True,
        help="Labels that the first champion learns before it is frozen (policy superiority).",
    ),
    click.option(
        "--challengers",
        metavar="A,B",
        help="Candidates to be tested against the champion, or none; default: those that promise something.",
    ),
    click.option(
        "--plan",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Plan of the contest, TOML or JSON; default: see the documentation.",
    ),
    click.option(
        "--variants",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="More members, declared in TOML: learners with other hyper-parameters; the contest judges.",
    ),
    click.option(
        "--scratch",
        type=click.IntRange(0),
        default=0,
        show_default=True,
        metavar="N",
        help="Every N commits, train from scratch on the latest rows; the contest judges. 0: never.",
    ),
    click.option(
        "--challenger-package",
        "outside",
        multiple=True,
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Folder of a learner package that takes part in a process of its own; may be given again.",
    ),
    click.option(
        "--micro-batch",
        type=click.IntRange(1, 1_000_000),
        default=512,
        show_default=True,
        help="Labels between two commits.",
    ),
    click.option(
        "--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="Seed of every generator."
    ),
)


triggers_option = click.option(
    "--triggers",
    metavar="FILE",
    help="When to learn (TOML: time, volume, performance, drift), or the word recommended; default: at once.",
)
