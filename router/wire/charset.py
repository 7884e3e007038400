"""Collations and character sets of MySQL 9.7 and MariaDB 10.11, and how Python decodes them.

Generated from the servers' ``information_schema``: ``COLLATIONS``, and for MariaDB
``COLLATION_CHARACTER_SET_APPLICABILITY``, which has ids for the collations that serve several character sets. An id
means a collation on one server flavor: ids above 255 and a few below mean another, or none, on the other flavor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Flavor = Literal["mysql", "mariadb"]

BINARY: Final = 63
"""The collation id of byte strings, and of numbers and dates in column definitions."""

UTF8MB4_GENERAL_CI: Final = 45
"""A collation of utf8mb4 that every server knows and that fits the one byte of a greeting."""


@dataclass(frozen=True, slots=True)
class Collation:
    """A collation. ``default`` tells that its character set uses it when none is named."""

    id: int
    name: str
    charset: str
    default: bool


# character set, then id:name without the set's prefix, * for the default; "=" where the name is the set's own
_COMMON = """
big5 1:chinese_ci* 84:bin
latin2 2:czech_cs 9:general_ci* 21:hungarian_ci 27:croatian_ci 77:bin
dec8 3:swedish_ci* 69:bin
cp850 4:general_ci* 80:bin
latin1 5:german1_ci 8:swedish_ci* 15:danish_ci 31:german2_ci 47:bin 48:general_ci 49:general_cs 94:spanish_ci
hp8 6:english_ci* 72:bin
koi8r 7:general_ci* 74:bin
swe7 10:swedish_ci* 82:bin
ascii 11:general_ci* 65:bin
ujis 12:japanese_ci* 91:bin
sjis 13:japanese_ci* 88:bin
cp1251 14:bulgarian_ci 23:ukrainian_ci 50:bin 51:general_ci* 52:general_cs
hebrew 16:general_ci* 71:bin
tis620 18:thai_ci* 89:bin
euckr 19:korean_ci* 85:bin
latin7 20:estonian_cs 41:general_ci* 42:general_cs 79:bin
koi8u 22:general_ci* 75:bin
gb2312 24:chinese_ci* 86:bin
greek 25:general_ci* 70:bin
cp1250 26:general_ci* 34:czech_cs 44:croatian_ci 66:bin 99:polish_ci
gbk 28:chinese_ci* 87:bin
cp1257 29:lithuanian_ci 58:bin 59:general_ci*
latin5 30:turkish_ci* 78:bin
armscii8 32:general_ci* 64:bin
utf8mb3 33:general_ci* 83:bin 192:unicode_ci 193:icelandic_ci 194:latvian_ci 195:romanian_ci 196:slovenian_ci
utf8mb3 197:polish_ci 198:estonian_ci 199:spanish_ci 200:swedish_ci 201:turkish_ci 202:czech_ci 203:danish_ci
utf8mb3 204:lithuanian_ci 205:slovak_ci 206:spanish2_ci 207:roman_ci 208:persian_ci 209:esperanto_ci 210:hungarian_ci
utf8mb3 211:sinhala_ci 212:german2_ci 214:unicode_520_ci 215:vietnamese_ci 223:general_mysql500_ci
ucs2 35:general_ci* 90:bin 128:unicode_ci 129:icelandic_ci 130:latvian_ci 131:romanian_ci 132:slovenian_ci
ucs2 133:polish_ci 134:estonian_ci 135:spanish_ci 136:swedish_ci 137:turkish_ci 138:czech_ci 139:danish_ci
ucs2 140:lithuanian_ci 141:slovak_ci 142:spanish2_ci 143:roman_ci 144:persian_ci 145:esperanto_ci 146:hungarian_ci
ucs2 147:sinhala_ci 148:german2_ci 150:unicode_520_ci 151:vietnamese_ci 159:general_mysql500_ci
cp866 36:general_ci* 68:bin
keybcs2 37:general_ci* 73:bin
macce 38:general_ci* 43:bin
macroman 39:general_ci* 53:bin
cp852 40:general_ci* 81:bin
utf8mb4 46:bin 224:unicode_ci 225:icelandic_ci 226:latvian_ci 227:romanian_ci 228:slovenian_ci 229:polish_ci
utf8mb4 230:estonian_ci 231:spanish_ci 232:swedish_ci 233:turkish_ci 234:czech_ci 235:danish_ci 236:lithuanian_ci
utf8mb4 237:slovak_ci 238:spanish2_ci 239:roman_ci 240:persian_ci 241:esperanto_ci 242:hungarian_ci 243:sinhala_ci
utf8mb4 244:german2_ci 246:unicode_520_ci 247:vietnamese_ci
utf16 54:general_ci* 55:bin 101:unicode_ci 102:icelandic_ci 103:latvian_ci 104:romanian_ci 105:slovenian_ci
utf16 106:polish_ci 107:estonian_ci 108:spanish_ci 109:swedish_ci 110:turkish_ci 111:czech_ci 112:danish_ci
utf16 113:lithuanian_ci 114:slovak_ci 115:spanish2_ci 116:roman_ci 117:persian_ci 118:esperanto_ci 119:hungarian_ci
utf16 120:sinhala_ci 121:german2_ci 123:unicode_520_ci 124:vietnamese_ci
utf16le 56:general_ci* 62:bin
cp1256 57:general_ci* 67:bin
utf32 60:general_ci* 61:bin 160:unicode_ci 161:icelandic_ci 162:latvian_ci 163:romanian_ci 164:slovenian_ci
utf32 165:polish_ci 166:estonian_ci 167:spanish_ci 168:swedish_ci 169:turkish_ci 170:czech_ci 171:danish_ci
utf32 172:lithuanian_ci 173:slovak_ci 174:spanish2_ci 175:roman_ci 176:persian_ci 177:esperanto_ci 178:hungarian_ci
utf32 179:sinhala_ci 180:german2_ci 182:unicode_520_ci 183:vietnamese_ci
binary 63:=*
geostd8 92:general_ci* 93:bin
cp932 95:japanese_ci* 96:bin
eucjpms 97:japanese_ci* 98:bin
"""

_MYSQL = """
utf8mb4 45:general_ci 245:croatian_ci 255:0900_ai_ci* 256:de_pb_0900_ai_ci 257:is_0900_ai_ci 258:lv_0900_ai_ci
utf8mb4 259:ro_0900_ai_ci 260:sl_0900_ai_ci 261:pl_0900_ai_ci 262:et_0900_ai_ci 263:es_0900_ai_ci 264:sv_0900_ai_ci
utf8mb4 265:tr_0900_ai_ci 266:cs_0900_ai_ci 267:da_0900_ai_ci 268:lt_0900_ai_ci 269:sk_0900_ai_ci
utf8mb4 270:es_trad_0900_ai_ci 271:la_0900_ai_ci 273:eo_0900_ai_ci 274:hu_0900_ai_ci 275:hr_0900_ai_ci
utf8mb4 277:vi_0900_ai_ci 278:0900_as_cs 279:de_pb_0900_as_cs 280:is_0900_as_cs 281:lv_0900_as_cs 282:ro_0900_as_cs
utf8mb4 283:sl_0900_as_cs 284:pl_0900_as_cs 285:et_0900_as_cs 286:es_0900_as_cs 287:sv_0900_as_cs 288:tr_0900_as_cs
utf8mb4 289:cs_0900_as_cs 290:da_0900_as_cs 291:lt_0900_as_cs 292:sk_0900_as_cs 293:es_trad_0900_as_cs
utf8mb4 294:la_0900_as_cs 296:eo_0900_as_cs 297:hu_0900_as_cs 298:hr_0900_as_cs 300:vi_0900_as_cs 303:ja_0900_as_cs
utf8mb4 304:ja_0900_as_cs_ks 305:0900_as_ci 306:ru_0900_ai_ci 307:ru_0900_as_cs 308:zh_0900_as_cs 309:0900_bin
utf8mb4 310:nb_0900_ai_ci 311:nb_0900_as_cs 312:nn_0900_ai_ci 313:nn_0900_as_cs 314:sr_latn_0900_ai_ci
utf8mb4 315:sr_latn_0900_as_cs 316:bs_0900_ai_ci 317:bs_0900_as_cs 318:bg_0900_ai_ci 319:bg_0900_as_cs
utf8mb4 320:gl_0900_ai_ci 321:gl_0900_as_cs 322:mn_cyrl_0900_ai_ci 323:mn_cyrl_0900_as_cs
utf8mb3 76:tolower_ci 213:croatian_ci
utf16 122:croatian_ci
ucs2 149:croatian_ci
utf32 181:croatian_ci
gb18030 248:chinese_ci* 249:bin 250:unicode_520_ci
"""

_MARIADB = """
utf8mb4 45:general_ci* 245:croatian_mysql561_ci 608:croatian_ci 609:myanmar_ci 610:thai_520_w2
utf16 122:croatian_mysql561_ci 672:croatian_ci 673:myanmar_ci 674:thai_520_w2
ucs2 149:croatian_mysql561_ci 640:croatian_ci 641:myanmar_ci 642:thai_520_w2
utf32 181:croatian_mysql561_ci 736:croatian_ci 737:myanmar_ci 738:thai_520_w2
utf8mb3 213:croatian_mysql561_ci 576:croatian_ci 577:myanmar_ci 578:thai_520_w2
"""

# MariaDB: the id of a collation that does not pad is 1024 above that of its padding twin
_MARIADB_NOPAD_OFFSET: Final = 1024
_MARIADB_NOPAD: Final = (
    "1 3-4 6-13 16 18-19 22 24-26 28 30 32-33 35-41 43 45-47 50-51 "
    "53-62 64-75 77-93 95-98 101 123 128 150 160 182 192 214 224 246"
)

# MariaDB: 256 ids per character set, 8 per language: 4 for nopad, 2 for accent sensitive, 1 for case sensitive
_UCA1400_BASES: Final = {"utf8mb3": 2048, "utf8mb4": 2304, "ucs2": 2560, "utf16": 2816, "utf32": 3072}
_UCA1400_LANGUAGES: Final = (
    "", "icelandic", "latvian", "romanian", "slovenian", "polish", "estonian", "spanish", "swedish", "turkish",
    "czech", "danish", "lithuanian", "slovak", "spanish2", "roman", "persian", "esperanto", "hungarian", "sinhala",
    "german2", None, None, "vietnamese", "croatian",
)  # fmt: skip


def _parse(table: str) -> list[Collation]:
    found = []
    for line in table.strip().splitlines():
        charset, *entries = line.split()
        for entry in entries:
            number, _, suffix = entry.partition(":")
            default = suffix.endswith("*")
            suffix = suffix.rstrip("*")
            name = charset if suffix == "=" else f"{charset}_{suffix}"
            found.append(Collation(int(number), name, charset, default))
    return found


def _uca1400() -> list[Collation]:
    found = []
    for charset, base in _UCA1400_BASES.items():
        for place, language in enumerate(_UCA1400_LANGUAGES):
            for bits in range(8) if language is not None else ():
                nopad = "_nopad" if bits & 4 else ""
                accent = "_as" if bits & 2 else "_ai"
                case = "_cs" if bits & 1 else "_ci"
                name = f"{charset}_uca1400" + (f"_{language}" if language else "") + nopad + accent + case
                found.append(Collation(base + place * 8 + bits, name, charset, False))
    return found


def _nopad(padding: dict[int, Collation]) -> list[Collation]:
    found = []
    for span in _MARIADB_NOPAD.split():
        first, _, last = span.partition("-")
        for number in range(int(first), int(last or first) + 1):
            twin = padding[number]
            stem, _, kind = twin.name.rpartition("_")
            found.append(Collation(number + _MARIADB_NOPAD_OFFSET, f"{stem}_nopad_{kind}", twin.charset, False))
    return found


def _by_id(*groups: list[Collation]) -> dict[int, Collation]:
    return {item.id: item for group in groups for item in group}


_common = _parse(_COMMON)
_mariadb = _by_id(_common, _parse(_MARIADB))
_COLLATIONS: Final[dict[Flavor, dict[int, Collation]]] = {
    "mysql": _by_id(_common, _parse(_MYSQL)),
    "mariadb": _mariadb | _by_id(_nopad(_mariadb), _uca1400()),
}
_BY_NAME: Final[dict[Flavor, dict[str, Collation]]] = {
    flavor: {item.name: item for item in table.values()} for flavor, table in _COLLATIONS.items()
}
_DEFAULTS: Final[dict[Flavor, dict[str, Collation]]] = {
    flavor: {item.charset: item for item in table.values() if item.default} for flavor, table in _COLLATIONS.items()
}


def collation(number: int, flavor: Flavor) -> Collation | None:
    """The collation a server of this flavor means by an id, None if it has none of that id."""
    return _COLLATIONS[flavor].get(number)


def collation_named(name: str, flavor: Flavor) -> Collation | None:
    """The collation of a name in any case; ``utf8_…`` is the old name of ``utf8mb3_…``."""
    name = name.lower()
    if name.startswith("utf8_"):
        name = "utf8mb3_" + name.removeprefix("utf8_")
    return _BY_NAME[flavor].get(name)


def default_collation(charset: str, flavor: Flavor) -> Collation | None:
    """The collation a server of this flavor (as installed) gives a character set; ``utf8`` is ``utf8mb3``."""
    charset = charset.lower()
    return _DEFAULTS[flavor].get("utf8mb3" if charset == "utf8" else charset)


MULTIBYTE_UNSAFE: Final = frozenset({"big5", "cp932", "gb18030", "gbk", "sjis"})
"""Character sets in which the second byte of a character may look like a backslash, back-tick or other ASCII sign.

