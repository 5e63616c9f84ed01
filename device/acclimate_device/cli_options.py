"""Options that several commands have."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acclimate_device.cli_contest import names_of
from acclimate_shared.errors import UsageError

if TYPE_CHECKING:  # what a command needs is loaded when it runs
    from acclimate_device.local.broker import Broker


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

keeping_options = _options(
    click.option(
        "--admission",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="What each source of labels may do (TOML: weight, per_minute, share, trusted).",
    ),
    click.option(
        "--retention",
        type=click.Choice(["journal", "none"]),
        default="journal",
        show_default=True,
        help="Keep rows of data, encrypted, until a checkpoint holds what they taught; or never.",
    ),
    click.option(
        "--profile",
        type=click.Choice(["default", "thrifty"]),
        default="default",
        show_default=True,
        help="Lose no label; or spare the disk, see `acclimate status`.",
    ),
)


broker_options = _options(
    click.option(
        "--broker",
        metavar="HOST:PORT",
        help="MQTT broker on this device whose topics other programs use, such as 127.0.0.1:1883.",
    ),
    click.option(
        "--broker-prefix",
        "prefix",
        metavar="PREFIX",
        default="acclimate",
        show_default=True,
        help="Of the agent's own topics there; one agent a prefix.",
    ),
    click.option(
        "--broker-login",
        "login",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="File with USER:PASSWORD for the broker.",
    ),
    click.option(
        "--broker-ca",
        "ca",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Certificates that the broker's own must follow from; default: no TLS.",
    ),
    click.option("--broker-remote", "remote", is_flag=True, help="Allow a broker on another machine, with TLS."),
)


def broker_of(options: dict[str, Any]) -> "Broker | None":
    """Return the broker that the options of a command name, None for none; they are taken out of ``options``.

    Raises:
        UsageError: see ``local.broker.broker_at``; or there are options about a broker that is not named.
    """
    from acclimate_device.local.broker import broker_at

    place, found = options.pop("broker"), {name: options.pop(name) for name in ("prefix", "login", "ca", "remote")}
    if place is not None:
        return broker_at(place, **found)
    given = [name for name in ("login", "ca", "remote") if found[name]]
    if given:
        raise UsageError("which broker?", field=f"broker-{given[0]}", remedy="add --broker HOST:PORT")
    return None


def learning_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of ``Learning`` that the options of a command say; they are taken out of ``options``."""
    from acclimate_device.durability import Durability

    found = {name: options.pop(name) for name in _PLAIN if name in options}
    found |= {name: names_of(options.pop(name)) or None for name in ("learners", "challengers")}
    return {**found, "durability": Durability(retention=options.pop("retention"), profile=options.pop("profile"))}


_PLAIN = (
    *("task", "state", "key", "micro_batch", "seed", "policy", "commission", "plan", "triggers"),
    *("scratch", "variants", "admission", "outside"),
)
