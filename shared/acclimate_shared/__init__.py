"""What the device, the hub and the tools must agree on: packages of learners, the normaliser, errors.

Nothing is re-exported: import a name from the module that owns it.
"""

__version__ = "0.1.0"
