"""Tests, one folder a package, one file a module; ``system`` drives the parts together."""
