"""Names of the conditions of a measurement in the languages of laboratories, as patterns of plain letters."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

#: Words that may stand before or behind the name of a condition and leave its meaning as it is.
_QUALIFIERS = (
    "of|the|a|an|during|at|in|de|la|le|les|l|d|del|della|dell|du|da|do|di|des|der|van|het|"
    "membranes?|membran|membraan|membrana|membranaire|membranowa|filters?|filtre|filtro|filtrante|filtration|"
    "filtrazione|filtracion|filtracao|samples?|probe|proben|echantillon|muestra|campione|amostra|monster|test|cell|"
    "disc|disk|specimen|effective|eff|active|effektive|aktive|wirksame|freie|utile|util|efficace|effective|efectiva|"
    "efectivo|efetiva|efetivo|attiva|attivo|activa|activo|ativa|actief|effectief|effectieve|actieve|surface|"
    "water|feed|eau|alimentation|agua|acqua|alimentacion|alimentazione|alimentacao|"
    "transmembrane|trans-membrane|transmembranaire|transmembrana|transmembranaria|applied|appliquee|aplicada|"
    "applicata|operating|working|operacion|operacao|esercizio|trabajo|trabalho|service|constant|konstanter|"
    "differential|differenziale|diferencial|differentielle"
)
_BEFORE = rf"(?:(?:{_QUALIFIERS})[ '\u2019]+)*"
_BEHIND = rf"(?:[ '\u2019]+(?:{_QUALIFIERS})(?!\w))*"
_COMPOUND = r"(?:membran|membraan|filter|proben|wasser|water|feed|zulauf|mess|versuchs|transmembran|differenz|betriebs|"
_COMPOUND += r"test|arbeits|scheiben)?"


@dataclass(frozen=True)
class ConditionName:
    """How lines name a condition.

    Parameters
    ----------
    pattern : str
        Regular expression of its names, in lower case without accents (:func:`plain_letters`).
    si : str
        SI unit of its values.
    begins_clause : bool
        Whether a line, or a part of it, must begin with the name: a result may have such a name in it.
    """

    pattern: str
    si: str
    begins_clause: bool = False


def _qualified(heads: str) -> str:
    return rf"{_BEFORE}(?:{heads}){_BEHIND}"


#: Conditions with a unit, by name.
QUANTITIES: Mapping[str, ConditionName] = {
    "interfacial tension": ConditionName(
        r"interfacial tension|grenzflachenspannung|tension interfaciale|tension interfacial|tensione interfacciale",
        "N m-1",
    ),
    "surface tension": ConditionName(
        r"surface tension|oberflachenspannung|tension superficielle|tension superficial|tensione superficiale|"
        r"tensao superficial|oppervlaktespanning",
        "N m-1",
    ),
    "contact angle": ConditionName(
        r"contact angle|kontaktwinkel|angle de contact|angulo de contacto?|angolo di contatto|contacthoek", "deg"
    ),
    "viscosity": ConditionName(
        r"(?:fluid |liquid )?viscosity|viskositat|viscosite|viscosidade?|viscosita|viscositeit", "Pa s", True
    ),
    "area": ConditionName(
        _qualified(rf"area|aire|surface|superficie|{_COMPOUND}flache|{_COMPOUND}oppervlak(?:te)?|a(?=\s*[=(\[])"), "m2"
    ),
    "diameter": ConditionName(
        _qualified(rf"{_COMPOUND} ?diameter|{_COMPOUND} ?durchmesser|diametre|diametro|d(?=\s*=)|\u00f8|\u2300"),
        "m", True,
    ),
    "thickness": ConditionName(
        r"(?:sample |membrane )?thickness|(?:proben|membran)?dicke|epaisseur|espesor|spessore|espessura|dikte",
        "m", True,
    ),
    "temperature": ConditionName(
        _qualified(rf"{_COMPOUND}temp(?:eratur(?:e|a)?|eratuur)?\.?|t(?=\s*[:=(\[/])"), "K", True
    ),
    "permeate pressure": ConditionName(
        r"permeate (?:side )?pressure|permeatdruck|barometric pressure|atmospheric pressure|luftdruck|"
        r"pression (?:du )?permeat|presion (?:del? )?permeado|pression atmospherique|presion atmosferica",
        "Pa", True,
    ),
    "pressure": ConditionName(
        _qualified(
            rf"pressure(?: difference)?|tmp|{_COMPOUND}druck|druckdifferenz|pression|presion|pressione|pressao|"
            r"druk|drukverschil|ptm|(?:\u03b4|delta )?p(?=\s*[:=(\[/])|dp"
        ),
        "Pa", True,
    ),
    "flux": ConditionName(r"(?:permeate )?flux|j(?=\s*[:=])", "m s-1", True),
    "dry mass": ConditionName(r"sample (?:weight|mass)|probenmasse|einwaage", "kg"),
    "collection time": ConditionName(
        r"(?:collection|collecting|sampling) time|sammel(?:zeit|dauer)|"
        r"(?:duree|temps) de (?:collecte|recueil)|tiempo de (?:recoleccion|recogida)|tempo di raccolta|"
        r"tempo de (?:coleta|recolha)|verzameltijd",
        "s", True,
    ),
}  # fmt: skip
#: Conditions without a unit.
NUMBERS = {"shape factor": r"shape factor|tortuosity|formfaktor|facteur de forme|factor de forma"}
#: Conditions that are words.
TEXTS = {
    "membrane": (
        r"(?:sample|membrane|specimen|proben?|membran|membraan|membrana|echantillon|muestra|campione|amostra|monster)"
        r"[ -]?(?:id|name|code|nr\.?|no\.?)?"
    ),
    "liquid": r"(?:wetting |test )?(?:liquid|fluid)(?: used)?|(?:benetzungs|pruf)flussigkeit|liquide|liquido",
    "gas": r"(?:test )?gas(?: used)?|prufgas|gaz",
}
#: Text that looks like a temperature.
LOOKS_LIKE_TEMPERATURE = r"temp(?:erat\w*)?\b.{0,40}?\d|\d\s*(?:°\s*[cfk]\b|deg\s?[cf]\b|celsius)"


def plain_letters(text: str) -> str:
    """Text in lower case without accents, each character in its place."""
    if text.isascii():
        return text.lower()
    return "".join(_plain_letter(character) for character in text)


def _plain_letter(character: str) -> str:
    decomposed = unicodedata.normalize("NFD", character.casefold())
    is_accented = len(decomposed) > 1 and all(unicodedata.combining(c) for c in decomposed[1:])
    return decomposed[0] if is_accented or len(decomposed) == 1 else character
