"""The offline side of releases: keys that never leave the author, and what they sign."""
