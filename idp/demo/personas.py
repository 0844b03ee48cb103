"""The people of the demonstration. All of them are invented; numbers follow no real scheme.

Each stands for one thing that can happen at a sign-in: see `note`.
"""

import base64
import hashlib
import struct
import zlib
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

_SEOUL = timezone(timedelta(hours=9))


class Status(StrEnum):
    """What the authority says about a credential today."""

    VALID = "valid"
    REVOKED = "revoked"
    SUSPENDED = "suspended"
    EXPIRED = "expired"


class Behaviour(StrEnum):
    """What a persona's wallet does when nobody chooses otherwise."""

    ANSWERS = "answers"
    REFUSES = "refuses"
    NEVER_ANSWERS = "never answers"
    WRONG_NONCE = "wrong nonce"


@dataclass(frozen=True)
class Persona:
    """An invented holder. `birthdate` and the passport's dates are ISO 8601; `sex` is ISO 5218.

    `secure` holders unlocked the wallet with PIN and face, the others with the PIN alone. `siblings` are the cards
    they hold beside the overseas certificate, by the ids of their credential types.
    """

    id: str
    name: str
    family_name: str
    given_name: str
    birthdate: str
    sex: int
    mission: str
    address: str
    registration_number: str
    passport_number: str
    note_ko: str
    note_en: str
    secure: bool = True
    status: Status = Status.VALID
    behaviour: Behaviour = Behaviour.ANSWERS
    siblings: tuple[str, ...] = ()

    @property
    def latin_name(self) -> str:
        """Family name first, as on a Korean passport."""
        return f"{self.family_name} {self.given_name}"

    def authentication(self) -> list[str]:
        """`user_authentication` of the credential, values of RFC 8176."""
        return ["hwk", "pin", "face"] if self.secure else ["hwk", "pin"]

    def claims(self, mission: dict[str, Any]) -> dict[str, Any]:
        """The elements that a credential lets its holder disclose one by one."""
        age = _age(self.birthdate)
        return {
            "name": self.name,
            "family_name": self.family_name,
            "given_name": self.given_name,
            "birthdate": self.birthdate,
            "age_equal_or_over": {"14": age >= 14, "19": age >= 19},
            "sex": self.sex,
            "nationalities": ["KR"],
            "address": {"formatted": self.address},
            "issuing_mission": {
                "code": self.mission,
                "name_ko": mission["name"]["ko"],
                "name_en": mission["name"]["en"],
            },
            "overseas_registration_number": self.registration_number,
            "passport": {
                "number": self.passport_number,
                "type": "PM",
                "issuing_country": "KOR",
                "issuing_authority": "MINISTRY OF FOREIGN AFFAIRS",
                "issue_date": "2023-05-16",
                "expiry_date": "2033-05-16",
            },
            "picture": portrait(self.id),
            "license_number": self._number("licence", "11-{:02}-{:06}-{:02}"),
            "civil_servant_number": self._number("civil servant", "20{:02}-{:06}{:02}"),
            "veteran_number": self._number("veteran", "{:02}-{:06}-{:02}"),
            "kr_ci": base64.b64encode(hashlib.sha512(f"ci:{self.id}".encode()).digest()).decode("ascii"),
        }

    def _number(self, kind: str, form: str) -> str:
        """A number of this person's, always the same; it follows no real scheme."""
        seed = int.from_bytes(hashlib.sha256(f"{kind} {self.id}".encode()).digest()[:8], "big")
        return form.format(seed % 25, seed // 25 % 1_000_000, seed // 25_000_000 % 100)


def _age(birthdate: str) -> int:
    today = datetime.now(_SEOUL).date()
    year, month, day = (int(part) for part in birthdate.split("-"))
    return today.year - year - ((today.month, today.day) < (month, day))


def _fifteen_years_ago() -> str:
    """A birthdate that is fifteen years old on every day after 2 January, whenever this is read."""
    return f"{datetime.now(_SEOUL).year - 15}-01-02"


_LONG_GIVEN_NAME = "MARIA-FERNANDA D'ANGELO SEO-YEON ALEXANDRA-JOSEPHINE KI-HYEO"

PERSONAS: tuple[Persona, ...] = (
    Persona(
        "hong", "홍길동", "HONG", "GILDONG", "1985-03-14", 1, "LAX",
        "3243 Wilshire Blvd, Los Angeles, CA 90010, USA", "LAX-2024-0000017", "M000A0001",
        "유효, PIN과 얼굴 인증", "Valid, PIN and face",
        siblings=("kr-driving-licence", "kr-resident"),
    ),
    Persona(
        "kim", "김영희", "KIM", "YOUNGHEE", "1992-11-02", 2, "AKL",
        "205 Queen Street, Auckland 1010, New Zealand", "AKL-2024-0000023", "M000A0002",
        "유효, PIN만 인증 (보안 수준이 낮음)", "Valid, PIN only (not enough for “secure”)",
        secure=False,
        siblings=("kr-civil-servant",),
    ),
    Persona(
        "park", "박민수", "PARK", "MINSU", _fifteen_years_ago(), 1, "HAN",
        "Keangnam Tower, Pham Hung, Hanoi, Viet Nam", "HAN-2024-0000031", "M000A0003",
        "만 15세", "Aged 15",
    ),
    Persona(
        "namgoong", "남궁민", "NAMGOONG", "MIN", "1979-07-30", 1, "BJS",
        "20 Dongfang East Road, Chaoyang, Beijing, China", "BJS-2024-0000044", "M000A0004",
        "두 글자 성씨", "Surname of two syllables",
        siblings=("kr-veteran", "kr-driving-licence"),
    ),
    Persona(
        "choi", "최장", "CHOI", _LONG_GIVEN_NAME, "1968-12-25", 2, "BRU",
        "Chaussée de la Hulpe 175, 1170 Brussels, Belgium", "BRU-2024-0000052", "M000A0005",
        "영문 이름이 60자", "Given name of 60 Latin letters",
        siblings=("kr-resident", "kr-civil-servant"),
    ),
    Persona(
        "lee", "이수진", "LEE", "SUJIN", "1990-06-18", 2, "SAO",
        "Av. Paulista 37, São Paulo, Brazil", "SAO-2024-0000068", "M000A0006",
        "폐기된 증명서", "Certificate revoked",
        status=Status.REVOKED,
    ),
    Persona(
        "jung", "정하늘", "JUNG", "HANEUL", "1988-01-09", 2, "JKT",
        "Jl. Jend. Gatot Subroto 57, Jakarta, Indonesia", "JKT-2024-0000071", "M000A0007",
        "정지된 증명서", "Certificate suspended",
        status=Status.SUSPENDED,
    ),
    Persona(
        "yoon", "윤서준", "YOON", "SEOJUN", "1996-09-21", 1, "MNL",
        "122 Upper McKinley Road, Taguig, Philippines", "MNL-2024-0000086", "M000A0008",
        "유효기간이 지난 증명서", "Certificate expired",
        status=Status.EXPIRED,
    ),
    Persona(
        "shin", "신새벽", "SHIN", "SAEBYEOK", "2000-02-29", 2, "NEW",
        "Demonstration address 1", "NEW-2099-0000001", "M000A0009",
        "아직 발급을 시작하지 않은 공관", "From a mission that is not open yet",
    ),
    Persona(
        "baek", "백두루", "BAEK", "DURU", "1998-05-17", 1, "X01",
        "Demonstration address 2", "X01-2025-0000001", "M000A0013",
        "목록에 아직 없는 공관 (more_missions.toml을 적용하면 유효)",
        "From a mission that is in no list yet (valid once more_missions.toml is applied)",
    ),
    Persona(
        "kang", "강단호", "KANG", "DANHO", "1975-04-05", 1, "OTT",
        "150 Boteler Street, Ottawa, Canada", "OTT-2024-0000093", "M000A0010",
        "항상 거절", "Always refuses",
        behaviour=Behaviour.REFUSES,
    ),
    Persona(
        "moon", "문고요", "MOON", "GOYO", "1983-08-08", 2, "PRY",
        "265 Melk Street, Pretoria, South Africa", "PRY-2024-0000105", "M000A0011",
        "응답하지 않음", "Never answers",
        behaviour=Behaviour.NEVER_ANSWERS,
    ),
    Persona(
        "oh", "오엇나", "OH", "EOTNA", "1994-10-10", 1, "LAX",
        "3243 Wilshire Blvd, Los Angeles, CA 90010, USA", "LAX-2024-0000118", "M000A0012",
        "지갑이 잘못된 nonce로 응답", "Wallet answers with the wrong nonce",
        behaviour=Behaviour.WRONG_NONCE,
    ),
)  # fmt: skip

_SURNAMES = (("김", "KIM"), ("이", "LEE"), ("박", "PARK"), ("최", "CHOI"), ("정", "JUNG"), ("제갈", "JEGAL"))
_SYLLABLES = (
    ("가온", "GAON"), ("나래", "NARAE"), ("다솜", "DASOM"), ("라온", "RAON"), ("마루", "MARU"),
    ("바다", "BADA"), ("사랑", "SARANG"), ("아람", "ARAM"), ("자람", "JARAM"), ("하람", "HARAM"),
)  # fmt: skip
_OPEN_MISSIONS = ("LAX", "AKL", "BJS", "HAN", "JKT", "MNL", "SAO", "PRY", "OTT", "BRU")


def invented(number: int) -> Persona:
    """The n-th of any number of further people, always the same for the same number: for load and tests."""
    surname, latin_surname = _SURNAMES[number % len(_SURNAMES)]
    first, latin_first = _SYLLABLES[number // 10 % len(_SYLLABLES)]
    last, latin_last = _SYLLABLES[number % len(_SYLLABLES)]
    seed = hashlib.sha256(f"persona {number}".encode()).digest()
    year, month, day = 1940 + seed[0] % 60, 1 + seed[1] % 12, 1 + seed[2] % 28
    mission = _OPEN_MISSIONS[seed[3] % len(_OPEN_MISSIONS)]
    return Persona(
        id=f"invented-{number}",
        name=f"{surname}{first}{last}{number}",
        family_name=latin_surname,
        given_name=f"{latin_first}{latin_last} N{number}",
        birthdate=f"{year}-{month:02}-{day:02}",
        sex=1 + seed[4] % 2,
        mission=mission,
        address=f"{1000 + number} Invented Avenue, Apt {seed[5]}",
        registration_number=f"{mission}-2025-{number:07}",
        passport_number=f"M{seed[6] % 10}{seed[7] % 10}0B{number:04}",
        note_ko="만들어 낸 사람",
        note_en="An invented person",
    )


_PORTRAIT_WIDTH, _PORTRAIT_HEIGHT = 60, 76


def portrait(seed: str) -> str:
    """A drawn silhouette as a PNG data URI, a few hundred bytes; its colours follow the seed."""
    hue = hashlib.sha256(seed.encode("utf-8")).digest()
    palette = bytes((236, 240, 245)) + bytes(60 + value // 3 for value in hue[:3]) + bytes((226, 188, 160))
    rows = bytearray()
    for y in range(_PORTRAIT_HEIGHT):
        rows += b"\0" + bytes(_portrait_colour(x, y) for x in range(_PORTRAIT_WIDTH))
    header = struct.pack(">IIBBBBB", _PORTRAIT_WIDTH, _PORTRAIT_HEIGHT, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _portrait_colour(x: int, y: int) -> int:
    """Index into the palette: 0 background, 1 hair and clothes, 2 skin."""
    if ((x - 30) / 12) ** 2 + ((y - 31) / 15) ** 2 <= 1:
        return 1 if y < 23 else 2
    if ((x - 30) / 14) ** 2 + ((y - 28) / 16) ** 2 <= 1 and y < 34:
        return 1
    if abs(x - 30) < 5 and 44 <= y < 52:
        return 2
    return 1 if ((x - 30) / 26) ** 2 + ((y - 76) / 27) ** 2 <= 1 else 0


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
