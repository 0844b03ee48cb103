"""What one operation costs a provider, in multiples of one bare signature check: ours, its peers and the floors.

    python -m tests.bench.v [--peers DIRECTORY] [--growth] [--quick]

Everybody is served by real processes on loopback, on one PostgreSQL that syncs every commit and one Redis, and is
measured in turns within one run: `candidates` starts them, `driving` sends, `tally` counts, `rounds` takes turns,
`running` puts it together and fills tables, `section` says it.

V is the processor time of one P-256 signature check by OpenSSL, measured before and after each turn. What a provider's
own processes use for an operation, divided by it, is a figure that another machine can be compared with.
"""
