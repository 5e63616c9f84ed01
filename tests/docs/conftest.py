"""The browser and the lively hub of the pages' own tests, for the pictures."""

from tests.hub.conftest import migrated_sqlite
from tests.hub.pages.conftest import lively, settled, templates
from tests.hub.pages.test_browser import chromium, serve, visit

__all__ = ["chromium", "lively", "migrated_sqlite", "serve", "settled", "templates", "visit"]
