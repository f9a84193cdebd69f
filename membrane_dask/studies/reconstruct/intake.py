"""From the image of a file to the section that is segmented: databar, orientation, crop, labels, pixel size, checks.

What is decided is reported, and nothing is guessed: where the file leaves a choice, the error names the setting.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from membrane_dask.errors import Problem, ProblemList, Source, StudyError
from membrane_dask.io.image_metadata import as_size, differs, is_microscope_text
from membrane_dask.io.micrographs import Micrograph, read_micrograph
from membrane_dask.physics.imaging.databar import Strip, find_drawn_rows, find_strips
from membrane_dask.physics.imaging.grey_values import (
    SATURATED,
    Labels,
    find_labels,
    saturation,
)
from membrane_dask.physics.imaging.resampling import area_means
from membrane_dask.studies.reconstruct.image_settings import MicrographSettings

#: Pixels of a micrograph; its segmentation and description take about 80 bytes each.
_MAX_PIXELS = 50_000_000
#: Pixel sizes in nm that make sense: from atoms to what a light microscope shows of a coarse support.
_MIN_PIXEL, _MAX_PIXEL = 0.3, 10_000.0
#: Relative difference of the sides of a pixel that counts as a square.
_SQUARE = 0.01
#: Fraction of the rows that may be charged, and of the pixels that may be masked.
_MAX_CHARGED, _MAX_MASKED = 0.02, 0.5
#: Numbers of rows that a message lists.
_LISTED = 8
#: Borders of an image in its file.
Border = Literal["top", "bottom", "left", "right"]


@dataclass(frozen=True)
class Section:
    """A micrograph that is ready to be segmented.

    Parameters
    ----------
    image : (depth, width) ndarray
        Grey values; 0 and 255 for an image of labels.
    pixel_nm : float
        Edge of a pixel, nm.
    pores : {"dark", "bright"}
        Which phase the pores are.
    mask : (depth, width) ndarray of bool, or None
        Pixels that are used; None for all.
    remarks : tuple of (str, str)
        What was decided about the image: subject and text.
    whole : (rows, columns) ndarray
        The turned image before it was cut.
    inside : (rows, columns) ndarray of bool
        Pixels of the whole that are part of the section.
    problems : tuple of Problem
        Why it cannot be used, although it can be segmented: what the segmentation shows is reported with them.
    """

    image: np.ndarray
    pixel_nm: float
    pores: Literal["dark", "bright"]
    mask: np.ndarray | None
    remarks: tuple[tuple[str, str], ...]
    whole: np.ndarray
    inside: np.ndarray
    problems: tuple[Problem, ...] = ()


@dataclass
class _Intake:
    """Steps of one micrograph, with what they report."""

    settings: MicrographSettings
    where: tuple[str | int, ...]
    source: Source | None
    remarks: list[tuple[str, str]] = field(default_factory=list)

    def error(self, message: str, name: str = "input") -> StudyError:
        """Error of a field; that of the input names its file."""
        suffix = f" (got {str(self.settings.input)!r})" if name == "input" else ""
        return StudyError([Problem((*self.where, name), f"{message}{suffix}")], self.source)

    def report(self, subject: str, text: str) -> None:
        """Add a line to the plan."""
        self.remarks.append((subject, text))

    # --- where the section lies in the image

    def turned(self, image: np.ndarray) -> np.ndarray:
        """View of an image as the study turns and mirrors it."""
        turned = np.rot90(image, -self.settings.rotate // 90)
        axis = {"none": None, "depth": 0, "width": 1}[self.settings.flip]
        return turned if axis is None else np.flip(turned, axis)

    def turned_back(self, image: np.ndarray) -> np.ndarray:
        """View of a turned image in the orientation of the file."""
        axis = {"none": None, "depth": 0, "width": 1}[self.settings.flip]
        return np.rot90(image if axis is None else np.flip(image, axis), self.settings.rotate // 90)

    def side(self, border: Border) -> str:
        """Setting of ``crop`` for a border of the image in its file."""
        pixels = np.zeros((3, 3), bool)
        (pixels if border in ("top", "bottom") else pixels.T)[0 if border in ("top", "left") else -1] = True
        turned = self.turned(pixels)
        sides = {"top": turned[0], "bottom": turned[-1], "left": turned[:, 0], "right": turned[:, -1]}
        return next(name for name, line in sides.items() if line.all())

    def cropped(self, turned: np.ndarray) -> np.ndarray:
        """View of a turned image without the margins of the study."""
        crop, (rows, columns) = self.settings.crop, turned.shape
        view = turned[crop.top : max(0, rows - crop.bottom), crop.left : max(0, columns - crop.right)]
        if not view.size:
            raise self.error(f"leaves nothing of an image of {rows} x {columns} pixels", "crop")
        if view.size > _MAX_PIXELS:
            raise self.error(
                f"leaves {view.size / 1e6:.0f} million pixels of an image of {rows} x {columns}; at most "
                f"{_MAX_PIXELS // 10**6} million are described: crop more, or scale it down",
                "crop",
            )
        return view

    def databar(self, micrograph: Micrograph) -> int:
        """Rows of the databar that metadata name and the study cuts."""
        rows = micrograph.metadata.databar
        if not rows:
            return 0
        if self.settings.databar == "none":
            self.report("databar", f"{rows} rows by {micrograph.source}: not cut, as databar is none")
            return 0
        self.report("databar", f"{rows} rows below the image by {micrograph.source}: cut (databar: none keeps them)")
        return rows

    def burnt_in_databar(self, view: np.ndarray) -> int:
        """Rows of a databar at the lower border of the cropped image, in the orientation of its file."""
        if self.settings.databar == "none":
            return 0
        cut = 0
        for strip in find_strips(view):
            rows = f"{strip.rows} rows"
            look = f"of which {strip.fraction:.0%} have one grey value, {strip.grey:g}"
            if strip.stop == len(view):
                cut = strip.rows
                advice = f"crop: {{{self.side('bottom')}: {cut + self._margin('bottom')}}}"
                self.report(
                    "databar", f"{rows} at the lower border, {look}: cut, as by {advice}; databar: none keeps them"
                )
            else:
                self._refuse_strip(strip, len(view), f"{rows} {look}")
        return cut

    def side_strips(self, view: np.ndarray) -> None:
        """Strips of flat columns at the left and right border of the cropped image: those with text are refused."""
        if self.settings.databar == "none":
            return
        for strip in find_strips(np.ascontiguousarray(view.T)):
            if strip.start and strip.stop < view.shape[1]:
                continue
            border: Border = "right" if strip.start else "left"
            look = (
                f"{strip.rows} columns at the {border} border of the file, of which {strip.fraction:.0%} have one grey"
            )
            look += f" value, {strip.grey:g}"
            advice = f"crop: {{{self.side(border)}: {strip.rows + self._margin(border)}}}"
            if strip.has_text:
                message = f"has {look}, as a databar has; cut them with {advice}, or keep them with databar: none"
                raise self.error(message)
            self.report("blank columns", f"{look}; if they are no membrane, {advice}")

    def drawn_text(self, view: np.ndarray) -> None:
        """Report text or a scale bar that is drawn into the cropped image."""
        drawn = find_drawn_rows(view)
        if drawn and self.settings.databar == "auto":
            start, stop, value = drawn
            border: Literal["top", "bottom"] = "top" if stop <= len(view) / 2 else "bottom"
            margin = (stop if border == "top" else len(view) - start) + self._margin(border)
            self.report(
                "drawn text",
                f"only rows {start} to {stop - 1} of the cropped image have the value {value:g}, as of text or a scale "
                f"bar drawn into it; crop: {{{self.side(border)}: {margin}}} cuts them",
            )

    def _margin(self, border: Border) -> int:
        """Pixels that the study crops at a border of the file."""
        return int(getattr(self.settings.crop, self.side(border)))

    def _refuse_strip(self, strip: Strip, rows: int, look: str) -> None:
        """Ask about a strip that is not at the lower border; a blank one at the upper border is only reported."""
        border: Literal["top", "bottom"] = "top" if strip.stop <= rows / 2 else "bottom"
        margin = (strip.stop if border == "top" else rows - strip.start) + self._margin(border)
        advice = f"crop: {{{self.side(border)}: {margin}}}"
        where = f"{look} (rows {strip.start} to {strip.stop - 1} of the cropped image)"
        if strip.start == 0 and not strip.has_text:
            self.report("blank rows", f"{where}; if they are no membrane, {advice}")
            return
        raise self.error(
            f"has {where}, as a databar has, but there are further rows {'above' if border == 'top' else 'below'}; cut "
            f"them with {advice}, or keep all with databar: none"
            if strip.start
            else f"has {where}, as a databar has; cut them with {advice}, or keep them with databar: none"
        )

    # --- pixels

    def pixel(self, micrograph: Micrograph) -> tuple[float, float]:
        """Width and depth of a pixel of the turned image in nm, after a comparison of study and file."""
        size: float | None = self.settings.pixel_size
        stated = micrograph.metadata.pixels
        if size is None and len(stated) != 1:
            verb = "required" if not stated else "required, as the file is ambiguous"
            example = f"pixel_size: {stated[0].width_nm:.4g} nm" if stated else "pixel_size: 3 nm"
            raise self.error(f"{verb}: {micrograph.source}; for example {example}", "pixel_size")
        if size is None:
            width, height = stated[0].width_nm, stated[0].height_nm
            text = micrograph.source
        elif not stated:
            width, height, text = size, size * micrograph.metadata.aspect, "by the study; " + micrograph.source
        else:
            matching = [pixel for pixel in stated if not differs(size, pixel.width_nm)]
            if not matching:
                sizes = " or ".join(f"{pixel.size} nm ({pixel.source})" for pixel in stated)
                raise self.error(
                    f"is {size:g} nm, but the file states {sizes}: leave pixel_size out, or remove the metadata from "
                    "the file if they are wrong, for example by saving it as PNG",
                    "pixel_size",
                )
            width, height = size, size * matching[0].height_nm / matching[0].width_nm
            text = f"by the study and {matching[0].source}"
        for edge in (width, height):
            if not _MIN_PIXEL <= edge <= _MAX_PIXEL:
                raise self.error(
                    f"of {as_size(width, height)} nm ({text}) is no pixel of a micrograph; {_MIN_PIXEL} nm to 10 um "
                    "are read: check the number and its unit",
                    "pixel_size",
                )
        self.report("pixel", f"{as_size(width, height)} nm, {text}")
        return (height, width) if self.settings.rotate in (90, 270) else (width, height)

    def square(
        self, section: np.ndarray, pixel: tuple[float, float], is_binary: bool
    ) -> tuple[np.ndarray, float, float]:
        """Section with square pixels, their edge in nm, and by how much the finer side was averaged."""
        width, depth = pixel
        axis, finer = (1, "x") if width < depth else (0, "z")
        if not differs(width, depth, _SQUARE):
            if self.settings.resample != "none":
                raise self.error(
                    f"the pixels are square ({width:.4g} nm): leave it out (got {self.settings.resample!r})", "resample"
                )
            return section, width, 1.0
        if self.settings.resample != finer:
            size = f"{width:.4g} x {depth:.4g} nm (x, z)"
            reason = f"its pixels are {size}, not square" if self.settings.resample == "none" else f"pixels are {size}"
            name = "input" if self.settings.resample == "none" else "resample"
            raise self.error(
                f"{reason}; resample: {finer} averages them along {finer} to {max(pixel):.4g} x {max(pixel):.4g} nm",
                name,
            )
        factor = max(pixel) / min(pixel)
        means = area_means(section, factor, axis)
        if is_binary:
            means = np.where(means > 127.5, 255, 0)
        elif section.dtype.kind in "ui":
            means = np.rint(means)
        self.report("resample", f"averaged along {finer} from {min(pixel):.4g} to {max(pixel):.4g} nm")
        return means.astype(section.dtype), max(pixel), factor

    # --- grey values

    def phases(self, image: np.ndarray, micrograph: Micrograph) -> tuple[np.ndarray, Literal["dark", "bright"], bool]:
        """Grey values of the section, which phase the pores are, and whether the image is binary."""
        if not np.isfinite(image).all():
            row, column = np.argwhere(~np.isfinite(image))[0]
            raise self.error(
                f"the image holds values that are not finite, as in row {row}, column {column} of the section"
            )
        pores, labels = self.settings.pores, find_labels(image, micrograph.is_lossy)
        if labels is not None and len(labels.values) != 2 and pores in ("dark", "bright"):
            if len(labels.values) < 2:
                return image, _phase(pores), False  # constant: the segmentation says so
            raise self.error(
                f"required, as the image has labels: grey values {labels}: which are pores? For example pores: "
                f"[{labels.values[0]:g}]",
                "pores",
            )
        if not isinstance(pores, str):
            return self._labelled(image, labels, pores if isinstance(pores, tuple) else (pores,)), "dark", True
        if labels is not None:
            if labels.spread:
                self.report("two levels", f"grey values {labels}, spread by lossy compression: binary, not filtered")
            elif labels.fractions.sum() < 1 - 1e-12:
                self.report("two levels", f"grey values {labels}, the others between them: binary, not filtered")
            middle = (float(labels.values[0]) + float(labels.values[1])) / 2
            return np.where(image > middle, 255, 0).astype(np.uint8), _phase(pores), True
        return self._full_range(image, micrograph.bits), _phase(pores), False

    def _labelled(self, image: np.ndarray, labels: Labels | None, pores: tuple[int, ...]) -> np.ndarray:
        if labels is None:
            raise self.error(
                f"must be dark or bright, as the image is grey; labels need an image of at most 12 values (got "
                f"{list(pores)})",
                "pores",
            )
        absent = [label for label in pores if label not in labels.values]
        if absent:
            raise self.error(f"the image has no {absent[0]}, but the grey values {labels} (got {list(pores)})", "pores")
        if len(set(pores)) == len(labels.values):
            raise self.error(f"all values of the image are pores, grey values {labels} (got {list(pores)})", "pores")
        other = 1 - labels.fractions.sum()
        text = f"grey values {labels}; pores are {', '.join(map(str, pores))}"
        self.report("labels", text + (f"; {other:.1%} between labels take the nearest" if other > 1e-12 else ""))
        return np.where(np.isin(labels.assigned(image), pores), 0, 255).astype(np.uint8)

    def _full_range(self, image: np.ndarray, bits: int) -> np.ndarray:
        """Grey values that fill the range of their type, as those of 12 bits do not; their saturation is reported."""
        for fraction, name, value in zip(
            saturation(image), ("darkest", "brightest"), (image.min(), image.max()), strict=True
        ):
            if fraction > SATURATED:
                self.report(
                    "saturation", f"{fraction:.1%} of the pixels have the {name} value, {value:g}: levels are biased"
                )
        if image.dtype.kind not in "iu" or image.min() < 0:
            return image
        size = image.dtype.itemsize * 8
        used = max(8, min(bits, int(image.max()).bit_length()))
        if used == size:
            return image
        self.report("bits", f"{used} of {size} bits are used: multiplied by {1 << (size - used)}")
        unsigned = image.astype(f"u{image.dtype.itemsize}")
        return np.asarray(unsigned << unsigned.dtype.type(size - used))

    def charging(self, view: np.ndarray, mask: np.ndarray | None, first: int) -> None:
        """Report charged rows; ``first`` is the number of the first row in the file."""
        from membrane_dask.physics.imaging.charging import charged_rows  # slow to import; the command check needs none

        rows = charged_rows(view, mask)
        if not len(rows):
            return
        listed = ", ".join(str(first + row) for row in rows[:_LISTED]) + (", ..." if len(rows) > _LISTED else "")
        text = f"{len(rows)} of {len(view)} rows deviate from their neighbours by more than 5 times the noise: {listed}"
        if len(rows) > _MAX_CHARGED * len(view) and self.settings.charging == "stop":
            raise self.error(f"{text}; charging: ignore uses them, mask leaves them out", "charging")
        self.report("charging", text)

    def mask(self, micrograph: Micrograph) -> np.ndarray | None:
        """Pixels that are used, of the whole file; None for all."""
        path = self.settings.mask
        if path is None:
            return None
        try:
            image = read_micrograph(path)
            image.require_grey()
            mask = np.asarray(image.pixels != 0)
        except ValueError as error:
            raise self.error(f"{error} (got {str(path)!r})", "mask") from error
        whole, cut = micrograph.pixels.shape, micrograph.image.shape
        if mask.shape == cut:
            mask = np.pad(mask, ((0, whole[0] - cut[0]), (0, 0)))
        if mask.shape != whole:
            raise self.error(
                f"has {' x '.join(map(str, mask.shape))} pixels, the micrograph {' x '.join(map(str, whole))} (got "
                f"{str(path)!r})",
                "mask",
            )
        return mask


def _phase(pores: object) -> Literal["dark", "bright"]:
    return "bright" if pores == "bright" else "dark"


def take_in(
    settings: MicrographSettings, source: Source | None, where: tuple[str | int, ...] = (), *, charging: bool = True
) -> Section:
    """Read a micrograph and prepare the section that is segmented.

    Parameters
    ----------
    settings : MicrographSettings
        Settings of the micrograph.
    source : Source, optional
        Positions of the settings, for errors.
    where : tuple of str or int
        Where in the study these settings are.
    charging : bool
        Whether charged rows are looked for, which takes longest.

    Raises
    ------
    StudyError
        If it cannot be read, or the file leaves a choice that the study does not make.
    """
    intake = _Intake(settings, where, source)
    assert settings.input is not None
    text_file = settings.metadata_file
    if text_file and not is_microscope_text(text_file):
        raise intake.error(
            "is no text file of a microscope that is read: JEOL ($$SM_MICRON_BAR), Hitachi ([SemImageFile]) or TESCAN "
            f"(PixelSizeX); set pixel_size and crop instead (got {str(text_file)!r})",
            "metadata_file",
        )
    try:
        labels = not isinstance(settings.pores, str)
        micrograph = read_micrograph(settings.input, settings.page, settings.text_file, labels)
    except ValueError as error:
        message = str(error)
        raise intake.error(
            message.removeprefix("page: "), "page" if message.startswith("page: ") else "input"
        ) from error
    intake.remarks += micrograph.remarks
    problems = ProblemList()
    pixel, mask, phases = None, None, None
    with problems.collect():
        pixel = intake.pixel(micrograph)
    with problems.collect():
        mask = intake.mask(micrograph)
    rows = len(micrograph.pixels) - intake.databar(micrograph)
    inside = np.zeros(micrograph.pixels.shape, bool)

    def view(array: np.ndarray, below: int) -> np.ndarray:
        """Cropped view in the orientation of the file, without rows below."""
        cropped = intake.turned_back(intake.cropped(intake.turned(array[:rows])))
        return cropped[: len(cropped) - below]

    with problems.collect():
        below = intake.burnt_in_databar(view(micrograph.pixels, 0))
        image, used = view(micrograph.pixels, below), None if mask is None else view(mask, below)
        view(inside, below)[...] = True
        try:
            micrograph.require_grey(inside)
        except ValueError as error:
            raise intake.error(str(error)) from error
        if used is not None:
            _report_mask(intake, used)
        intake.side_strips(image)
        phases = intake.phases(image, micrograph)
    problems.raise_any(source)
    assert pixel is not None  # otherwise there is a problem
    assert phases is not None
    section, pores, is_binary = phases
    if not is_binary:
        intake.drawn_text(image)
        if charging:
            with problems.collect():
                intake.charging(image, used, int(inside.any(axis=1).argmax()))
    square = None
    with problems.collect():
        square = intake.square(intake.turned(section), pixel, is_binary)
    if square is None:
        raise StudyError(problems, source) from problems.cause
    section, edge, factor = square
    if used is not None:
        used = intake.turned(used)
        used = used if factor == 1 else area_means(used, factor, 1 if pixel[0] < pixel[1] else 0) > 1 - 1e-9
    depth, width = section.shape
    intake.report("size", f"{depth} x {width} pixels, {_microns(depth * edge)} deep and {_microns(width * edge)} wide")
    return Section(
        np.ascontiguousarray(section), edge, pores, used, tuple(intake.remarks), intake.turned(micrograph.pixels),
        intake.turned(inside), tuple(problems),
    )  # fmt: skip


def _report_mask(intake: _Intake, used: np.ndarray) -> None:
    masked = 1 - float(used.mean())
    if masked > _MAX_MASKED:
        raise intake.error(f"leaves {1 - masked:.0%} of the section; at least half is needed", "mask")
    intake.report("mask", f"{masked:.1%} of the section is left out")


def _microns(length_nm: float) -> str:
    return f"{length_nm / 1e3:.3g} um"
