"""How a released bundle reaches a device: signed metadata, then chunks, each verified before it is stored.

``update.receive`` is the whole way, over any source and transport; ``step`` runs the verification of metadata in a
short-lived process (``verify``), so that the agent never loads python-tuf.
"""
