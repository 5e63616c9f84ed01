"""A first release, made as its author makes it: keys, a bundle, signatures, and what the hub needs of them.

For demonstrations and simulations on one machine, where author and hub are one; all keys lie in one folder. The parts
of Acclimate that the hub may not import are run as the commands that a person would type.
"""

import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from acclimate_hub.hub import Hub
from acclimate_hub.releases.author_files import read_fleet
from acclimate_hub.releases.record import note
from acclimate_shared.errors import LinkError, UsageError
from acclimate_shared.release import Listed

BASE = "rls-classification"  # a learner that ships with the agent, in the part of the new base model
ROOT = Path("fleet") / "metadata" / "1.root.json"  # of trust, below the folder
CONTEST = """metric = "wrong answers"\nloss = "zero_one"\nmde = 0.02\nequivalence = 0.01\nn_max = 20000
changed_by = ["owner"]\n[block]\nrule = "backtest"\n"""
MOST_WORDS = 500  # characters of what a failed command said


def released(hub: Hub, tenant: str, folder: Path, actor: str) -> Listed:
    """Sign and publish a base model; return what is signed about it.

    Args:
        hub: that serves it.
        tenant: whose.
        folder: of the hub's data, where the author's things go too.
        actor: for the audit log.

    Raises:
        UsageError: a part of Acclimate is not installed.
        LinkError: a command failed.
    """
    phrase, keys, fleet = folder / "passphrase", folder / "author-keys", folder / "fleet"
    phrase.touch(mode=0o600)
    phrase.write_text(secrets.token_hex(16))
    unlock = ["--passphrase-file", str(phrase)]
    roots = [str(keys / f"root-{at}") for at in (1, 2, 3)]
    for key in (*roots, str(keys / "targets")):
        _author("keys", "new", key, *unlock)
    shelf = hub.shelf(tenant, folder)
    words = [word for root in roots for word in ("--root", f"{root}.pub.json")]
    words += ["--targets", f"{keys / 'targets'}.pub.json"]
    words += [w for role in ("snapshot", "timestamp") for w in (f"--{role}", str(shelf.keys / f"{role}.pub.json"))]
    _author("release", "init", str(fleet), *words)
    for key in (*roots[:2], str(keys / "targets")):
        _author("release", "sign", str(fleet), "--key", f"{key}.pem", *unlock)
    _author("release", "add", str(fleet), str(_bundle(folder)))
    _author("release", "sign", str(fleet), "--key", f"{keys / 'targets'}.pem", *unlock)
    listed = shelf.publish(*read_fleet(fleet))
    note(hub, tenant, listed, actor=actor)
    return listed[0]


def _bundle(folder: Path) -> Path:
    plan, rows, out = folder / "contest.toml", folder / "sanity.csv", folder / "second.bundle"
    plan.write_text(CONTEST)
    rows.write_text("a,b,c\n" + "".join(f"{at},{at % 3},{-at / 7:.3f}\n" for at in range(16)))
    package = str(installed("acclimate_device") / "learners" / BASE)
    _author("bundle", package, "--plan", str(plan), "--rows", str(rows), "--dim", "classes=2", "--dim", "fourier=60",
            "--dim", "phi=64", "--memory", "16", "--out", str(out))  # fmt: skip
    return out


def _author(*words: str) -> None:
    command("acclimate_tools.author.cli", words)


def installed(package: str) -> Path:
    """Return the folder of a package that is installed beside the hub.

    Raises:
        UsageError: it is not.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise UsageError("a part of Acclimate is missing", field="install", value=package, remedy="install it whole")
    return Path(found.submodule_search_locations[0])


def environment() -> dict[str, str]:
    """Return our own environment: where this process finds its modules, another one must."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1"}


def command(module: str, words: Sequence[str]) -> None:
    """Run a command of Acclimate in a process of its own.

    Raises:
        LinkError: it failed; with what it said.
    """
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *words], env=environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LinkError(f"{words[0]} failed: {done.stderr.strip()[-MOST_WORDS:]}", field="command", value=module)
