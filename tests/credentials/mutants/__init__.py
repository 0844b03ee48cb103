"""Mutants: valid presentations in which one rule is broken, by the thousand. None may be accepted.

    python -m tests.credentials.mutants --count 100000

A mutant is made from a valid presentation by one of two ways:

- **blind**: bytes or parts of the presentation are changed, moved, repeated, left out or taken from another
  presentation, and nothing is signed again;
- **aimed**: one rule is broken on purpose, and whatever lies above it is signed again with the right key, so that
  nothing but this rule stands in its way.

Of each it is asserted that it is refused, that nothing but CredentialRejected is raised, and that it costs less than
MAX_S and MAX_BYTES. A blind mutant may be accepted only where it *says the same*: `Species.says_the_same`, whose
docstrings define exactly what that is.

A run's seed decides what is changed where; keys, certificates and signatures are new in each. A report therefore has
whatever failed in full.
"""
