"""Result tables of a reconstruct study."""

from __future__ import annotations

from membrane_dask.physics.reconstruction.replicate_interval import INDEPENDENT_SEARCHES
from membrane_dask.schema import FLAG, Coordinate, TableSchema, Variable

CHAMANI = "Chamani et al., Data-science-based reconstruction of 3-D membrane pore structure (2023)"
_FEATURES, _GENERATION = f"{CHAMANI}, Sec. 3.2", f"{CHAMANI}, Sec. 3.3"
#: Scales of the intervals over replicates: of positive quantities, of fractions, and of what has no interval.
_LOG, _LOGIT, _NONE = ({"interval_scale": scale} for scale in ("log", "logit", "none"))
#: Attributes of a segmented image.
_PHASES = {"flag_values": [0, 255], "flag_meanings": "pore solid"}

#: Coordinate of replicates of which none is the best match.
SEARCHES = Coordinate(
    "replicate", "1", "number of the search; searches are independent of each other",
    attrs={"design": INDEPENDENT_SEARCHES},
)  # fmt: skip
COORDINATES = (
    Coordinate("replicate", "1", "number of the structure; 0 is the best match"),
    Coordinate("trial", "1", "number of the trial, in the order in which trials are proposed"),
    Coordinate("knot", "nm", "depth of the value; values between knots are interpolated"),
    Coordinate("quarter", "1", "quarter of the depth, 0 at the feed side"),
    Coordinate("z", "nm", "depth below the feed-side surface"),
    Coordinate("y", "nm", "position normal to the sections"),
    Coordinate("x", "nm", "position along the section"),
    Coordinate("section", "1", "range of the depth: 0 the skin, 1 the support"),
    Coordinate("phase", "1", "phase of the pixel: 0 pore, 1 solid"),
    Coordinate("distance", "nm", "lower edge of the bin of distance to the other phase"),
    Coordinate("image", "1", "number of the image"),
    Coordinate("knot_set", "1", "number of the knots of a set"),
    Coordinate("method", "", "method of segmentation"),
    Coordinate("end", "1", "end of a range of the depth: 0 the upper, 1 the lower"),
)

_SECTION_POROSITY = Variable("section_porosity", (), "f8", "1", "porosity of the sections after closing", attrs=_LOGIT)
_STRUCTURE = (
    Variable(
        "sigma", ("knot",), "f8", "nm", "width of the smoothing kernel of the Gaussian field", _GENERATION, attrs=_LOG,
    ),
    Variable("porosity", ("knot",), "f8", "1", "porosity before closing", _GENERATION, attrs=_LOGIT),
    Variable(
        "anisotropy", ("knot",), "f8", "1", "width of the kernel along the depth over that in the plane", attrs=_LOG,
    ),
    Variable(
        "correlation_length", ("knot",), "f8", "nm",
        "lag at which the autocorrelation along the sections, as in the segmented image, is one half",
        nullable=True, attrs=_LOG,
    ),
    Variable(
        "closing_radius", (), "f8", "nm", "radius of the structuring element of the closing", _GENERATION, attrs=_NONE,
    ),
    Variable("roughness", (), "f8", "1", "fraction of the variance in a second field 0.4 times as wide", attrs=_NONE),
    Variable(
        "objective", (), "f8", "1", "objective of the search: difference of sections and micrograph, 0 equal",
        attrs=_NONE,
    ),
    Variable(
        "distance_objective", (), "f8", "1",
        "difference of the distance distributions of sections and micrograph, 0 equal, 2 disjoint", _FEATURES,
        attrs=_NONE,
    ),
)  # fmt: skip

