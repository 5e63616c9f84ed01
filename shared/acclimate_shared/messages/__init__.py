"""What may travel between device and hub: a closed set of typed messages, their envelope and their topics.

``topics`` builds and parses the tree; ``up`` is what a device may say, ``down`` what a hub may say; ``envelope`` turns
both into bytes and refuses everything else; ``fields`` has the kinds of value, ``limits`` every bound. A new message
is a struct in ``up`` or ``down``, named in the union of its topic; the tests then hold it to every law.

Deliberately absent: chunks of bundles and signed metadata, which are bytes with a digest, not messages; any field for a
feature value; fields that a reader does not know, since they could be one.
"""
