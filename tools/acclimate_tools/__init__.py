"""Authoring of learners (the only place for torch), benchmarks and checks of this repository."""
