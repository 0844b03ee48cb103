"""What single servers are asked elsewhere, asked of several: the Store's contract, many at once, a whole sign-in.

On Redis behind Sentinels, on a Redis Cluster, through PgBouncer; and with servers lost. `pytest tests/engines`, not
part of the usual run.
"""
