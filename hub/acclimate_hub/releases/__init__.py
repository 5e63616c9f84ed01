"""Releases on the hub's side: signed metadata, blobs by digest, versions and aliases with history.

Nothing is re-exported: import a name from the module that owns it.
"""
