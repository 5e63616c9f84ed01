"""The hub's pages for people: rendered on the server, readable without a script, kept fresh with one.

``app`` has the handlers and mounts them; ``sessions`` and ``security`` say who may see what and what a browser is told;
``views`` is the seam to the rollouts; ``fleet``, ``device``, ``releases`` and ``rollouts`` gather what one page shows;
``svg`` and ``graph`` draw; ``render`` turns templates into answers. Style, script and icon are in ``static``, written
for these pages; nothing comes from elsewhere.
"""

from acclimate_hub.pages.app import PREFIX, mount
from acclimate_hub.pages.views import Desk, Desks, ServiceDesk, in_memory

__all__ = ["PREFIX", "Desk", "Desks", "ServiceDesk", "in_memory", "mount"]
