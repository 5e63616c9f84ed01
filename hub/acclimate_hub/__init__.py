"""The server of a fleet: enrols devices, takes what they report, answers who runs what. One device learns without it.

The order of things: ``store`` keeps rows, ``identity`` says who may speak, ``ingest`` turns messages into rows,
``broker`` carries them, ``api`` and ``cli`` are for people and programs.
"""
