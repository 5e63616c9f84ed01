"""The site of the documentation: pages from ``docs/``, a reference read from the code, figures read from results.

``site`` builds it; ``figures`` fills measured numbers in; ``reference`` writes the pages about commands, messages, the
HTTP API and errors. Nothing of it is committed, so nothing of it can be out of date.
"""
