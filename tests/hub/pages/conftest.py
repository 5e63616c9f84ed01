import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from acclimate_hub.store.database import Database
from tests.hub.pages.scene import Scene

Template = tuple[Path, dict[str, str]]


@pytest.fixture(scope="session")
def templates(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    """Two databases, each with its tokens: one with a settled fleet, one with none."""
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for name in ("empty", "settled"):
        path = folder / f"{name}.db"
        shutil.copy(migrated_sqlite, path)
        database = Database.open(f"sqlite:///{path}")
        scene = Scene(database)
        if name == "settled":
            scene.settle()
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        database.close()
        found[name] = path, scene.tokens
    return found


def _opened(template: Template, folder: Path) -> Iterator[Scene]:
    path, tokens = template
    shutil.copy(path, folder / "hub.db")
    database = Database.open(f"sqlite:///{folder}/hub.db")
    yield Scene(database, dict(tokens))
    database.close()


@pytest.fixture
def scene(templates: dict[str, Template], tmp_path: Path) -> Iterator[Scene]:
    """A scene in which nothing has happened yet."""
    yield from _opened(templates["empty"], tmp_path)


@pytest.fixture
def settled(templates: dict[str, Template], tmp_path: Path) -> Iterator[Scene]:
    """A scene with a fleet and releases."""
    yield from _opened(templates["settled"], tmp_path)


@pytest.fixture
def lively(settled: Scene) -> Scene:
    """A settled scene with a rollout in its first wave."""
    settled.start(rounds=3)
    return settled
