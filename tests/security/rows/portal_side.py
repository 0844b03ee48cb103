"""The rows of the portals' side: see the package."""

ROWS: dict[str, str] = {
    "AZ-01": "no client_id",
    "AZ-04": "redirect_uri that is not registered",
    "AZ-09": "no response_type",
}

PROVED_BY: dict[str, tuple[str, ...]] = {}

NOT_APPLICABLE: dict[str, str] = {}
