"""What happens to sign-ins while parts of the deployment fail. `python -m tests.faults R5` runs one figure.

A house of several processes (`house`), people who sign in at it without giving up (`crowd`), what they were told
(`ledger`), and one module for each kind of fault. docs/reliability.md has the figures.
"""