TRIALS = TableSchema(
    "trials",
    (*_STRUCTURE, _SECTION_POROSITY),
    COORDINATES,
    "Trial structures and how their sections compare with the micrograph",
)
MATCHES = TableSchema(
    "matches",
    (*_STRUCTURE, _SECTION_POROSITY),
    COORDINATES,
    "Structures with a drawn model that are matched to the micrograph as perturbed by the variance between sections",
)
STRUCTURES = TableSchema(
    "structures",
    (
        Variable(
            "best_trial", (), "i4", "1",
            "trial with the smallest objective; of a drawn model, the trial whose closing and roughness it has",
            attrs=_NONE, internal=True,
        ),
        *_STRUCTURE,
        _SECTION_POROSITY,
        Variable("volume_porosity", (), "f8", "1", "pore fraction of the volume", attrs=_LOGIT),
        Variable(
            "quarter_porosity", ("quarter",), "f8", "1", "pore fraction of each quarter of the volume's depth",
            attrs=_LOGIT,
        ),
        Variable(
            "macrovoid_number_density", (), "f8", "nm-2", "macrovoids per area of the membrane; only with macrovoids",
            attrs=_LOG,
        ),
        Variable(
            "macrovoid_half_width", (), "f8", "nm", "median semi-axis of the macrovoids across the depth", attrs=_LOG,
        ),
        Variable(
            "macrovoid_half_length", (), "f8", "nm", "median semi-axis of the macrovoids along the depth", attrs=_LOG,
        ),
        Variable(
            "macrovoid_band", ("end",), "f8", "1", "depth fractions between which the centres of the macrovoids lie",
            attrs=_NONE,
        ),
        Variable("macrovoid_fraction", (), "f8", "1", "fraction of the volume in macrovoids", attrs=_LOGIT),
    ),
    COORDINATES,
    "Matched structure of each replicate",
)  # fmt: skip
MICROGRAPH = TableSchema(
    "micrograph*",
    (
        Variable("image", ("z", "x"), "", "1", "cropped micrograph"),
        Variable("solid", ("z", "x"), "u1", "1", "segmented micrograph", attrs=_PHASES),
        Variable(
            "distance_features", ("section", "phase", "distance"), "f8", "1",
            "fraction of the pixels of a range of depth in each bin of distance to the other phase; the last is open",
            _FEATURES, attrs={"section_meanings": "skin support", "phase_meanings": "pore solid"},
        ),
    ),
    COORDINATES,
    "Micrograph and its segmentation; micrograph-0, micrograph-1, ... of several",
)  # fmt: skip
SEGMENTATIONS = TableSchema(
    "segmentations*",
    (
        Variable("used", (), "u1", "1", "1 for the method of the study", attrs=FLAG),
        Variable("porosity", (), "f8", "1", "fraction of the used pixels that are pore"),
        Variable(
            "correlation_length", ("quarter",), "f8", "nm",
            "lag at which the autocorrelation along the section is one half", nullable=True,
        ),
        Variable(
            "difference", (), "f8", "1", "fraction of the used pixels that differ from the segmentation of the study"
        ),
        Variable(
            "bias", (), "f8", "1",
            "porosity that the method adds to an image rendered from the segmentation of the study",
        ),
        Variable("failure", (), "T", "", "why the method does not serve for this image; empty if it does"),
        Variable("solid", ("z", "x"), "u1", "1", "segmented micrograph", attrs=_PHASES),
    ),
    COORDINATES,
    "The micrograph as segmented by each method; none of a binary image",
)  # fmt: skip
SEGMENTATION_BIAS = TableSchema(
    "segmentation_bias",
    (
        Variable("porosity", ("quarter",), "f8", "1", "porosity that blur, noise and segmentation add"),
        Variable(
            "correlation_length", ("quarter",), "f8", "1",
            "relative change of the half-correlation length along the section by blur, noise and segmentation",
            nullable=True,
        ),
    ),
    COORDINATES,
    "Sections of the best match as a segmented image shows them, compared with the sections themselves",
)  # fmt: skip
STRUCTURE_IMAGE = TableSchema(
    "structure-*",
    (Variable("volume", ("z", "y", "x"), "u1", "1", "phase of each voxel", attrs=_PHASES),),
    COORDINATES,
    "Volume of a replicate, an OME-Zarr image",
)
MODEL_CHOICE = TableSchema(
    "model_choice",
    (
        Variable(
            "weight",
            ("trial",),
            "f8",
            "1",
            "probability that closing and roughness of a trial are drawn: the fraction "
            "of images of the best match that select it",
        ),
        Variable("knots_weight", ("knot_set",), "f8", "1", "probability that a set of knots is drawn"),
    ),
    COORDINATES,
    "Weights by which closing, roughness and knots of the replicates are drawn",
)
IMAGING = TableSchema(
    "imaging",
    (
        Variable("blur", (), "f8", "pixel", "standard deviation of the point-spread function"),
        Variable("blur_standard_error", (), "f8", "pixel", "standard error of the blur"),
        Variable("blur_nm", (), "f8", "nm", "standard deviation of the point-spread function"),
        Variable("noise", (), "f8", "1", "standard deviation of the noise; grey values from 0, black, to 1, white"),
        Variable("noise_standard_error", (), "f8", "1", "standard error of the noise"),
        Variable("pore_level", (), "f8", "1", "grey value of the pores"),
        Variable("solid_level", (), "f8", "1", "grey value of the solid"),
        Variable("level_standard_error", (), "f8", "1", "standard error of either grey value"),
        Variable("shading", (), "f8", "1", "relative variation of brightness across the image"),
        Variable("curtaining", (), "f8", "1", "relative standard deviation of brightness between columns"),
        Variable("presmooth", (), "f8", "pixel", "standard deviation of the Gaussian filter before the threshold"),
        Variable("median", (), "i4", "pixel", "width of the median filter after the threshold; 1 none"),
        Variable(
            "supersampling", (), "i4", "1", "voxels a pixel along either axis of the sections of trials", internal=True
        ),
        Variable("edge_fraction", (), "f8", "1", "fraction of the pixels that the blur was estimated from"),
        Variable(
            "resolved", (), "u1", "1",
            "1 if the half-correlation length of the structure is at least 1.4 times the blur at all depths",
            attrs={"flag_values": [0, 1], "flag_meanings": "below_resolution resolved"},
        ),
    ),
    COORDINATES,
    "How the image shows the section",
)  # fmt: skip
GOODNESS_OF_FIT = TableSchema(
    "goodness_of_fit",
    (
        Variable("group", ("statistic",), "T", "", "statistics that are tested together"),
        Variable("observed", ("statistic",), "f8", "1", "statistic of the micrograph"),
        Variable("predicted_mean", ("statistic",), "f8", "1", "mean over sections of the model"),
        Variable(
            "predicted_standard_deviation", ("statistic",), "f8", "1", "standard deviation between these sections"
        ),
        Variable("p_value", ("statistic",), "f8", "1", "p-value of Student's test for one more section"),
        Variable("group_p_value", ("statistic",), "f8", "1", "p-value of all statistics of the group"),
        Variable(
            "flagged", ("statistic",), "u1", "1",
            "1 if the micrograph differs at the significance level of all statistics together", attrs=FLAG,
        ),
    ),
    (Coordinate("statistic", "", "group and name of the statistic"),),
    "Statistics of the micrograph and of sections of the model; the attribute summary says in words what differs",
)  # fmt: skip
_DISTANCE_DIMS = ("phase", "section", "distance")
DISTANCE_DISTRIBUTIONS = TableSchema(
    "distance_distributions*",
    tuple(
        Variable(name, _DISTANCE_DIMS, "f8", "1", f"fraction of the phase below the distance: {what}", _FEATURES)
        for name, what in (
            ("micrograph", "micrograph"),
            ("best_match", "mean of sections of the best match"),
            ("envelope_low", "quantile of 5 % of sections of the model"),
            ("envelope_high", "quantile of 95 % of sections of the model"),
        )
    ),
    (
        *(c for c in COORDINATES if c.name in ("phase", "section")),
        Coordinate("distance", "nm", "distance to the other phase"),
    ),
    "Distribution functions of the distance to the other phase; distance_distributions-0, ... of several micrographs",
)
TABLES = (
    TRIALS,
    MATCHES,
    STRUCTURES,
    MODEL_CHOICE,
    IMAGING,
    MICROGRAPH,
    SEGMENTATIONS,
    SEGMENTATION_BIAS,
    STRUCTURE_IMAGE,
    GOODNESS_OF_FIT,
    DISTANCE_DISTRIBUTIONS,
)
