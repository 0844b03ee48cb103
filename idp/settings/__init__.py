"""Settings: a TOML file, `IDP_*` environment variables over it, secrets from files.

`load` returns a `Settings` or raises one `SettingsError` that names every problem. A field is written
`[database] url` in the file and `IDP_DATABASE__URL` in the environment; the environment wins. A list is
comma-separated there. A secret, or a URL that may hold a password, can stand in a file instead:
`pepper_file = "/run/secrets/pepper"` or `IDP_SECRETS__PEPPER_FILE`. Relative paths are relative to the working
directory. `IDP_CONFIG` names the TOML file; `IDP_TEST_*` is left alone; any other `IDP_` variable that is not
a setting is a problem.

No message shows a value, and no repr shows a secret: what was given as a file's name may be the secret itself.

`fields` says what can be set, `rules` what a value may be, `loading` finds the values.
"""

from idp.settings.fields import Maintenance, Pin, Secret, Settings, Url
from idp.settings.loading import Problem, SettingsError, load, load_hsm

__all__ = ["Maintenance", "Pin", "Problem", "Secret", "Settings", "SettingsError", "Url", "load", "load_hsm"]
