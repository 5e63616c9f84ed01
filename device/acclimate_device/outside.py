"""All candidates from outside, as columns after the live ones.

While such a candidate is *remote*, its column is filled by its process, in the shadow, whenever the answers come. It
may win a test, but not serve: it goes on probation, and after enough commits without incident its state moves into the
agent. From then on it is a candidate like others: its state is part of the moment, it answers and learns in-process.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from acclimate_device.executor import Learner
from acclimate_device.outsider import Origin, Outsider, sizes
from acclimate_device.procedures import DEFAULT_DIMS
from acclimate_device.rebase import rebased
from acclimate_device.sandbox import Confinement
from acclimate_device.states import State, init_state
from acclimate_shared.errors import UsageError
from acclimate_shared.learner import LearnerPackage, load_package
from acclimate_shared.manifest import Manifest

Array = npt.NDArray[Any]
States = Mapping[str, State]
logger = logging.getLogger(__name__)

PREFIX = "outside-"
BASE = "base-"


def _nobody_asks(_name: str) -> None:
    return


@dataclass(frozen=True, slots=True)
class Base:
    """A base model that came as a released bundle: digest of the bundle, and folder of its package.

    ``on`` is the digest of the base before, whose local learning it takes over, see ``rebase``; "" for the plain one.
    """

    digest: str
    folder: Path
    on: str = ""

    @property
    def name(self) -> str:
        """Id of the candidate."""
        return names_of_base(self.digest)[bool(self.on)]


def name_of_base(digest: str) -> str:
    """Return the id of the candidate that a released bundle becomes."""
    return f"{BASE}{digest[:12]}"


def names_of_base(digest: str) -> tuple[str, str]:
    """Return the ids of both candidates that a released bundle may become: plain, and with local learning."""
    return name_of_base(digest), f"{name_of_base(digest)}-rebased"


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitors:
    """Who comes from outside, and on which terms.

    Attributes:
        folders: of learner packages; a state is tied to them.
        bases: that were released; they come and go, see ``slots``.
        probation: commits without incident between a victory and being let in.
        entering: told the id of a candidate before it runs in the agent's own process for the first time.
        confinement: of each process.
    """

    folders: tuple[Path, ...] = ()
    bases: tuple[Base, ...] = ()
    probation: int = 8
    entering: Callable[[str], None] = _nobody_asks
    confinement: Confinement = field(default_factory=Confinement)

    def joined_by(self, folders: Sequence[Path], bases: Sequence[Base] = ()) -> "Visitors":
        """Return the same with more packages and bases."""
        return replace(self, folders=(*self.folders, *folders), bases=(*self.bases, *bases))

    def facts(self) -> dict[str, list[str]]:
        """Return what a state is tied to: the digests of the packages, not the bases; nothing where there are none.

        Raises:
            PackageError: a package is not valid.
        """
        return {"outside": [load_package(folder).digest for folder in self.folders]} if self.folders else {}


class Outside:
    """The outside candidates of one model."""

    def __init__(self, visitors: Visitors, task: str, layout: Any, *, seed: int, lockstep: bool) -> None:  # noqa: ANN401
        """Verify the packages; no process is started yet.

        Args:
            visitors: who comes.
            task: classification or regression.
            layout: ``committee.Layout``: sizes of the inputs.
            seed: of the first states.
            lockstep: see ``Outsider``.

        Raises:
            PackageError: a package is not valid.
            UsageError: a learner is for another task or other inputs.
        """
        self.visitors, self._layout, self._seed = visitors, layout, seed
        self.all: list[Outsider] = []
        self._inside: dict[str, Learner] = {}
        for at, folder in enumerate(visitors.folders):
            package = load_package(folder)
            taken = {outsider.origin.name for outsider in self.all}
            name = PREFIX + package.manifest.name
            name = f"{name}-{at + 1}" if name in taken else name
            self._add(name, folder, package, task=task, seed=seed, lockstep=lockstep)
        for base in visitors.bases:
            self._add(base.name, base.folder, load_package(base.folder), task=task, seed=seed, lockstep=lockstep)

    def _add(self, name: str, folder: Path, package: LearnerPackage, *, task: str, seed: int, lockstep: bool) -> None:
        manifest = package.manifest
        if manifest.task != task:
            raise UsageError(f"the outside learner is not for {task}", field="task", value=manifest.task)
        dims = self._dims(manifest)
        origin = Origin(name=name, folder=str(folder.resolve()), package=package)
        self.all.append(Outsider(origin, dims, seed, self.visitors.confinement, lockstep=lockstep))

    def _dims(self, manifest: Manifest) -> dict[str, int]:
        layout = self._layout
        return sizes(manifest, layout.width, layout.features, layout.classes, DEFAULT_DIMS)

    @property
    def names(self) -> list[str]:
        """Ids of the candidates, in the order of their columns."""
        return [outsider.origin.name for outsider in self.all]

    def remote(self, name: str) -> bool:
        """Return whether a candidate is one from outside that has not been let in."""
        return name in self.names and name not in self._inside

    def named(self, name: str) -> Outsider:
        """Return a candidate."""
        return self.all[self.names.index(name)]

    def digest(self, name: str) -> str | None:
        """Return the digest of a candidate's package, None for one that is not from outside."""
        return self.named(name).origin.package.digest if name in self.names else None

    # -- answers ------------------------------------------------------------------------------------------------

    def widened(self, answers: Array) -> Array:
        """Return live answers (rows, columns, ...) with columns for the outside, NaN until they are filled."""
        if not self.all:
            return answers
        missing = np.full((len(answers), len(self.all), *answers.shape[2:]), np.nan)
        return np.concatenate([answers, missing], 1)

    def fill(self, everyone: Array, states: States, step: int, x: Array) -> None:
        """Let all answer rows, each into its column.

        Args:
            everyone: (rows, live, ...) float64, from ``widened``.
            states: of the moment.
            step: of the moment.
            x: (rows, width) float64.
        """
        for outsider, into in zip(self.all, self._columns(everyone), strict=True):
            name = outsider.origin.name
            if name in states:
                _put(self.answer(states, x, name), into)
            elif not self._inside.get(name):
                outsider.foresee(step, self._seen(outsider, x), into)

    def catch_up(self) -> None:
        """Give the processes of a live agent a moment to answer; called where learning is about to begin."""
        for outsider in self.all:
            outsider.catch_up()

    def answer(self, states: States, x: Array, name: str) -> Array:
        """Return what a candidate that was let in answers, (rows, classes) or (rows,).

        Raises:
            RuntimeError: it was not.
        """
        learner = self._inside.get(name)
        if learner is None:
            raise RuntimeError("a candidate from outside cannot answer before it is let in")
        out = learner.predict(states[name], self._seen(self.named(name), x))
        missing = self._layout.classes - out.shape[-1] if out.ndim > 1 else 0
        return np.pad(out, ((0, 0), (0, missing))) if missing > 0 else out

    def learn(self, states: States, step: int, rows: tuple[Array, Array, Array], everyone: Array | None) -> States:
        """Let all learn rows; return the next state of those that are inside, by name.

        Args:
            states: before the step.
            step: likewise.
            rows: x (rows, width), y and w (rows,).
            everyone: (rows, live, ...), to be filled with what each answers before learning; None if that is known.
        """
        following: dict[str, State] = {}
        columns = [None] * len(self.all) if everyone is None else self._columns(everyone)
        for outsider, into in zip(self.all, columns, strict=True):
            name, x = outsider.origin.name, self._seen(outsider, rows[0])
            y, w = _known(outsider, rows[1], rows[2])
            learner = self._inside.get(name)
            if learner is None:
                outsider.learn(step, x, y, w, into)
                continue
            following[name], before, _ = learner.update(states[name], x, y, w, learner.hyper())
            if into is not None:
                _put(before, into)
        return following

    def burden(self, states: States, name: str) -> tuple[list[Array], int, int]:
        """Return what a candidate that was let in answers from: numbers, bytes; and its operations."""
        learner, state = self._inside[name], states[name]
        return learner.numbers(state), sum(array.nbytes for array in state.values()), learner.operations(state)

    def grow(self, step: int, classes: int, layout: Any) -> None:  # noqa: ANN401 (as in the constructor)
        """Make room for more classes in the processes."""
        self._layout = layout
        for outsider in self.all:
            if self.remote(outsider.origin.name):
                outsider.grow(step, classes)

    def grown(self, states: States, classes: int) -> States:
        """Return states with room for more classes in those that were let in."""
        out = dict(states)
        for name, learner in self._inside.items():
            if name in out and "classes" in learner.dims(out[name]):
                out[name] = learner.grow(out[name], "classes", classes)
        return out

    def _columns(self, everyone: Array) -> list[Array]:
        first = everyone.shape[1] - len(self.all)
        return [everyone[:, first + at] for at in range(len(self.all))]

    def _seen(self, outsider: Outsider, x: Array) -> Array:
        sees = outsider.manifest.x.shape[1]
        return np.ascontiguousarray(x[:, :sees]) if isinstance(sees, int) else x

    # -- the contest --------------------------------------------------------------------------------------------

    def let_in(self, name: str, step: int) -> State | None:
        """Move the state of a candidate into the agent; None if its process does not give it in time."""
        outsider = self.named(name)
        if outsider.quarantined or not outsider.settle(step):
            return None
        self.visitors.entering(name)
        self._inside[name] = Learner(outsider.origin.package)
        outsider.close()
        return outsider.saved

    def settle(self, step: int) -> None:
        """Take over the states of the processes now, as far as they give them in time."""
        for outsider in self.all:
            if self.remote(outsider.origin.name):
                outsider.settle(step)

    def commit(self, step: int) -> None:
        """Take over the states of the processes, for a restart and for the checkpoint."""
        for outsider in self.all:
            if self.remote(outsider.origin.name):
                outsider.commit(step)

    def close(self) -> None:
        """End all processes."""
        for outsider in self.all:
            outsider.close()

    # -- state --------------------------------------------------------------------------------------------------

    def tensors(self) -> dict[str, Array]:
        """Return the states of the processes as ``name/tensor``."""
        return {
            f"{o.origin.name}/{name}": array
            for o in self.all
            if self.remote(o.origin.name)
            for name, array in o.saved.items()
        }

    def document(self) -> Any:  # noqa: ANN401 (JSON)
        """Return the rest of the state as JSON values."""
        return [
            [o.origin.name, o.quarantined, o.incidents, o.probation, o.origin.name in self._inside] for o in self.all
        ]

    def restore(self, tensors: Mapping[str, Array], document: Sequence[Any]) -> None:
        """Take back what ``tensors`` and ``document`` returned, fitted to who is here; who is new has no entry."""
        for name, quarantined, incidents, probation, inside in document:
            outsider = self.named(name)
            outsider.quarantined, outsider.incidents, outsider.probation = quarantined, incidents, probation
            if inside:
                self._inside[name] = Learner(outsider.origin.package)
            else:
                outsider.saved = {key: tensors[f"{name}/{key}"] for key in outsider.saved}

    def rebase(self, known: Collection[str], states: States) -> None:
        """Let bases that are new here, and to be rebased, start with the local learning of the base before.

        Args:
            known: ids of the candidates that are not new.
            states: of the moment.
        """
        for base in self.visitors.bases:
            before = [name for name in reversed(names_of_base(base.on)) if name in self.names]
            if not base.on or base.name in known or not before:
                continue
            name = next((name for name in before if name in states), before[0])
            old, new = self.named(name), self.named(base.name)
            first = init_state(old.origin.package, self._dims(old.manifest), self._seed)
            start = rebased(new.manifest, new.saved, first, states.get(name, old.saved))
            if start is None:
                logger.warning("%s starts plain: sizes have changed since the base before", base.name)
            else:
                new.saved = start


def _put(out: Array, into: Array) -> None:
    if into.ndim > 1:
        into[:, out.shape[1] :] = 0.0
        into[:, : out.shape[1]] = out
    else:
        into[:] = out


def _known(outsider: Outsider, y: Array, w: Array) -> tuple[Array, Array]:
    """Return labels and weights, those of classes that the learner has no room for with weight 0."""
    seen = next((spec.shape for spec in outsider.manifest.state if spec.name == "class_seen"), ())
    if len(seen) == 1 and isinstance(seen[0], int):
        return np.minimum(y, seen[0] - 1), np.where(y < seen[0], w, np.float32(0.0))
    return y, w
