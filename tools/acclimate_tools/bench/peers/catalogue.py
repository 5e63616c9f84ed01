"""Which peers are measured, what each is made of, and the versions that are installed for it."""

from dataclasses import dataclass
from typing import Literal

from acclimate_tools.bench.peers.recording import Task

BOTH: tuple[Task, ...] = ("classification", "regression")
CLASSES: tuple[Task, ...] = ("classification",)
VALUES: tuple[Task, ...] = ("regression",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What is installed together.

    Attributes:
        name: of the family, and of its virtual environment.
        adapter: module of this package.
        packages: what is installed, with versions; none for our own, which is installed from this repository.
        shown: the package whose version is told beside the name.
        java: whether it needs a Java runtime.
        brings_numpy: whether it depends on numpy; the others get it for the protocol, outside of what is measured.
    """

    name: str
    adapter: str
    packages: tuple[str, ...]
    shown: str
    java: bool = False
    brings_numpy: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One peer.

    Attributes:
        name: unique, as the tables tell it; ``titles`` where a regression has another model.
        family: name of its family.
        model: what its adapter calls it.
        tasks: what it is measured on.
        regression: what it is called on a regression, if that differs.
        last_label: whether it is also given the label that had arrived last, as one more input.
    """

    name: str
    family: Literal["acclimate", "river", "capymoa", "scikit-learn", "vowpal-wabbit", "torch"]
    model: str
    tasks: tuple[Task, ...] = BOTH
    regression: str = ""
    last_label: bool = False

    def title(self, task: Task) -> str:
        """Return its name in the tables."""
        return self.regression if task == "regression" and self.regression else self.name


OURS = "acclimate"

FAMILIES = {
    family.name: family
    for family in (
        Family(name=OURS, adapter="acclimate_models", packages=(), shown="acclimate"),
        Family(name="river", adapter="river_models", packages=("river==0.26.1",), shown="river"),
        Family(name="capymoa", adapter="moa_models", packages=("capymoa==0.15.1",), shown="capymoa", java=True),
        Family(name="scikit-learn", adapter="sklearn_models", packages=("scikit-learn==1.9.1",), shown="scikit-learn"),
        Family(
            name="vowpal-wabbit",
            adapter="vw_models",
            packages=("vowpalwabbit==9.11.9",),
            shown="vowpalwabbit",
            brings_numpy=False,
        ),
        Family(name="torch", adapter="torch_models", packages=("torch==2.13.0", "numpy==2.4.6"), shown="torch"),
    )
}

ENTRIES = (
    Entry(name="Acclimate continual", family="acclimate", model="continual"),
    Entry(name="Acclimate superiority", family="acclimate", model="superiority"),
    Entry(name="Acclimate mlp alone", family="acclimate", model="mlp"),
    Entry(name="River LogisticRegression", family="river", model="linear", regression="River LinearRegression"),
    Entry(
        name="River LogisticRegression + last label",
        family="river",
        model="linear",
        regression="River LinearRegression + last label",
        last_label=True,
    ),
    Entry(name="River HAT", family="river", model="hat"),
    Entry(name="River ARF(10)", family="river", model="arf"),
    Entry(name="River SRP(10)", family="river", model="srp"),
    Entry(name="MOA HoeffdingTree", family="capymoa", model="ht", regression="MOA FIMT-DD"),
    Entry(name="MOA ARF(10)", family="capymoa", model="arf"),
    Entry(name="MOA ARF(10) + last label", family="capymoa", model="arf", last_label=True),
    Entry(name="MOA SRP(10)", family="capymoa", model="srp", tasks=CLASSES),
    Entry(name="MOA LeveragingBag(10)", family="capymoa", model="levbag", tasks=CLASSES),
    Entry(name="MOA SAMkNN", family="capymoa", model="knn", regression="MOA kNN"),
    Entry(name="MOA SOKNL(10)", family="capymoa", model="soknl", tasks=VALUES),
    Entry(name="MOA SGBR", family="capymoa", model="sgbr", tasks=VALUES),
    Entry(name="sklearn SGD, each event", family="scikit-learn", model="sgd-1"),
    Entry(name="sklearn SGD, by 32", family="scikit-learn", model="sgd-32"),
    Entry(name="sklearn SGD, by 512", family="scikit-learn", model="sgd-512"),
    Entry(name="sklearn MLP, each event", family="scikit-learn", model="mlp-1"),
    Entry(name="sklearn MLP, by 32", family="scikit-learn", model="mlp-32"),
    Entry(name="sklearn MLP, by 512", family="scikit-learn", model="mlp-512"),
    Entry(name="VW linear", family="vowpal-wabbit", model="linear"),
    Entry(name="VW quadratic", family="vowpal-wabbit", model="quadratic"),
    Entry(name="VW network(20)", family="vowpal-wabbit", model="nn"),
    Entry(name="VW network(20) + last label", family="vowpal-wabbit", model="nn", last_label=True),
    Entry(name="torch MLP, each event", family="torch", model="mlp-1"),
    Entry(name="torch MLP, by 32", family="torch", model="mlp-32"),
)


def slug(name: str) -> str:
    """Return a name that a folder can have.

    Example:
        >>> slug("sklearn SGD, by 32")
        'sklearn-sgd-by-32'
    """
    return "-".join("".join(c if c.isalnum() else " " for c in name.lower()).split())
