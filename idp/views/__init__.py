"""The doors: HTTP only. Read the request, call one function, shape the answer.

`frame` is what every answer has in common; `portal`, `wallet`, `holder` and `health` are a door each.
"""
