"""The rows of the wallets' side: see the package."""

ROWS: dict[str, str] = {}

PROVED_BY: dict[str, tuple[str, ...]] = {}

NOT_APPLICABLE: dict[str, str] = {}
