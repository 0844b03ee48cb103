"""The holder's own page: what was given to whom, how to take it back, where one is signed in, and receipts.

`desk` says whose page it is, and guards it; `pages` are what may be seen and done there. Whoever wants in shows the
credential again: the browser's single sign-on does not open this page, since anybody may sit down at a browser.
"""

from __future__ import annotations

from flask import Blueprint

from idp.views.frame import Frame
from idp.views.me.desk import MyDesk
from idp.views.me.pages import MyPages
from idp.views.me.sign_in import MySignIn


class MeDoor:
    """`/me`, and the keys of receipts."""

    def __init__(self, frame: Frame) -> None:
        desk = MyDesk(frame)
        self.areas = (MySignIn(desk), MyPages(desk))

    def blueprint(self) -> Blueprint:
        door = Blueprint("me", __name__)
        for area in self.areas:
            area.add_to(door)
        return door
