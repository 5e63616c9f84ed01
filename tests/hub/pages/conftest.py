import pytest

from acclimate_hub.store.database import Database
from tests.hub.pages.scene import Scene


@pytest.fixture
def scene(sqlite: Database) -> Scene:
    return Scene(sqlite)


@pytest.fixture
def lively(scene: Scene) -> Scene:
    """A scene with a fleet and a rollout in its first wave."""
    scene.settle()
    scene.start(rounds=3)
    return scene
