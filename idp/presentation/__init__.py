"""Between a question and its proof: what every way of asking a wallet shares.

- `question`  which credentials a portal's request can be answered with, and what each would have to show
- `proof`     what a verified credential means for a login

It sees both sides of the floor below: what a portal wants (`consent`, `claims`) and what is true (`credentials`). The
neighbours above it speak to wallets, each in a protocol of its own.
"""
