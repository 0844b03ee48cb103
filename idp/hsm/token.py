"""One token of one PKCS#11 module: its session, and what is done in it."""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from idp.errors import Unavailable

if TYPE_CHECKING:
    import pkcs11

log = logging.getLogger("idp")

Found = TypeVar("Found")
Filter = tuple[str, bytes | str]
"""What a private key is found by: `("id", bytes)` or `("label", text)`."""

_RETRY_S = 2.0
_CHECK_S = 1.0
_ID_BYTES = 16
_POINT_BYTES = 65
_RSA_BITS = 2048
_KEK_INFO = b"sinwon:key-encryption-key:1"


class HsmError(Unavailable):
    """The HSM does not do what is asked. `said` is what happened, `fix` what to do about it."""

    def __init__(self, said: str, fix: str) -> None:
        super().__init__("unavailable", f"hsm: {said}: {fix}")
        self.said = said
        self.fix = fix


class _WrongPin(HsmError):
    """Not to be tried again."""


class _NoSuchKey(Exception):
    """Not exactly one object is what was asked for."""

    def __init__(self, kind: str, which: Filter, n: int) -> None:
        super().__init__(kind)
        self.kind = kind.lower().replace("_", " ")
        self.which = which
        self.n = n


class _OfOneKey(HsmError):
    """The token is fine, and other keys of it sign."""


class _KeyMissing(_OfOneKey):
    """The key is not in the token, or more than one is."""


@dataclass(frozen=True)
class Held:
    """An object in the token: `kind` is private key, public key or secret key; `id` is hex."""

    kind: str
    type: str
    label: str
    id: str


