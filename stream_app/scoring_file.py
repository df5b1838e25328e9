"""The ``[scoring]`` table of a TOML file: the scorer's parameters. tune writes it, worker and evaluate read.

The table holds any parameter of :class:`core.params.ScoringParameters`, and ``preset``, which gives those
that it does not name. Six of them may also stand at the top of a worker's settings (:data:`FLAT_KEYS`); where
a key is given in both places the one at the top wins.

Parameters that are not exactly a preset's are named by a digest of them, such as ``vstan+7f3a92``: an answer
that names them says so, whoever changed what.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

from core.errors import InvalidParameterError, SettingsError
from core.params import ScoringParameters
from core.presets import PRESETS

DEFAULT_PRESET: Final = "blend"

#: Keys that may stand at the top of a settings file as well as in its ``[scoring]`` table.
FLAT_KEYS: Final[tuple[str, ...]] = (
    "preset",
    "exclude",
    "recommendations",
    "neighbours",
    "sessions_per_item",
    "last_clicks",
)

#: A name is in every answer, so it is short.
MAX_NAME_CHARACTERS: Final = 60

_DIGEST_BYTES: Final = 3
_FIELDS: Final = {field.name: field for field in msgspec.structs.fields(ScoringParameters)}
_BASIC_STRING_ESCAPES: Final = {0x7F: "\\u007F"}  # the one that JSON leaves alone and TOML does not take


def scoring_parameters(
    table: Mapping[str, Any], flat: Mapping[str, Any] | None = None, where: str = "[scoring]"
) -> ScoringParameters:
    """The parameters that a ``[scoring]`` table and the keys beside it stand for, checked and named.

    Args:
        table: of the file or of the variable; ``preset`` and any parameter.
        flat: values of :data:`FLAT_KEYS` that win over the table's; None among them means not given.
        where: what an error says of the table's place.

    Returns:
        The preset with what differs from it. ``name`` is the preset's when nothing does; else the table's
        ``name``, or the preset's, then ``+`` and a digest of all the other parameters.

    Raises:
        SettingsError: an unknown key or preset (with the nearest known one), or a value of the wrong kind or
            out of its range.
    """
    above = {key: value for key, value in (flat or {}).items() if value is not None}
    base = known_preset(above.pop("preset", None) or table.get("preset", DEFAULT_PRESET), where)
    changes = {key: value for key, value in table.items() if key != "preset"}
    for key in changes:
        if key not in _FIELDS:
            raise SettingsError(f"{where} has no parameter {key!r}{nearest(key, ['preset', *_FIELDS])}")
    name = changes.pop("name", base)
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise SettingsError(f"{where} name is {name!r}, expected text of 1 to {MAX_NAME_CHARACTERS} letters")
    of_preset = msgspec.structs.asdict(PRESETS[base])
    _checked({**of_preset, **changes}, where)  # what is overruled is to be right all the same
    return named(_checked({**of_preset, **changes, **above}, where), name)


def named(parameters: ScoringParameters, name: str) -> ScoringParameters:
    """The same parameters under a name that tells them apart from all others.

    Args:
        parameters: any.
        name: of a preset, or a person's own.

    Returns:
        With ``name`` alone where that preset has just these parameters; else ``name+digest``.
    """
    if name in PRESETS and msgspec.structs.replace(parameters, name=PRESETS[name].name) == PRESETS[name]:
        return PRESETS[name]
    return msgspec.structs.replace(parameters, name=f"{name}+{digest(parameters)}")


def digest(parameters: ScoringParameters) -> str:
    """Six hexadecimal digits of all parameters but the name.

    Only those that differ from the class's defaults are taken in, so that a parameter which a later version
    adds, switched off, leaves the digests of before as they were.
    """
    plain = ScoringParameters()
    changed = {
        key: getattr(parameters, key)
        for key in sorted(_FIELDS)
        if key != "name" and getattr(parameters, key) != getattr(plain, key)
    }
    return hashlib.blake2b(msgspec.json.encode(changed), digest_size=_DIGEST_BYTES).hexdigest()


def read_scoring(path: Path) -> ScoringParameters:
    """The parameters of a TOML file: of its ``[scoring]`` table and of the scoring keys at its top.

    Raises:
        SettingsError: the file cannot be read, is not TOML, says nothing of scoring, or something wrong.
    """
    return scoring_parameters(scoring_table(path), where=f"[scoring] in {path}:")


def scoring_table(path: Path) -> dict[str, Any]:
    """What a TOML file says of scoring, as one table; the keys at its top win over ``[scoring]``.

    Other keys are the worker's and are not looked at, so that one file serves all commands.

    Raises:
        SettingsError: the file cannot be read, is not TOML, or says nothing of scoring.
    """
    content = read_toml(path)
    table = content.get("scoring", {})
    if not isinstance(table, dict):
        raise SettingsError(f"scoring in {path} is {table!r}, expected a table: [scoring]")
    table |= {key: content[key] for key in FLAT_KEYS if key in content}
    if not table:
        raise SettingsError(f"{path} has no [scoring] table; `nextclick tune` writes one")
    return table


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds.

    Raises:
        SettingsError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {path} is not TOML: {error}") from None


def scoring_toml(parameters: ScoringParameters, preset: str, name: str, comments: Iterable[str] = ()) -> str:
    """The text of a file whose ``[scoring]`` table has all of the parameters.

    Args:
        parameters: written one a line, in the order of the class; their name is not, see ``name``.
        preset: what gives the parameters that a later version adds.
        name: what answers call them, before the digest.
        comments: lines that go before the table; a character that is not to be printed becomes ``?``.
    """
    values = {"preset": preset, **msgspec.structs.asdict(parameters), "name": name}
    return "".join(
        [
            *(f"# {_printable(comment)}".rstrip() + "\n" for comment in comments),
            "\n[scoring]\n",
            *(f"{key} = {_toml(value)}\n" for key, value in values.items()),
        ]
    )


def write_atomically(path: Path, text: str) -> None:
    """Write a file so that at any moment either the old content or the new one is there.

    Raises:
        SettingsError: it cannot be written.
    """
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)  # made for its owner alone; parameters are no secret
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SettingsError(f"{path} cannot be written: {error.strerror}") from None


def known_preset(name: object, where: str = "[scoring]") -> str:
    """The name, if a preset has it.

    Raises:
        SettingsError: none has; with the nearest one and all of them.
    """
    if isinstance(name, str) and name in PRESETS:
        return name
    hint = nearest(str(name), PRESETS)
    raise SettingsError(f"{where} preset is {name!r}, expected one of {', '.join(PRESETS)}{hint}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error's sentence: the known name that is nearest, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"; did you mean {near[0]}?" if near else ""


def _checked(values: dict[str, Any], where: str) -> ScoringParameters:
    try:
        return msgspec.convert(values, ScoringParameters)
    except InvalidParameterError as error:
        raise SettingsError(f"{where} {error}") from None
    except msgspec.ValidationError as error:
        key = re.split(r"[.\[]", str(error).rpartition("`$.")[2].rstrip("`"))[0]
        raise SettingsError(
            f"{where} {key} is {values[key]!r}, expected {_kind(_FIELDS[key].type)}"
        ) from None


def _kind(kind: Any) -> str:
    """What values a field takes, in words."""
    if choices := get_args(kind):
        return f"one of {', '.join(map(str, choices))}"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}.get(kind, str(kind))


def _toml(value: bool | float | str) -> str:  # noqa: FBT001 -- a value of the table, not a flag
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).translate(_BASIC_STRING_ESCAPES)
    return repr(value)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
