"""Plots as small inline SVG: colours are CSS variables of the page, so that they follow its theme."""

import math
from collections.abc import Callable, Iterable, Sequence
from html import escape

WIDTH, HEIGHT = 520, 330
LEFT, RIGHT, TOP, BOTTOM = 82, 24, 12, 46
MARKERS = ("circle", "square", "diamond", "triangle", "down", "cross")


def colour(k: int) -> str:
    """CSS colour of the arm with this number."""
    return f"var(--s{k % 7})"


class Plot:
    """Axes with linear or logarithmic x; elements are added in order.

    Args:
        label: description for screen readers.
        x: range of the values.
        y: range of the values.
        log_x: whether the x axis is logarithmic.
        height: of the drawing, in its own units.
        left: room for the labels of the y axis.
    """

    def __init__(
        self,
        label: str,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        log_x: bool = False,
        height: int = HEIGHT,
        left: int = LEFT,
    ) -> None:
        self.label, self.log_x, self.height, self.left = label, log_x, height, left
        self.x_range, self.y_range = (_widened_log(*x) if log_x else _widened(*x)), _widened(*y)
        self.parts: list[str] = []

    def x(self, value: float) -> float:
        """Position of a value on the x axis."""
        low, high = (math.log10(v) if self.log_x else v for v in self.x_range)
        at = math.log10(value) if self.log_x else value
        return self.left + (at - low) / (high - low) * (WIDTH - self.left - RIGHT)

    def y(self, value: float) -> float:
        """Position of a value on the y axis."""
        low, high = self.y_range
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def add(self, part: str) -> None:
        """Add an SVG element."""
        self.parts.append(part)

    def axes(self, x_title: str, y_title: str, y_text: Callable[[float], str], x_text: Callable[[float], str]) -> None:
        """Draw both axes with their grid.

        Args:
            x_title: title of the x axis.
            y_title: title of the y axis; empty: none.
            y_text: value -> label of a tick.
            x_text: value -> label of a tick.
        """
        right, bottom = WIDTH - RIGHT, self.height - BOTTOM
        for value in ticks_log(*self.x_range) if self.log_x else ticks(*self.x_range):
            x = self.x(value)
            self.add(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
            self.text(x, bottom + 17, x_text(value), "middle")
        for value in ticks(*self.y_range):
            y = self.y(value)
            self.add(f'<path class="grid" d="M{self.left} {y:.1f}H{right}"/>')
            self.text(self.left - 7, y + 4, y_text(value), "end")
        self.add(f'<path class="axis" d="M{self.left} {TOP}V{bottom}H{right}"/>')
        self.text((self.left + right) / 2, self.height - 8, x_title, "middle", "title")
        if y_title:
            middle = (TOP + bottom) / 2
            self.add(
                f'<text class="title" text-anchor="middle" transform="translate(14 {middle:.0f}) rotate(-90)">'
                f"{escape(y_title)}</text>"
            )

    def text(self, x: float, y: float, text: str, anchor: str = "start", cls: str = "") -> None:
        """Write a text.

        Args:
            x: position in the drawing.
            y: position in the drawing.
            text: not yet escaped.
            anchor: ``start``, ``middle`` or ``end`` of the text stands at the position.
            cls: CSS class.
        """
        self.add(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{cls}">{escape(text)}</text>')

    def line(self, points: Iterable[Sequence[float]], k: int, cls: str) -> None:
        """Draw a line through points.

        Args:
            points: values on the two axes.
            k: number of the arm, for its colour.
            cls: CSS class.
        """
        path = "L".join(f"{self.x(p[0]):.1f} {self.y(p[1]):.1f}" for p in points)
        if path:
            self.add(f'<path class="{cls}" style="stroke:{colour(k)}" d="M{path}"/>')

    def cross(self, x: Sequence[float | None], y: Sequence[float | None], k: int) -> None:
        """Draw the intervals around a mean.

        Args:
            x: low, mean and high; no interval where one is None.
            y: the same on the other axis.
            k: number of the arm, for its colour.
        """
        (x_low, x_mid, x_high), (y_low, y_mid, y_high) = x, y
        if None not in (x_low, x_high, y_mid):
            d = f"M{self.x(x_low):.1f} {self.y(y_mid):.1f}H{self.x(x_high):.1f}"  # type: ignore[arg-type]
            self.add(f'<path class="arm" style="stroke:{colour(k)}" d="{d}"/>')
        if None not in (y_low, y_high, x_mid):
            d = f"M{self.x(x_mid):.1f} {self.y(y_low):.1f}V{self.y(y_high):.1f}"  # type: ignore[arg-type]
            self.add(f'<path class="arm" style="stroke:{colour(k)}" d="{d}"/>')

    def mark(self, x: float, y: float, k: int, tip: str, hollow: bool = False, size: float = 5) -> None:
        """Draw the marker of an arm.

        Args:
            x: value on the x axis.
            y: value on the y axis.
            k: number of the arm.
            tip: text that appears on pointing at it.
            hollow: draw an outline only, for an estimate.
            size: half of its width.
        """
        self.add(marker(self.x(x), self.y(y), k, size, tip, hollow))

    def svg(self) -> str:
        """The drawing as an SVG element."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {self.height}" role="img" aria-label="{escape(self.label, True)}">'
            + "".join(self.parts)
            + "</svg>"
        )


def marker(x: float, y: float, k: int, size: float, tip: str = "", hollow: bool = False) -> str:
    """A mark whose shape and colour both identify the arm.

    Args:
        x: position in the drawing.
        y: position in the drawing.
        k: number of the arm.
        size: half of the mark's width.
        tip: text that appears on pointing at it.
        hollow: draw an outline only, for an estimate.
    """
    shape, r = MARKERS[k % len(MARKERS)], size
    paths = {
        "square": f"M{x - r:.1f} {y - r:.1f}h{2 * r}v{2 * r}h{-2 * r}z",
        "diamond": f"M{x:.1f} {y - 1.3 * r:.1f}l{1.3 * r} {1.3 * r}l{-1.3 * r} {1.3 * r}l{-1.3 * r} {-1.3 * r}z",
        "triangle": f"M{x:.1f} {y - 1.2 * r:.1f}l{1.2 * r} {2.1 * r}h{-2.4 * r}z",
        "down": f"M{x:.1f} {y + 1.2 * r:.1f}l{1.2 * r} {-2.1 * r}h{-2.4 * r}z",
        "cross": f"M{x - r:.1f} {y - r:.1f}l{2 * r} {2 * r}m0 {-2 * r}l{-2 * r} {2 * r}",
    }
    fill = "var(--paper)" if hollow or shape == "cross" else colour(k)
    style = f'class="mark" style="stroke:{colour(k)};fill:{fill}"'
    title = f"<title>{escape(tip)}</title>" if tip else ""
    if shape == "circle":
        return f'<circle {style} cx="{x:.1f}" cy="{y:.1f}" r="{r}">{title}</circle>'
    return f'<path {style} d="{paths[shape]}">{title}</path>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values for the ticks of an axis.

    Args:
        low: end of the axis.
        high: the other end.
        about: their number, roughly.

    >>> ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round((first + k) * step, 12) for k in range(int((high - first * step) / step + 1e-9) + 1)]


def ticks_log(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: 1, 2 and 5 times a power of ten; evenly spaced values where these are few.

    Args:
        low: end of the axis, above 0.
        high: the other end.

    >>> ticks_log(8.0, 210.0)
    [10.0, 20.0, 50.0, 100.0, 200.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    round_ones = [m * 10.0**p for p in powers for m in (1, 2, 5) if low <= m * 10.0**p <= high]
    if len(round_ones) > 7:
        round_ones = [value for value in round_ones if round(math.log10(value), 9) % 1 == 0]
    return round_ones if len(round_ones) > 1 else ticks(low, high, 6)


def _widened(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.05
    return low - room, high + room


def _widened_log(low: float, high: float) -> tuple[float, float]:
    room = max((high / low) ** 0.06, 1.05)
    return low / room, high * room
