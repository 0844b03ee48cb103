"""Settings: all problems at once, no secret in sight, and what production refuses."""

import base64
import copy
import pickle
import secrets
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from idp.settings import Secret, Settings, SettingsError, Url, load, load_hsm
from idp.settings.loading import FILE_FORMS, TYPES

KEK = secrets.token_hex(32)
PEPPER = secrets.token_urlsafe(40)


class Deployment:
    """A good deployment: change one thing, then load it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        pem = directory / "wallet.pem"
        pem.write_text("")
        self.environ = {
            "PATH": "/usr/bin",
            "IDP_ISSUER": "https://login.example",
            "IDP_SECRETS__KEY_ENCRYPTION_KEY": KEK,
            "IDP_SECRETS__PEPPER": PEPPER,
            "IDP_WALLET__CERTIFICATE_FILE": str(pem),
            "IDP_WALLET__PRIVATE_KEY_FILE": str(pem),
        }

    def file(self, text: str, name: str = "file.toml") -> Path:
        path = self.directory / name
        path.write_text(text, "utf-8")
        return path

    def load(
        self, toml: str = "", overrides: dict[str, Any] | None = None, **environ: str | None
    ) -> Settings:
        changed = self.environ | environ
        kept = {name: value for name, value in changed.items() if value is not None}
        return load(self.file(toml), kept, overrides)

    def problems(
        self, toml: str = "", overrides: dict[str, Any] | None = None, **environ: str | None
    ) -> list[str]:
        with pytest.raises(SettingsError) as caught:
            self.load(toml, overrides, **environ)
        return [str(problem) for problem in caught.value.problems]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    return Deployment(tmp_path)


def test_the_least_that_must_be_given_is_enough(deployment: Deployment) -> None:
    settings = deployment.load()
    assert settings.mode == "production"
    assert settings.secrets.key_encryption_key.reveal() == bytes.fromhex(KEK)
    assert (settings.host, settings.is_loopback, settings.secure_cookies) == ("login.example", False, True)


def test_nothing_given_names_everything_that_is_required() -> None:
    with pytest.raises(SettingsError) as caught:
        load(None, {})
    assert sorted(problem.path for problem in caught.value.problems) == [
        "issuer",
        "secrets.key_encryption_key",
        "secrets.pepper",
        "wallet.certificate_file",
        "wallet.private_key_file",
    ]


def test_every_problem_is_reported_at_once_where_it_was_written(deployment: Deployment) -> None:
    found = deployment.problems(
        '[server]\nthreads = "many"\nworkers = 2\n[databse]\nurl = "x"\n'
        "[lifetimes]\ncode_ttl_s = 61\nlogin_max_s = 9",
        IDP_LOGIN_TTL_S="1",
        IDP_FETCH__TIMEOUT_S="0",
        IDP_SECRETS__PEPPER="short",
        IDP_MODE="live",
    )
    assert [problem.split(":")[0] for problem in found] == [
        "databse",
        "IDP_LOGIN_TTL_S",
        "IDP_MODE",
        "server.threads",
        "IDP_SECRETS__PEPPER",
        "lifetimes.code_ttl_s",
        "IDP_FETCH__TIMEOUT_S",
        "server.workers",
        "lifetimes.login_max_s",
    ]


def test_the_error_reads_as_a_list(deployment: Deployment) -> None:
    with pytest.raises(SettingsError) as caught:
        deployment.load(IDP_ISSUER=None, IDP_MODE="live")
    assert str(caught.value) == (
        "2 problems in the settings:\n"
        "  - IDP_MODE: expected one of demo, sandbox, production\n"
        "  - issuer: required"
    )


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ("[database]\nurll = 'x'", "database.urll: unknown setting; did you mean database.url?"),
        ("[databse]\nurl = 'x'", "databse: unknown setting; did you mean database?"),
        ("threads = 4", "threads: unknown setting; did you mean server.threads?"),
        ("[server]\nzzzzqqq = 4", "server.zzzzqqq: unknown setting"),
        ("server = 4", "server: must be a table: [server]"),
    ],
)
def test_an_unknown_key_is_refused(deployment: Deployment, toml: str, problem: str) -> None:
    assert deployment.problems(toml) == [problem]


def test_an_unknown_variable_is_refused(deployment: Deployment) -> None:
    found = deployment.problems(IDP_ISUER="x")
    assert found == ["IDP_ISUER: unknown setting; did you mean IDP_ISSUER?"]


def test_variables_of_the_tests_are_left_alone(deployment: Deployment) -> None:
    assert deployment.load(IDP_TEST_VECTORS="/x", IDP_TEST_REQUIRE="redis") == deployment.load()


def test_the_environment_wins_over_the_file_and_overrides_over_both(deployment: Deployment) -> None:
    toml = "[server]\nthreads = 2"
    assert deployment.load(toml).server.threads == 2
    assert deployment.load(toml, IDP_SERVER__THREADS="3").server.threads == 3
    overrides = {"server": {"threads": 4}}
    assert deployment.load(toml, overrides, IDP_SERVER__THREADS="3").server.threads == 4


def test_the_environment_can_name_the_file(deployment: Deployment) -> None:
    named = deployment.file("[server]\nthreads = 5", "named.toml")
    assert load(None, deployment.environ | {"IDP_CONFIG": str(named)}).server.threads == 5


def test_text_of_the_environment_becomes_numbers_and_lists(deployment: Deployment) -> None:
    settings = deployment.load(
        IDP_FETCH__TIMEOUT_S="1.5", IDP_FETCH__ALLOW="https://a.example, https://b.example:8443"
    )
    assert settings.fetch.timeout_s == 1.5
    assert settings.fetch.allow == ("https://a.example", "https://b.example:8443")


@pytest.mark.parametrize("value", ['"8"', "8.5", "true", "0", "257", "[8]"])
def test_a_number_in_the_file_must_be_a_number_in_range(deployment: Deployment, value: str) -> None:
    [problem] = deployment.problems(f"[server]\nthreads = {value}")
    assert problem.startswith("server.threads: expected int")


def test_a_file_that_is_missing_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load(tmp_path / "none.toml", {})


def test_a_file_that_is_not_toml_is_named_with_the_place_only(deployment: Deployment) -> None:
    [problem] = deployment.problems(f'[secrets]\npepper = "{PEPPER}')
    assert "is not TOML: look at line 2" in problem or "is not TOML: look at end of document" in problem
    assert PEPPER not in problem


# Secrets


@pytest.mark.parametrize("spelling", ["hex", "HEX", "base64url", "base64url padded", "base64"])
def test_a_secret_may_be_hex_or_base64(deployment: Deployment, spelling: str) -> None:
    raw = bytes.fromhex(KEK)
    spelt = {
        "hex": KEK,
        "HEX": KEK.upper(),
        "base64url": base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "base64url padded": base64.urlsafe_b64encode(raw).decode(),
        "base64": base64.b64encode(raw).decode(),
    }
    loaded = deployment.load(IDP_SECRETS__KEY_ENCRYPTION_KEY=spelt[spelling])
    assert loaded.secrets.key_encryption_key.reveal() == raw


@pytest.mark.parametrize(
    "value",
    [
        "",
        "not base64!",
        "한글",
        pytest.param(secrets.token_hex(31), id="31 bytes"),
        pytest.param(secrets.token_hex(33), id="33 bytes"),
    ],
)
def test_a_key_encryption_key_is_exactly_32_bytes(deployment: Deployment, value: str) -> None:
    [problem] = deployment.problems(IDP_SECRETS__KEY_ENCRYPTION_KEY=value)
    assert problem.startswith("IDP_SECRETS__KEY_ENCRYPTION_KEY: expected ")
    assert not value or value not in problem


def test_overrides_may_give_a_secret_as_bytes(deployment: Deployment) -> None:
    raw = secrets.token_bytes(32)
    assert deployment.load(overrides={"secrets": {"pepper": raw}}).secrets.pepper == Secret(raw)


def test_a_secret_can_stand_in_a_file_named_by_the_environment(deployment: Deployment) -> None:
    path = str(deployment.file(PEPPER + "\n", "pepper"))
    settings = deployment.load(IDP_SECRETS__PEPPER=None, IDP_SECRETS__PEPPER_FILE=path)
    assert settings == deployment.load()


def test_a_secret_can_stand_in_a_file_named_by_the_file(deployment: Deployment) -> None:
    path = deployment.file(PEPPER + "\n", "pepper")
    toml = f"[secrets]\npepper_file = '{path}'"
    assert deployment.load(toml, IDP_SECRETS__PEPPER=None) == deployment.load()


def test_a_database_url_can_stand_in_a_file(deployment: Deployment) -> None:
    path = str(deployment.file("postgresql://u:p@db/sinwon\n", "url"))
    assert deployment.load(IDP_DATABASE__URL_FILE=path).database.url == "postgresql://u:p@db/sinwon"


def test_a_secret_given_as_value_and_as_file_is_a_problem(deployment: Deployment) -> None:
    path = str(deployment.file(PEPPER, "pepper"))
    found = deployment.problems(IDP_SECRETS__PEPPER_FILE=path)
    assert found == ["IDP_SECRETS__PEPPER_FILE: also given as IDP_SECRETS__PEPPER: keep one of them"]
    toml = f"[secrets]\npepper_file = '{path}'\npepper = '{PEPPER}'"
    assert deployment.problems(toml) == [
        "secrets.pepper: also given as secrets.pepper_file: keep one of them"
    ]


@pytest.mark.parametrize("content", [b"\xff" * 40, b"x" * 5000, None])
def test_an_unusable_secret_file_is_a_problem_that_does_not_repeat_its_name(
    deployment: Deployment, content: bytes | None
) -> None:
    path = deployment.directory / "secret-file"
    if content is not None:
        path.write_bytes(content)
    [problem] = deployment.problems(IDP_SECRETS__PEPPER=None, IDP_SECRETS__PEPPER_FILE=str(path))
    assert problem.startswith("IDP_SECRETS__PEPPER_FILE: the file ")
    assert "secret-file" not in problem


def test_no_secret_shows_in_a_repr(deployment: Deployment) -> None:
    settings = deployment.load(
        IDP_DATABASE__URL="postgresql://user:hunter2@db/sinwon?password=hunter3",
        IDP_STORE__URL="redis://:hunter4@cache:6379/0",
    )
    for shown in (
        repr(settings),
        str(settings),
        f"{settings.secrets}",
        repr(vars(settings.secrets.pepper.__class__)),
    ):
        for secret in (KEK, PEPPER, "hunter", repr(bytes.fromhex(KEK))[2:-1]):
            assert secret not in shown
    assert "postgresql://***@db/sinwon?***" in repr(settings)
    assert settings.database.url.endswith("hunter3")


def test_a_secret_does_not_travel() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(b"x"))
    with pytest.raises(TypeError):
        copy.copy(Secret(b"x"))


def test_no_value_is_repeated_in_a_message(deployment: Deployment) -> None:
    marker = "hunter2hunter2"
    may_be_any_word = {"IDP_ISSUER", "IDP_CONSOLE__CREDENTIAL_TYPES"}
    names = [name for name in _variables() if name not in may_be_any_word]
    for name in names:
        environ = {name: marker}
        if name.endswith("_FILE") and "WALLET" not in name:
            environ[name.removesuffix("_FILE")] = ""
            deployment.environ.pop(name.removesuffix("_FILE"), None)
        found = deployment.problems(**environ)
        assert found
        assert marker not in "".join(found), name


def _variables() -> list[str]:
    return ["IDP_" + name.upper().replace(".", "__") for name in (*TYPES, *FILE_FORMS)]


# Values


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "login.example",
        "ftp://login.example",
        "https://",
        "https://login.example/",
        "https://login.example/path",
        "https://login.example?x=1",
        "https://login.example?",
        "https://login.example#x",
        "https://login.example#",
        "https://user@login.example",
        "https://Login.example",
        "HTTPS://login.example",
        "https://login.example:443",
        "https://login.example:",
        "https://login.example:99999",
        "https://login.example ",
        "https://로그인.example",
        "https://[::1",
        "http://login.example",
        "https://login.example\n",
    ],
)
def test_an_issuer_is_an_https_origin(deployment: Deployment, issuer: str) -> None:
    [problem] = deployment.problems(IDP_ISSUER=issuer)
    assert problem.startswith("IDP_ISSUER: ")


@pytest.mark.parametrize(
    "issuer", ["https://login.example", "https://login.example:8443", "https://xn--9d0b.example"]
)
def test_an_issuer_may_have_a_port(deployment: Deployment, issuer: str) -> None:
    assert deployment.load(IDP_ISSUER=issuer).issuer == issuer


@pytest.mark.parametrize("mode", ["demo", "sandbox"])
@pytest.mark.parametrize("host", ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"])
def test_plain_http_is_taken_on_loopback_outside_production(
    deployment: Deployment, mode: str, host: str
) -> None:
    settings = deployment.load(IDP_MODE=mode, IDP_ISSUER=f"http://{host}")
    assert settings.is_loopback
    assert not settings.secure_cookies
    assert settings.host in {"127.0.0.1", "localhost", "::1"}


@pytest.mark.parametrize(
    "bind", ["8080", ":8080", "0.0.0.0:0", "host:70000", "unix:relative", "[::1:80", "a b:80"]
)
def test_a_listener_is_host_and_port_or_a_socket(deployment: Deployment, bind: str) -> None:
    assert deployment.problems(IDP_SERVER__BIND=bind) == [
        "IDP_SERVER__BIND: expected host:port, [::1]:port or unix:/path"
    ]


@pytest.mark.parametrize(
    "url",
    ["", "mysql://x/y", "sqlite://", "sqlite:///:memory:", "postgresql://host", "postgresql+asyncpg://h/d"],
)
def test_a_database_is_an_sqlite_file_or_postgresql(deployment: Deployment, url: str) -> None:
    [problem] = deployment.problems(IDP_DATABASE__URL=url)
    assert problem.startswith("IDP_DATABASE__URL: expected ")


@pytest.mark.parametrize("url", ["memcached://h", "redis:///0", "sqlite://", "x"])
def test_a_store_is_redis_or_a_database(deployment: Deployment, url: str) -> None:
    [problem] = deployment.problems(IDP_STORE__URL=url)
    assert problem.startswith("IDP_STORE__URL: expected ")


def test_the_store_is_beside_an_sqlite_database(deployment: Deployment) -> None:
    settings = deployment.load(IDP_DATABASE__URL="sqlite:////srv/sinwon.db")
    assert settings.database_url == "sqlite:////srv/sinwon.db"
    assert settings.store_url == "sqlite:////srv/sinwon-store.db"


def test_a_relative_sqlite_file_is_relative_to_the_working_directory(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = deployment.load()
    monkeypatch.chdir(deployment.directory)
    assert settings.database_url == f"sqlite:///{deployment.directory}/var/sinwon.db"


def test_the_store_is_in_the_same_postgresql(deployment: Deployment) -> None:
    settings = deployment.load(IDP_DATABASE__URL="postgresql://u:p%40@db:5433/sinwon")
    assert settings.database_url == settings.store_url == "postgresql+psycopg://u:p%40@db:5433/sinwon"


@pytest.mark.parametrize("url", ["redis://h:6379/0", "rediss://:p@h/1", "redis+sentinel://a:1,b:2/name/0"])
def test_a_redis_store_is_taken_as_it_is(deployment: Deployment, url: str) -> None:
    assert deployment.load(IDP_STORE__URL=url).store_url == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+sentinel://a:1,b:2", "the service"),
        ("rediss+cluster://a:1/3", "no database"),
        ("redis:///", "a host"),
    ],
)
def test_what_a_redis_url_lacks_is_said(deployment: Deployment, url: str, said: str) -> None:
    (problem,) = deployment.problems(IDP_STORE__URL=url)
    assert said in problem


def test_of_several_postgresql_servers_the_one_that_takes_writes_is_looked_for(
    deployment: Deployment,
) -> None:
    settings = deployment.load(IDP_DATABASE__URL="postgresql://u:p@a:5432,b:5433/sinwon")
    assert make_url(settings.database_url).query == {
        "host": ("a:5432", "b:5433"),
        "target_session_attrs": "read-write",
    }


@pytest.mark.parametrize(
    "link",
    [
        "",
        "openid4vp",
        "openid4vp:",
        "javascript://x",
        "https://",
        "https://w.example/#",
        "https://u@w.example",
        "a://b c",
        'a://"',
    ],
)
def test_a_link_begins_with_a_scheme_that_opens_a_wallet(deployment: Deployment, link: str) -> None:
    [problem] = deployment.problems(IDP_WALLET__LINK=link)
    assert problem.startswith("IDP_WALLET__LINK: expected ")


@pytest.mark.parametrize("link", ["openid4vp://", "haip-vp://", "https://wallet.example/open"])
def test_a_link_may_be_a_scheme_or_an_address(deployment: Deployment, link: str) -> None:
    assert deployment.load(IDP_WALLET__LINK=link).wallet.link == link


def test_a_missing_certificate_is_found_at_once(deployment: Deployment) -> None:
    found = deployment.problems(IDP_WALLET__CERTIFICATE_FILE="/nonexistent")
    assert found == ["IDP_WALLET__CERTIFICATE_FILE: the file cannot be read: No such file or directory"]


@pytest.mark.parametrize(
    "entry", ["https://a.example/", "a.example", "https://a.example:443", "ftp://a.example"]
)
def test_an_allowed_origin_is_exact(deployment: Deployment, entry: str) -> None:
    [problem] = deployment.problems(IDP_FETCH__ALLOW=f"https://ok.example,{entry}")
    assert problem.startswith("IDP_FETCH__ALLOW: entry 2: ")


# What cannot stand together


def test_more_than_one_process_needs_postgresql(deployment: Deployment) -> None:
    assert deployment.problems(IDP_SERVER__WORKERS="2") == [
        "IDP_SERVER__WORKERS: more than one process needs PostgreSQL: an SQLite file serves one"
    ]
    postgresql = "postgresql://u:p@db/sinwon"
    assert deployment.load(IDP_SERVER__WORKERS="2", IDP_DATABASE__URL=postgresql).server.workers == 2
    assert deployment.problems(
        IDP_SERVER__WORKERS="2", IDP_DATABASE__URL=postgresql, IDP_STORE__URL="sqlite:///x.db"
    )


def test_the_national_app_needs_its_daemon(deployment: Deployment) -> None:
    assert deployment.problems(IDP_MIP__BACKEND="rest") == [
        "mip.daemon: backend rest needs the origin of the operator's verifier daemon"
    ]
    settings = deployment.load(IDP_MIP__BACKEND="rest", IDP_MIP__DAEMON="https://daemon.internal:8443")
    assert settings.mip.daemon == "https://daemon.internal:8443"


@pytest.mark.parametrize("daemon", ["http://127.0.0.1:8281", "http://[::1]:8281", "https://daemon.internal"])
def test_the_daemon_is_reached_by_https_or_on_this_machine(deployment: Deployment, daemon: str) -> None:
    assert deployment.load(IDP_MIP__BACKEND="rest", IDP_MIP__DAEMON=daemon).mip.daemon == daemon


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"IDP_MIP__BACKEND": "accept-all"}, "IDP_MIP__BACKEND"),
        ({"IDP_MIP__DAEMON": "http://daemon.internal"}, "IDP_MIP__DAEMON"),
        ({"IDP_MIP__DAEMON": "https://daemon.internal/mip"}, "IDP_MIP__DAEMON"),
        ({"IDP_MIP__DAEMON": "daemon.internal"}, "IDP_MIP__DAEMON"),
        ({"IDP_MIP__DAEMON_TIMEOUT_S": "0"}, "IDP_MIP__DAEMON_TIMEOUT_S"),
        ({"IDP_MIP__SECURE_SERVICES": "mep 2"}, "IDP_MIP__SECURE_SERVICES"),
        ({"IDP_MIP__SECURE_SERVICES": "x" * 51}, "IDP_MIP__SECURE_SERVICES"),
        ({"IDP_MIP__RELAY": "https://relay.example"}, "IDP_MIP__RELAY"),
        ({"IDP_MIP__RELAY": "ws://relay.example/a"}, "IDP_MIP__RELAY"),
        ({"IDP_MIP__RELAY": "wss://user@relay.example/a"}, "IDP_MIP__RELAY"),
        ({"IDP_MIP__RELAY": "wss://relay.example/a?b"}, "IDP_MIP__RELAY"),
        ({"IDP_MIP__RELAY_TIMEOUT_S": "0"}, "IDP_MIP__RELAY_TIMEOUT_S"),
    ],
)
def test_what_is_no_setting_of_the_national_app_is_refused(
    deployment: Deployment, environ: dict[str, str], path: str
) -> None:
    [problem] = deployment.problems(**environ)
    assert problem.startswith(f"{path}: ")


def test_a_relay_that_we_go_to_ourselves_needs_its_library(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = {"IDP_MODE": "sandbox", "IDP_MIP__RELAY": "wss://relay.example:9090/verifier"}
    daemon = {"IDP_MIP__BACKEND": "rest", "IDP_MIP__DAEMON": "https://daemon.internal"}
    assert deployment.load(**relay, IDP_MIP__BACKEND="simulator")
    monkeypatch.setattr("idp.settings.loading.find_spec", lambda _name: None)
    assert deployment.load(**relay, **daemon)
    [problem] = deployment.problems(**relay, IDP_MIP__BACKEND="simulator")
    assert problem.startswith("IDP_MIP__RELAY: ")
    assert "sinwon[relay]" in problem


def test_the_two_secrets_differ(deployment: Deployment) -> None:
    assert deployment.problems(IDP_SECRETS__PEPPER=KEK) == [
        "IDP_SECRETS__PEPPER: must differ from secrets.key_encryption_key"
    ]


@pytest.mark.parametrize(
    ("low", "high"),
    [
        ("login_ttl_s", "login_max_s"),
        ("qr_offered_s", "login_ttl_s"),
        ("session_idle_s", "session_max_s"),
        ("id_token_ttl_s", "key_retire_s"),
        ("access_token_ttl_s", "key_retire_s"),
    ],
)
def test_lifetimes_fit_into_each_other(deployment: Deployment, low: str, high: str) -> None:
    found = deployment.problems(f"[lifetimes]\n{high} = 1")
    assert f"lifetimes.{high}: must be at least lifetimes.{low}" in found


def test_a_value_that_cannot_be_read_does_not_bring_problems_of_its_default(deployment: Deployment) -> None:
    found = deployment.problems('[lifetimes]\nlogin_ttl_s = "x"\nlogin_max_s = 300')
    assert found == ["lifetimes.login_ttl_s: expected int, got str"]


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"IDP_ISSUER": "http://127.0.0.1:8080"}, "IDP_ISSUER"),
        ({"IDP_ISSUER": "https://localhost"}, "IDP_ISSUER"),
        ({"IDP_ISSUER": "https://127.0.0.1"}, "IDP_ISSUER"),
        ({"IDP_WALLET__LINK": "http://127.0.0.1:8082/open"}, "IDP_WALLET__LINK"),
        ({"IDP_WALLET__LINK": "http://wallet.example/open"}, "IDP_WALLET__LINK"),
        ({"IDP_FETCH__ALLOW": "https://127.0.0.1"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "https://localhost:8443"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "https://[::1]"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "https://[::ffff:127.0.0.1]"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "https://0.0.0.0"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "https://2130706433"}, "IDP_FETCH__ALLOW"),
        ({"IDP_FETCH__ALLOW": "http://intranet.example"}, "IDP_FETCH__ALLOW"),
        ({"IDP_REGISTRATION__OPEN": "true"}, "IDP_REGISTRATION__OPEN"),
        ({"IDP_REQUESTS__IMPLICIT": "true"}, "IDP_REQUESTS__IMPLICIT"),
        ({"IDP_MIP__BACKEND": "simulator"}, "IDP_MIP__BACKEND"),
        ({"IDP_SECRETS__PEPPER": "00" * 32}, "IDP_SECRETS__PEPPER"),
        ({"IDP_SECRETS__PEPPER": bytes(range(32)).hex()}, "IDP_SECRETS__PEPPER"),
        (
            {"IDP_SECRETS__PEPPER": b"change-me-before-you-go-to-production!".hex().ljust(64, "0")},
            "IDP_SECRETS__PEPPER",
        ),
        ({"IDP_SECRETS__KEY_ENCRYPTION_KEY": "A" * 43}, "IDP_SECRETS__KEY_ENCRYPTION_KEY"),
        ({"IDP_SECRETS__KEY_ENCRYPTION_KEY": "0123456789abcdef" * 4}, "IDP_SECRETS__KEY_ENCRYPTION_KEY"),
    ],
)
def test_production_refuses_what_is_fit_for_a_demo(
    deployment: Deployment, environ: dict[str, str], path: str
) -> None:
    [problem] = deployment.problems(**environ)
    assert problem.startswith(f"{path}: ")


def test_the_sandbox_takes_made_up_secrets_and_loopback_origins(deployment: Deployment) -> None:
    settings = deployment.load(
        IDP_MODE="sandbox", IDP_SECRETS__PEPPER="00" * 32, IDP_FETCH__ALLOW="http://127.0.0.1:9000"
    )
    assert settings.fetch.allow == ("http://127.0.0.1:9000",)


def test_the_demo_may_open_a_wallet_on_loopback(deployment: Deployment) -> None:
    link = "http://127.0.0.1:8082/wallet/open"
    assert (
        deployment.load(
            IDP_MODE="demo", IDP_ISSUER="http://127.0.0.1:8080", IDP_WALLET__LINK=link
        ).wallet.link
        == link
    )


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"IDP_ISSUER": "https://login.example"}, "IDP_ISSUER"),
        ({"IDP_SERVER__BIND": "0.0.0.0:8080"}, "IDP_SERVER__BIND"),
        ({"IDP_SERVER__BIND": "[::]:8080"}, "IDP_SERVER__BIND"),
        ({"IDP_SERVER__BIND": "192.0.2.1:8080"}, "IDP_SERVER__BIND"),
        ({"IDP_WALLET__LINK": "http://wallet.example/open"}, "IDP_WALLET__LINK"),
    ],
)
def test_the_demo_stays_on_this_machine(deployment: Deployment, environ: dict[str, str], path: str) -> None:
    demo = {"IDP_MODE": "demo", "IDP_ISSUER": "http://127.0.0.1:8080"}
    [problem] = deployment.problems(**(demo | environ))
    assert problem.startswith(f"{path}: ")


def test_a_url_without_credentials_is_shown_whole() -> None:
    assert repr(Url("sqlite:///var/sinwon.db")) == "'sqlite:///var/sinwon.db'"
    assert repr(Url("")) == "''"


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"IDP_LIFETIMES__KEY_PUBLISH_S": "419"}, "IDP_LIFETIMES__KEY_PUBLISH_S"),
        ({"IDP_LIFETIMES__KEY_PUBLISH_S": "420"}, None),
        ({"IDP_LIFETIMES__KEY_RETIRE_S": "419"}, "IDP_LIFETIMES__KEY_RETIRE_S"),
        ({"IDP_LIFETIMES__KEY_RETIRE_S": "420"}, None),
        (
            {"IDP_LIFETIMES__KEY_RETIRE_S": "3600", "IDP_LIFETIMES__ACCESS_TOKEN_TTL_S": "3500"},
            "IDP_LIFETIMES__KEY_RETIRE_S",
        ),
        ({"IDP_LIFETIMES__KEY_ROTATE_S": "86399"}, "IDP_LIFETIMES__KEY_ROTATE_S"),
        ({"IDP_LIFETIMES__KEY_ROTATE_S": "86400"}, None),
        ({"IDP_LIFETIMES__KEY_ROTATE_S": "0"}, None),
    ],
)
def test_in_production_a_key_stands_in_the_key_set_longer_than_that_is_cached(
    deployment: Deployment, environ: dict[str, str], named: str | None
) -> None:
    if named is None:
        deployment.load(**environ)
        return
    [problem] = deployment.problems(**environ)
    assert problem.startswith(f"{named}: ")


# -- Open DID ----------------------------------------------------------------------------------------------------


def open_did(deployment: Deployment, **changes: str) -> str:
    """A table that switches it on, with some members changed."""
    good = {
        "verification_method": "did:omn:sinwon?versionId=1#assert",
        "private_key_file": deployment.environ["IDP_WALLET__PRIVATE_KEY_FILE"],
        "certificate_vc_url": "https://login.example/certificate-vc",
        "registry_url": "https://registry.example/api-gateway/api/v1",
        **changes,
    }
    return "[opendid]\n" + "\n".join(f'{name} = "{value}"' for name, value in good.items())


def test_open_did_is_off_until_it_is_named(deployment: Deployment) -> None:
    assert not deployment.load().opendid.is_on
    assert deployment.load(open_did(deployment)).opendid.is_on


@pytest.mark.parametrize(
    "missing", ["verification_method", "private_key_file", "certificate_vc_url", "registry_url"]
)
def test_half_of_open_did_is_none(deployment: Deployment, missing: str) -> None:
    [problem] = deployment.problems(open_did(deployment, **{missing: ""}))
    assert problem.startswith(f"opendid.{missing}: required")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("verification_method", "did:omn:sinwon"),
        ("verification_method", "did:omn:sinwon#assert"),
        ("verification_method", "https://login.example?versionId=1#assert"),
        ("private_key_file", "/nowhere/key.pem"),
        ("registry_url", "registry.example"),
        ("registry_url", "ftp://registry.example"),
        ("registry_url", "https://registry.example/"),
        ("registry_url", "https://registry.example/api?did="),
        ("registry_url", "https://user@registry.example/api"),
        ("certificate_vc_url", "https://login.example/certificate-vc#1"),
    ],
)
def test_a_setting_of_open_did_has_its_form(deployment: Deployment, name: str, value: str) -> None:
    [problem] = deployment.problems(open_did(deployment, **{name: value}))
    assert problem.startswith(f"opendid.{name}: ")
    assert value not in problem


@pytest.mark.parametrize("name", ["registry_url", "certificate_vc_url"])
def test_production_asks_the_registry_by_https(deployment: Deployment, name: str) -> None:
    plain = open_did(deployment, **{name: "http://registry.example/api"})
    [problem] = deployment.problems(plain)
    assert problem == f"opendid.{name}: mode production needs https"
    assert deployment.load(plain, IDP_MODE="sandbox").opendid.is_on


# Keys in an HSM


@pytest.fixture
def in_hsm(deployment: Deployment, tmp_path: Path) -> dict[str, str]:
    """The environment of a deployment with an HSM; the module is any file here, nobody opens it."""
    (tmp_path / "module.so").write_bytes(b"")
    (tmp_path / "pin").write_text("4711 0815\n", "utf-8")
    return {
        **deployment.environ,
        "IDP_HSM__MODULE": str(tmp_path / "module.so"),
        "IDP_HSM__TOKEN": "sinwon",
        "IDP_HSM__PIN_FILE": str(tmp_path / "pin"),
    }


def problems_of(environ: dict[str, str], overrides: dict[str, Any] | None = None) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(None, environ, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_a_pin_is_its_text_from_a_file_or_the_environment(in_hsm: dict[str, str]) -> None:
    assert load(None, in_hsm).hsm.pin.reveal() == b"4711 0815"
    del in_hsm["IDP_HSM__PIN_FILE"]
    assert load(None, {**in_hsm, "IDP_HSM__PIN": "abcd"}).hsm.pin.reveal() == b"abcd"
    assert "abcd" not in repr(load(None, {**in_hsm, "IDP_HSM__PIN": "abcd"}))


def test_a_pin_in_the_settings_file_is_refused_and_not_repeated(
    in_hsm: dict[str, str], tmp_path: Path
) -> None:
    del in_hsm["IDP_HSM__PIN_FILE"]
    (tmp_path / "sinwon.toml").write_text('[hsm]\npin = "4711-secret"\n', "utf-8")
    with pytest.raises(SettingsError) as caught:
        load(tmp_path / "sinwon.toml", in_hsm)
    assert "hsm.pin_file" in str(caught.value)
    assert "4711-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("left_out", "said"),
    [
        ("IDP_HSM__TOKEN", "hsm.token: required"),
        ("IDP_HSM__PIN_FILE", "hsm.pin: required, as hsm.pin_file or IDP_HSM__PIN"),
        ("IDP_HSM__MODULE", "IDP_HSM__TOKEN: needs hsm.module"),
    ],
)
def test_half_an_hsm_is_a_problem(in_hsm: dict[str, str], left_out: str, said: str) -> None:
    del in_hsm[left_out]
    assert any(problem.startswith(said) for problem in problems_of(in_hsm))


@pytest.mark.parametrize(
    ("label", "elsewhere"),
    [
        ("WALLET_KEY", "IDP_WALLET__PRIVATE_KEY_FILE"),
        ("KEY_ENCRYPTION_KEY", "IDP_SECRETS__KEY_ENCRYPTION_KEY"),
    ],
)
def test_a_key_is_in_the_hsm_or_in_a_file(in_hsm: dict[str, str], label: str, elsewhere: str) -> None:
    both = {**in_hsm, f"IDP_HSM__{label}": "ours"}
    assert problems_of(both) == [f"{elsewhere}: also given as hsm.{label.lower()}: keep one of them"]
    del both[elsewhere]
    assert getattr(load(None, both).hsm, label.lower()) == "ours"


def test_the_next_key_is_another_one(deployment: Deployment) -> None:
    same = {**deployment.environ, "IDP_SECRETS__NEXT_KEY_ENCRYPTION_KEY": KEK}
    assert problems_of(same)[0].startswith("IDP_SECRETS__NEXT_KEY_ENCRYPTION_KEY: must be another")


def test_the_hsm_alone_can_be_read_while_the_rest_is_missing(in_hsm: dict[str, str]) -> None:
    alone = {name: value for name, value in in_hsm.items() if name.startswith("IDP_HSM__")}
    assert load_hsm(None, alone).token == "sinwon"
    del alone["IDP_HSM__TOKEN"]
    with pytest.raises(SettingsError) as caught:
        load_hsm(None, alone)
    assert [problem.path for problem in caught.value.problems] == ["hsm.token"]


@pytest.mark.parametrize("value", ["collector:4318", "ftp://collector", "http://collector/v1?key=1"])
def test_a_collector_has_an_http_address_without_a_query(deployment: Deployment, value: str) -> None:
    (problem,) = problems_of({**deployment.environ, "IDP_TRACING__ENDPOINT": value})
    assert problem.startswith("IDP_TRACING__ENDPOINT: expected")
