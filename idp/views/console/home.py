"""The first page: is all well, and what comes next."""

from __future__ import annotations

from flask import Blueprint, Response

from idp.admin.people import Administrator
from idp.views.console.desk import Desk


class Home:
    """`/console`."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def add_to(self, door: Blueprint) -> None:
        door.add_url_rule("", "home", self.desk.guarded(None, self.home))

    def home(self, admin: Administrator) -> Response:
        return self.desk.page("home.html")
