"""Quantities that a column of a laboratory table may hold, by their names in several languages and by their units."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

#: Units of a number without dimension; percent is one of them.
NUMBER = ("1",)


@dataclass(frozen=True)
class Role:
    """A quantity: its usual names and its SI units; no units for labels.

    Parameters
    ----------
    names : tuple of str
        Folded (:func:`folded`): lower case, without accents and punctuation.
    units : tuple of str
        SI units that it may have.
    unit_optional : bool
        Whether a column without a unit is accepted.
    """

    names: tuple[str, ...]
    units: tuple[str, ...] = ()
    unit_optional: bool = False


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


_PRESSURE, _FLUX, _FLOW = ("Pa",), ("m s-1", "kg m-2 s-1"), ("m3 s-1",)
ROLES: Mapping[str, Role] = {
    "membrane": Role(_names(
        "membrane, sample, id, name, label, sample id, sample name, membrane id, membrane name, specimen, specimen id, "
        "membran, membranname, probe, proben id, probe id, probenname, muestra, membrana, echantillon, campione, "
        "amostra, monster, provino"
    )),
    "state": Role(_names("state, condition, stage, treatment, zustand, etat, estado, stato, behandlung")),
    "replicate": Role(_names(
        "replicate, repeat, run, rep, replikat, wiederholung, replica, replicat, repeticion, repetition"
    )),
    "gas": Role(_names("gas, test gas, prufgas, gaz")),
    "liquid": Role(_names(
        "liquid, test liquid, wetting liquid, fluid, test fluid, wetting fluid, flussigkeit, prufflussigkeit, "
        "benetzungsflussigkeit, liquide, liquido"
    )),
    "solute": Role(_names("solute, marker, molecule, tracer, gelostes, solute name, substance")),
    "pressure": Role(_names(
        "pressure, transmembrane pressure, applied pressure, tmp, dp, p, delta p, deltap, pressure difference, "
        "differential pressure, operating pressure, capillary pressure, trans membrane pressure, pressure drop, "
        "druck, uberdruck, transmembrandruck, differenzdruck, druckdifferenz, pression, pression transmembranaire, "
        "ptm, "
        "difference de pression, pression appliquee, presion, presion transmembrana, presion transmembranaria, "
        "diferencia de presion, pressione, pressione transmembrana, pressao, pressao transmembrana, druk, "
        "drukverschil, wet pressure, pressure wet, p wet, wet run pressure, wet curve pressure, pressure wet curve"
    ), _PRESSURE),
    "dry pressure": Role(_names(
        "dry pressure, pressure dry, p dry, dry run pressure, dry curve pressure, "
        "pressure dry curve, pressure of the dry curve"
    ), _PRESSURE),
    "absolute pressure": Role(_names(
        "absolute pressure, pressure absolute, pressure abs, p abs, absolutdruck, pression absolue, presion absoluta, "
        "pressione assoluta, pressao absoluta"
    ), _PRESSURE),
    "suction pressure": Role(_names(
        "suction pressure, suction, vacuum, vacuum pressure, unterdruck, saugdruck, depression, vacio, vide, vuoto"
    ), _PRESSURE),
    "feed pressure": Role(_names(
        "feed pressure, feed p, p feed, pf, p f, inlet pressure, upstream pressure, feed side pressure, feeddruck, "
        "zulaufdruck, eingangsdruck, pression d alimentation, pression alimentation, pression amont, presion de "
        "alimentacion, presion alimentacion, pressione di alimentazione, p in, p1, p inlet, "
        "feed, zulauf"
    ), _PRESSURE),
    "retentate pressure": Role(_names(
        "retentate pressure, retentate p, p retentate, pr, concentrate pressure, concentrate p, p concentrate, "
        "retentatdruck, konzentratdruck, pression retentat, pression du retentat, presion de rechazo, "
        "presion retenido, presion del retenido, retentate, concentrate, retentat, konzentrat"
    ), _PRESSURE),
    "permeate pressure": Role(_names(
        "permeate pressure, permeate p, p permeate, pp, p p, downstream pressure, filtrate pressure, permeatdruck, "
        "filtratdruck, pression permeat, pression du permeat, pression aval, presion de permeado, presion permeado, "
        "presion del permeado, p2, p permeat, p perm, permeate, permeat, permeado, permeato, filtrate, filtrat"
    ), _PRESSURE),
    "mean pressure": Role(_names("mean pressure, average pressure, pm, p m, p mean, mittlerer druck"), _PRESSURE),
    "bubble point": Role(_names(
        "bubble point, bubble point pressure, bp, bp pressure, p bp, blasendruckpunkt, bubblepoint, point de bulle, "
        "punto de burbuja, blasendruck"
    ), _PRESSURE),
    "entry pressure": Role(_names(
        "lep, liquid entry pressure, entry pressure, water entry pressure, lepw, lep w, wep, eintrittsdruck, "
        "breakthrough pressure, pression d entree, presion de entrada"
    ), _PRESSURE),
    "flux": Role(_names(
        "flux, water flux, permeate flux, pure water flux, permeation flux, filtrate flux, j, jv, jw, j v, j w, pwf, "
        "fluss, wasserfluss, permeatfluss, reinwasserfluss, fluxdensity, flux density, flussdichte, flux d eau, "
        "flux de permeat, flux permeat, densite de flux, flujo, flujo de agua, flujo de permeado, densidad de flujo, "
        "flusso, flusso d acqua, fluxo, fluxo de permeado, mean flux, j p, jp, clean water flux, cwf, permeatflux, "
        "wasserflux, reinwasserflux, spez flux, spez fluss, spez permeatfluss, spezifischer flux, spezifischer fluss, "
        "spezifischer permeatfluss, permeatflussdichte, flux de permeation, densite de flux de permeation, "
        "densite de flux de permeat, fluxo permeado, fluxo de agua, flujo permeado, flusso di permeato, flusso permeato"
    ), _FLUX),
    "flux deviation": Role(_names(
        "flux deviation, flux sd, flux std, flux error, standard deviation, sd, std, stdev, std dev, "
        "standardabweichung, ecart type, desviacion, desviacion estandar, error, fehler, se, sem"
    ), _FLUX),
    "flow": Role(_names(
        "flow, flow rate, flowrate, permeate flow, permeate flow rate, permeate flowrate, volumetric flow, "
        "volumetric flow rate, filtrate flow, water flow, gas flow, gas flow rate, q, qp, q p, q permeate, durchfluss, "
        "volumenstrom, permeatstrom, debit, debit de permeat, debit permeat, debit volumique, caudal, "
        "caudal de permeado, caudal permeado, portata, portata permeato, vazao, vazao de permeado, debiet, permeate, "
        "filtrate, permeat, filtrat, permeado, permeato"
    ), ("m3 s-1", "kg s-1")),
    "wet flow": Role(_names(
        "wet flow, wet curve flow, wet curve flow rate, wet run flow, wet run flow rate, "
        "wet curve, wet run, wet flow rate, flow wet, nasskurve, nassfluss, nasser fluss, "
        "wet gas flow, debit humide, caudal humedo, wet"
    ), _FLOW),
    "dry flow": Role(_names(
        "dry flow, dry curve flow, dry curve flow rate, dry run flow, dry run flow rate, "
        "dry curve, dry run, dry flow rate, flow dry, trockenkurve, trockenfluss, "
        "dry gas flow, debit sec, caudal seco, dry"
    ), _FLOW),
    "half dry flow": Role(_names(
        "half dry curve, half dry, half dry flow, half dry curve flow, halftrockenkurve, halbtrockenkurve, demi sec, "
        "halfdry"
    ), _FLOW),
    "volume": Role(_names(
        "volume, permeate volume, filtrate volume, collected volume, v, volumen, permeatvolumen, filtratvolumen, "
        "volume permeat, volume de permeat, volumen de permeado, volumen permeado, volume di permeato, "
        "cumulative volume, cumulative permeate volume, total volume, vp, v p, collected permeate, volume collected, "
        "volume of permeate, volume permeate, permeate, filtrate, permeat, filtrat, permeado, permeato, "
        "volumen recogido, volume recueilli, volume raccolto"
    ), ("m3",)),
    "volume per area": Role(_names(
        "v/a, volume per area, specific volume, permeate volume per area, filtrate volume per area, "
        "cumulative permeate volume per area, throughput, specific permeate volume, cumulative volume, "
        "specific filtrate volume, flachenspezifisches volumen, volume, permeate volume, filtrate volume, "
        "collected volume, total volume, v, volumen, permeatvolumen, filtratvolumen"
    ), ("m",)),
    "intruded volume": Role(_names(
        "cumulative volume, intruded volume, cumulative intrusion, intrusion, cumulative intrusion volume, "
        "intrusion volume, cumulative pore volume, volume, specific volume, kumuliertes volumen, "
        "kumulatives volumen, intrudiertes volumen, volume cumule, volume intrude, volumen acumulado, "
        "volumen intruido, volume cumulato, volume intruso, volume acumulado"
    ), ("m3 kg-1",)),
    "mass": Role(_names(
        "mass, permeate mass, weight, m, w, masse, permeatmasse, gewicht, poids, masse permeat, masse de permeat, "
        "peso, masa, masa de permeado, massa, balance, scale reading, permeate weight, filtrate mass, collected mass, "
        "cumulative mass, waage, mass collected, mass of permeate, weight collected, collected weight, "
        "balance reading, permeate, filtrate, permeat, filtrat, permeado, permeato, net, net mass, net weight, netto, "
        "nettogewicht, nettomasse, masse nette, poids net, peso neto, peso netto"
    ), ("kg",)),
    "time": Role(_names(
        "time, permeate time, collection time, duration, t, zeit, dauer, sammelzeit, messzeit, versuchszeit, temps, "
        "duree, tiempo, tempo, tempo di raccolta, filtration time, elapsed time, tijd, sampling time, run time"
    ), ("s",)),
    "temperature": Role(_names(
        "temperature, water temperature, temp, t, temperatur, wassertemperatur, feed temperature, temperature eau, "
        "temperature de l eau, temperatura, temperatura del agua, temperatuur, t water, t feed"
    ), ("K",)),
    "area": Role(_names(
        "area, membrane area, effective area, active area, a, eff membrane surface, effective membrane surface, "
        "effective membrane area, eff membrane area, membrane surface, membrane surface area, surface area, "
        "filtration area, filter area, surface, flache, membranflache, filterflache, aktive flache, "
        "effektive membranflache, surface membranaire, surface de membrane, superficie, area de membrana, "
        "superficie de membrana, superficie membrana, area efectiva, active membrane area, oppervlak"
    ), ("m2",)),
    "diameter": Role(_names(
        "diameter, sample diameter, membrane diameter, disc diameter, disk diameter, durchmesser, "
        "probendurchmesser, membrandurchmesser, diametre, diametro, sample dia"
    ), ("m",)),
    "permeability": Role(_names(
        "hydraulic permeability, permeability, permeance, l m, lm, l p, lp, permeabilitat, permeanz, permeabilite, "
        "permeabilidad, permeanza, water permeance, water permeability, pwp, hydraulic permeance, gas permeance, "
        "pure water permeability, pure water permeance, permeabilita, permeabilidade, permeabiliteit, "
        "wasserpermeabilitat, j/p, j/dp, j/tmp, j/delta p, flux/pressure, flux/p, flux/tmp, specific flux, "
        "permeabilite a l eau, permeabilidad al agua"
    ), ("m s-1 Pa-1", "kg m-2 s-1 Pa-1", "mol m-2 s-1 Pa-1")),
    "intercept": Role(_names("intercept flux, intercept, j 0, j0"), _FLUX),
    "r squared": Role(_names("r squared, r2, r^2")),
    "threshold": Role(_names("threshold pressure, threshold, p 0, p0"), _PRESSURE),
    "pressures": Role(_names("pressures, fitted pressures"), _PRESSURE),
    "contact angle": Role(_names(
        "contact angle, water contact angle, ca, wca, theta, kontaktwinkel, randwinkel, angle de contact, "
        "angulo de contacto, angolo di contatto"
    ), ("deg",), unit_optional=True),
    "molar mass": Role(_names(
        "mw, molecular weight, molar mass, m, peg mw, dextran mw, dextran m, peg m, mr, molecular mass, "
        "molekulargewicht, molmasse, molare masse, masse molaire, masse moleculaire, peso molecular, peso molecolare, "
        "masa molar, mol weight, peg molecular weight, dextran molecular weight, peg molar mass, dextran molar mass, "
        "molecular weight mw, solute mw, size"
    ), ("kg mol-1",)),
    "solute radius": Role(_names(
        "solute radius, stokes radius, rs, r s, hydrodynamic radius, stokesradius, rayon de stokes, "
        "radio de stokes, stokes einstein radius, rh, solute stokes radius"
    ), ("m",)),
    "feed concentration": Role(_names(
        "feed concentration, feed, cf, c f, c feed, feed conc, concentration feed, feedkonzentration, "
        "concentration alimentation, concentracion de alimentacion, retentate concentration, feed c"
    ), ("kg m-3", "mol m-3"), unit_optional=True),
    "permeate concentration": Role(_names(
        "permeate concentration, permeate, cp, c p, c permeate, permeate conc, concentration permeate, "
        "permeatkonzentration, concentration permeat, concentracion de permeado, filtrate concentration, filtrate, "
        "permeate c"
    ), ("kg m-3", "mol m-3"), unit_optional=True),
    "rejection": Role(_names(
        "rejection, retention, r, observed rejection, r obs, robs, ruckhalt, ruckhaltung, taux de rejet, rejet, "
        "rechazo, retencion, reiezione, solute rejection, observed retention"
    ), NUMBER, unit_optional=True),
}  # fmt: skip
#: Roles whose cells are words.
LABELS = ("membrane", "state", "replicate", "gas", "liquid", "solute")
#: A header with the unit of each quantity, for messages.
EXAMPLES = {
    "pressure": "pressure [bar]", "flux": "flux [L m-2 h-1]", "mass": "mass [g]", "time": "time [s]",
    "temperature": "temperature [degC]", "area": "area [cm2]", "flow": "flow [mL min-1]", "volume": "volume [mL]",
    "suction pressure": "suction pressure [mbar]", "feed pressure": "feed pressure [bar]",
    "molar mass": "molar mass [kDa]", "wet flow": "wet flow [L min-1]", "dry flow": "dry flow [L min-1]",
    "entry pressure": "entry pressure [bar]", "bubble point": "bubble point [bar]", "diameter": "diameter [mm]",
}  # fmt: skip
#: Columns that no evaluation needs: who measured, when, remarks, running numbers, and what was computed from others.
REPORTED_ONLY = re.compile(
    r"operator|user|analyst|bediener|operateur|operador|date|datum|fecha|data|timestamp|remarks?|comments?|notes?|"
    r"bemerkung(?:en)?|kommentar|anmerkung|remarques?|commentaires?|observaci(?:on|ones)|notas?|step|no|nr|number|#|"
    r"index|row|line|ok|status|recovery|flux recovery|j/j0|j j0|relative flux|normali[sz]ed flux|pore diameter|"
    r"pore size|diameter|average diameter|filter flow|filter flow ?%|incr ?(?:ff)?%?|pore dist|ff|"
    r"mean|average|mittelwert|moyenne|media|promedio|frazier|permeability frazier|.*\bfrazier"
)
#: Names of what may be a sample: such a column is asked about wherever it has several values.
SAMPLE_LIKE = re.compile(
    r".*\b(sample|coupon|cell|batch|lot|id|module|modul|fibre|fiber|code|specimen|probe|membrane|membran|piece|disc|"
    r"disk|charge|coupon ?no|zelle|cellule|celda|muestra|position|series|serie|set|test|experiment|versuch|essai)\b.*"
)


def folded(text: str) -> str:
    """A name in lower case, without accents, with one space in place of ``_ . - :`` and of blanks."""
    text = text.replace("Δ", "delta ").replace("ß", "ss").replace("²", "2")
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(c))
    return re.sub(r"[\s_.:\u2010-\u2015'\u2019-]+", " ", plain).strip()
