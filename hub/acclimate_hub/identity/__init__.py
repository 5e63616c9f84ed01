"""Who may speak: the authority that signs certificates, tokens, and the rules of enrolment.

``authority`` is pure: keys, certificates and revocation lists from bytes. ``tokens`` makes secrets that are kept only
as hashes. ``enrolment`` decides, in one transaction with its entry in the audit log. ``rates`` slows down who guesses;
``broker_config`` writes what a broker needs to enforce all this.
"""
