"""The whole deployment on this machine: nginx with TLS, two nodes, a worker, PostgreSQL with a standby, and Redis with
a replica and Sentinels; sign-ins that go on through it; and each process that can be lost.

`python -m tests.topology` loses some of them, `--long` each, `--upgrade` migrates under load.
"""
