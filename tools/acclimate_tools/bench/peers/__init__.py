"""What a user would pick instead, measured on the same rows by one protocol.

``python -m acclimate_tools.bench.compare`` runs it. In the order of the data: ``prepare`` turns a CSV into a recording
(``recording``) that every peer reads; ``catalogue`` lists the peers, ``venvs`` installs each in a virtual environment
of its own; ``cell`` is the process that runs one peer over one recording by ``protocol``, through the adapter of its
family (``river_models`` and its like); ``cells`` starts these processes, ``scores`` judges their answers, ``results``
puts them together, ``words``, ``page`` and ``document`` tell what was found.

What runs inside a peer's environment (``cell``, ``protocol``, ``recording``, ``scaling`` and the adapters) needs numpy
and the peer, nothing of ours.
"""
