"""Authoring: from torch code to learner packages. torch lives here and nowhere else."""