class _Module:
    """A PKCS#11 library in this process. `generation` changes whenever everything that was open is lost."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = threading.RLock()
        self.generation = 0
        self._pid: int | None = None
        self._lib: Any = None

    def lib(self) -> Any:
        """The library, initialised by this very process. Raises HsmError."""
        if self._pid != os.getpid():
            self.begin_again()
        return self._lib

    def begin_again(self) -> None:
        """Forget every session of this process, and learn which tokens there are now."""
        try:
            import pkcs11  # noqa: PLC0415  # of the extra `hsm`
        except ImportError:
            raise HsmError("python-pkcs11 is not installed", "pip install 'sinwon[hsm]'") from None
        self.generation += 1
        self._pid = None
        try:
            if self._lib is None:
                self._lib = pkcs11.lib(self.path)
            else:
                with suppress(pkcs11.PKCS11Error):  # what is not initialised need not be ended
                    self._lib.finalize()
                self._lib.initialize()
        except pkcs11.PKCS11Error as error:
            fix = "correct hsm.module: the PKCS#11 library of the HSM, of this machine's architecture"
            raise HsmError(f"the module does not start ({_named(error)})", fix) from error
        self._pid = os.getpid()

    def let_go(self) -> None:
        """End what is open; the next one to ask begins again."""
        with self.lock:
            if self._lib is not None and self._pid == os.getpid():
                import pkcs11  # noqa: PLC0415

                self.generation += 1
                self._pid = None
                with suppress(pkcs11.PKCS11Error):  # a module that is broken has nothing open
                    self._lib.finalize()


_modules: dict[str, _Module] = {}
_modules_lock = threading.Lock()


def _module(path: str) -> _Module:
    with _modules_lock:
        return _modules.setdefault(path, _Module(path))


def let_go() -> None:
    """End what this process has open in any HSM; whoever needs it opens it again. For before a fork."""
    for module in list(_modules.values()):
        module.let_go()


def _after_fork() -> None:
    global _modules_lock  # noqa: PLW0603 - another thread of the parent may have held it
    _modules_lock = threading.Lock()
    for module in _modules.values():
        module.lock = threading.RLock()


os.register_at_fork(after_in_child=_after_fork)


class Hsm:
    """A token. Threads may share one; everything here raises HsmError."""

    def __init__(
        self, module: str, token: str, pin: bytes, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Opens nothing yet. `token` is the token's label; `pin` its user PIN."""
        self._module = _module(module)
        self._token = token
        self._pin = pin
        self._monotonic = monotonic
        self._generation = -1
        self._session: pkcs11.Session | None = None
        self._keys: dict[Filter, Any] = {}
        self._failures: dict[Filter | None, tuple[HsmError, float]] = {}
        self._checked_at: dict[Filter, float] = {}

    @property
    def generation(self) -> int:
        """Another number whenever the session is another one."""
        return self._module.generation

    def check(self, which: Filter) -> None:
        """That the token is there, takes our PIN and has this private key; a second old at most."""
        at = self._checked_at.get(which)
        if at is None or not 0 <= self._monotonic() - at < _CHECK_S:
            self._do(lambda session: _one(session, "PRIVATE_KEY", which), which)
            self._checked_at[which] = self._monotonic()

    def sign(self, which: Filter, mechanism: str, data: bytes, parameter: Any = None) -> bytes:
        """What the private key makes of `data`; `mechanism` is a name of PKCS#11's without CKM_."""

        def signed(session: pkcs11.Session) -> bytes:
            key = self._keys.get(which)
            if key is None:
                key = self._keys[which] = _one(session, "PRIVATE_KEY", which)
            made: bytes = key.sign(data, mechanism=_mechanism(mechanism), mechanism_param=parameter)
            return made

        return self._do(signed, which)

    def public_key(self, which: Filter) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
        """The public half of a private key; it must be in the token too."""
        return self._do(lambda session: _public_half(_one(session, "PUBLIC_KEY", which)), which)

    def make(self, kind: str, label: str) -> tuple[bytes, ec.EllipticCurvePublicKey | rsa.RSAPublicKey]:
        """A new key pair that stays in the token, `kind` "EC" (P-256) or "RSA" (2048 bits): its id and public half."""
        return self._do(lambda session: _made(session, kind, label), ("label", label))

    def destroy(self, key_id: bytes) -> None:
        """Take a key pair out of the token for ever. One that is not there is no error."""
        import pkcs11  # noqa: PLC0415

        def destroyed(session: pkcs11.Session) -> None:
            for found in list(session.get_objects({pkcs11.Attribute.ID: key_id})):
                found.destroy()

        self._do(destroyed)
        self._keys.pop(("id", key_id), None)

    def held(self) -> list[Held]:
        """Every key in the token."""
        return self._do(lambda session: sorted(_held(session), key=lambda one: (one.label, one.kind)))

    def make_secret(self, label: str) -> None:
        """A new 256-bit secret that stays in the token, for `secret`."""
        import pkcs11  # noqa: PLC0415

        template = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
        self._do(
            lambda session: session.generate_key(
                pkcs11.KeyType.GENERIC_SECRET,
                256,
                label=label,
                store=True,
                capabilities=pkcs11.MechanismFlag.SIGN,
                template=template,
            )
        )

    def secret(self, label: str) -> bytes:
        """32 bytes that only this secret of the token makes: HMAC-SHA256 of a constant, always the same."""

        def derived(session: pkcs11.Session) -> bytes:
            key = _one(session, "SECRET_KEY", ("label", label))
            made: bytes = key.sign(_KEK_INFO, mechanism=_mechanism("SHA256_HMAC"))
            return made

        return self._do(derived, ("label", label))

    # -- sessions --------------------------------------------------------------------------------------------

    def _do(self, work: Callable[[pkcs11.Session], Found], which: Filter | None = None) -> Found:
        """Do it, with a new session if it must be. What just failed fails at once, without the HSM being asked."""
        with self._module.lock:
            for about in (None, which):
                failed = self._failures.get(about)
                if failed is not None and self._is_lasting(*failed):
                    # Another one of the kind: the same would collect the frames of whoever met it.
                    raise type(failed[0])(failed[0].said, failed[0].fix)
            try:
                done = self._twice(work)
            except HsmError as error:
                about = which if isinstance(error, _OfOneKey) else None
                self._failures[about] = (error, self._monotonic())
                log.error("hsm: %s; %s", error.said, error.fix)
                raise
            if self._failures.pop(None, None) is not None:
                log.warning("hsm: the token %s answers again", self._token)
            self._failures.pop(which, None)
            return done

    def _is_lasting(self, failure: HsmError, at: float) -> bool:
        return isinstance(failure, _WrongPin) or 0 <= self._monotonic() - at < _RETRY_S

    def _twice(self, work: Callable[[pkcs11.Session], Found]) -> Found:
        """Whatever broke, a new beginning is the one thing that mends it; what it does not mend is told."""
        before = self._module.generation
        try:
            return self._once(work)
        except HsmError as error:
            is_for_good = isinstance(error, _WrongPin | _OfOneKey) and not isinstance(error, _KeyMissing)
            if is_for_good or self._module.generation != before:  # this was a new beginning
                raise
        self._module.begin_again()
        return self._once(work)

    def _once(self, work: Callable[[pkcs11.Session], Found]) -> Found:
        session = self._opened()  # imports the library, or says that it is missing
        import pkcs11  # noqa: PLC0415

        try:
            return work(session)
        except _NoSuchKey as error:  # or the token was taken out: some modules say then that it is empty
            raise self._no_key(error) from None
        except (
            pkcs11.FunctionNotSupported,
            pkcs11.KeySizeRange,
            pkcs11.KeyTypeInconsistent,
            pkcs11.MechanismInvalid,
            pkcs11.MechanismParamInvalid,
            pkcs11.TemplateInconsistent,
        ) as error:
            fix = "the HSM does not offer this: see what its maker says of ECDSA, RSA, PSS and HMAC with SHA-256"
            raise _OfOneKey(f"the token {self._token} cannot do it ({_named(error)})", fix) from error
        except pkcs11.PKCS11Error as error:
            fix = "look at the HSM and its log; this process tries again by itself"
            raise HsmError(f"the token {self._token} refused ({_named(error)})", fix) from error

    def _opened(self) -> pkcs11.Session:
        lib = self._module.lib()
        if self._session is None or self._generation != self._module.generation:
            self._keys.clear()
            self._session = self._log_in(lib)
            self._generation = self._module.generation
        return self._session

    def _log_in(self, lib: Any) -> pkcs11.Session:
        import pkcs11  # noqa: PLC0415

        try:
            tokens = list(lib.get_tokens(token_label=self._token))
            if len(tokens) != 1:
                raise self._no_token(lib, len(tokens))
            try:
                opened: pkcs11.Session = tokens[0].open(rw=True, user_pin=self._pin.decode("utf-8"))
            except pkcs11.UserAlreadyLoggedIn:  # by another house of this process
                opened = tokens[0].open(rw=True)
            return opened
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
            fix = "correct hsm.pin_file or IDP_HSM__PIN and start again: this process does not try it a second time"
            raise _WrongPin(f"the token {self._token} does not take this PIN", fix) from error
        except (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized) as error:
            fix = "have the security officer set the user PIN anew"
            raise _WrongPin(
                f"the PIN of the token {self._token} is not usable ({_named(error)})", fix
            ) from error
        except pkcs11.PKCS11Error as error:
            fix = "look at the HSM, its connection and its log; this process tries again by itself"
            raise HsmError(f"the token {self._token} cannot be opened ({_named(error)})", fix) from error

    def _no_key(self, error: _NoSuchKey) -> HsmError:
        by, value = error.which
        name = value.hex() if isinstance(value, bytes) else value
        fix = "restore it from the HSM's backup, or make another (docs/operations.md); idp keys hsm list shows all"
        return _KeyMissing(
            f"the token {self._token} has {error.n or 'no'} {error.kind} with the {by} {name}", fix
        )

    def _no_token(self, lib: Any, n: int) -> HsmError:
        if n:
            return HsmError(f"{n} tokens have the label {self._token}", "give each a label of its own")
        there = sorted({token.label for token in lib.get_tokens() if token.label})
        said = f"there is no token {self._token}; the module shows {', '.join(there) or 'none'}"
        fix = "correct hsm.token, or plug it in; for SoftHSM see SOFTHSM2_CONF and who may read its directory"
        return HsmError(said, fix)


