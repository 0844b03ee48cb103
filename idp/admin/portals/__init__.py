"""Portals, as those who run this deployment see and change them.

`files` applies and writes portals.toml, `reading` finds and lists, `changes` is what an administrator does to one,
alone or with a second person, `differences` says what a change changes, `contract` what a portal may know and why.
"""

from idp.admin.portals.files import Applied, apply, carry_out, export, preview

__all__ = ["Applied", "apply", "carry_out", "export", "preview"]
