"""The standard learners, written in torch; ``python -m acclimate_tools.learners.build`` makes the shipped packages."""
