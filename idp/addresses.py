"""Network addresses, as far as they stand for somebody."""

from ipaddress import IPv4Address, ip_address, ip_network


def neighbourhood(address: str) -> str:
    """What counts as one address: of IPv6 the /64, since whoever has one address there has all of them."""
    try:
        found = ip_address(address)
    except ValueError:  # a Unix socket, or a proxy that says something else
        return address[:64]
    if isinstance(found, IPv4Address):
        return address
    return str(found.ipv4_mapped or ip_network((found, 64), strict=False))


def network(address: str) -> str:
    """What counts as one network: of IPv4 the /24, of IPv6 the /48, which one site or one carrier's gateway has."""
    try:
        found = ip_address(address)
    except ValueError:
        return address[:64]
    if not isinstance(found, IPv4Address):
        found = found.ipv4_mapped or found
    return str(ip_network((found, 24 if found.version == 4 else 48), strict=False))