Measured on both servers over all pairs of bytes. In euckr second bytes may be ASCII letters, never signs.
"""

# Compared with both servers over all one- and two-byte characters. Exact but for: latin1 (five control codes Python
# refuses), and single characters of big5, cp866, gb18030, greek, hebrew, koi8u, sjis, tis620; ujis lacks its private
# area. dec8, swe7, armscii8, keybcs2, geostd8 and eucjpms have no codec that comes near.
_CODECS: Final = {
    "ascii": "ascii",
    "big5": "big5",
    "cp1250": "cp1250",
    "cp1251": "cp1251",
    "cp1256": "cp1256",
    "cp1257": "cp1257",
    "cp850": "cp850",
    "cp852": "cp852",
    "cp866": "cp866",
    "cp932": "cp932",
    "euckr": "cp949",
    "gb18030": "gb18030",
    "gb2312": "gb2312",
    "gbk": "gbk",
    "greek": "iso8859-7",
    "hebrew": "iso8859-8",
    "hp8": "hp-roman8",
    "koi8r": "koi8-r",
    "koi8u": "koi8-u",
    "latin1": "cp1252",
    "latin2": "iso8859-2",
    "latin5": "iso8859-9",
    "latin7": "iso8859-13",
    "macce": "mac-latin2",
    "macroman": "mac-roman",
    "sjis": "shift_jis",
    "tis620": "tis-620",
    "ucs2": "utf-16-be",
    "ujis": "euc_jp",
    "utf16": "utf-16-be",
    "utf16le": "utf-16-le",
    "utf32": "utf-32-be",
    "utf8": "utf-8",
    "utf8mb3": "utf-8",
    "utf8mb4": "utf-8",
}


def python_codec(charset: str) -> str | None:
    """Python's codec for text in a MySQL character set; None for ``binary`` and where Python has none.

    Server text may hold bytes a codec refuses: decode with an error handler.
    """
    return _CODECS.get(charset.lower())
