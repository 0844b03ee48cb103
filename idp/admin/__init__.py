"""What an admin may do, apart from how it looks: portals and trust, applied from files or, later, a console."""