class _Without(Hsm):
    """The HSM of a deployment that has none; keys of an earlier time may still be said to be in one."""

    def __init__(self) -> None:
        super().__init__("", "", b"")

    def _do(self, work: Callable[[pkcs11.Session], Found], which: Filter | None = None) -> Found:
        fix = "set hsm.module again until that key is gone, or rotate it: idp keys rotate --at-once"
        raise HsmError("a key is in an HSM, and the settings name none", fix)


WITHOUT: Hsm = _Without()


def _named(error: Exception) -> str:
    """What a module said, without its words: they may quote what it was given."""
    return type(error).__name__


def _mechanism(name: str) -> Any:
    import pkcs11  # noqa: PLC0415

    return pkcs11.Mechanism[name]


def _one(session: pkcs11.Session, kind: str, which: Filter) -> Any:
    import pkcs11  # noqa: PLC0415

    attributes = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass[kind],
        pkcs11.Attribute[which[0].upper()]: which[1],
    }
    found = list(session.get_objects(attributes))
    if len(found) != 1:
        raise _NoSuchKey(kind, which, len(found))
    return found[0]


def _made(session: pkcs11.Session, kind: str, label: str) -> tuple[bytes, Any]:
    import pkcs11  # noqa: PLC0415
    from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

    key_id = secrets.token_bytes(_ID_BYTES)
    inside = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: False}
    named: dict[str, Any] = {"id": key_id, "label": label, "store": True, "private_template": inside}
    named["capabilities"] = pkcs11.MechanismFlag.SIGN | pkcs11.MechanismFlag.VERIFY
    if kind == "EC":
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        public, _ = parameters.generate_keypair(**named)
    else:
        public, _ = session.generate_keypair(pkcs11.KeyType.RSA, _RSA_BITS, **named)
    return key_id, _public_half(public)


def _public_half(key: Any) -> ec.EllipticCurvePublicKey | rsa.RSAPublicKey:
    import pkcs11  # noqa: PLC0415

    if key.key_type == pkcs11.KeyType.EC:
        # An OCTET STRING by the specification; some modules leave its head out.
        point = key[pkcs11.Attribute.EC_POINT][-_POINT_BYTES:]
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    n, e = (
        int.from_bytes(key[attribute], "big")
        for attribute in (pkcs11.Attribute.MODULUS, pkcs11.Attribute.PUBLIC_EXPONENT)
    )
    return rsa.RSAPublicNumbers(e, n).public_key()


def _held(session: pkcs11.Session) -> Iterator[Held]:
    import pkcs11  # noqa: PLC0415

    for kind in ("PRIVATE_KEY", "PUBLIC_KEY", "SECRET_KEY"):
        found: Any = session.get_objects({pkcs11.Attribute.CLASS: pkcs11.ObjectClass[kind]})
        for key in found:
            type_name = getattr(key.key_type, "name", str(key.key_type))
            yield Held(kind.lower().replace("_", " "), type_name, key.label or "", key.id.hex())
