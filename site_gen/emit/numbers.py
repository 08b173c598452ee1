"""Numbers for people: as many digits as a reader can use."""

from __future__ import annotations

import calendar
import math


def number(value: float) -> str:
    """Four digits for what is small, groups of three for what is large: 1.086, 8.375, 14,336; two of 0.000061."""
    if value == 0:
        return "0"
    if abs(value) < 0.001:
        return tiny(value)
    return f"{value:,.0f}" if abs(value) >= 10000 else f"{value:.4g}"


def tiny(value: float) -> str:
    """Two digits after all zeros; a power of ten only where nobody would count these."""
    return f"{value:.{1 - math.floor(math.log10(abs(value)))}f}" if abs(value) >= 1e-6 else f"{value:.1e}"


def ratio(value: float) -> str:
    """Four digits, zeros at the end too, so that a column is of one length: 1.000, 1.086, 34.97."""
    return number(value) if abs(value) < 0.01 or abs(value) >= 999.95 else f"{value:#.4g}"


def percent(share: float) -> str:
    """A share without digits behind the point: 0.704 is 70 %."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def products(text: str) -> str:
    """A count as a reader writes it, from the plain text of an entry: out · in², in × in."""
    return text.replace("^2", "²").replace("^3", "³").replace(" * ", " · ").replace(" x ", " × ")


def month(date: str) -> str:
    """October 2022, of 2022-10 or a day of it; a year stays one."""
    year, _, rest = date.partition("-")
    return f"{calendar.month_name[int(rest[:2])]} {year}" if rest else year


def signed(value: float, digits: int = 2) -> str:
    """+0.12, −0.03 with a real minus; a zero has no sign."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else ("−" if value < 0 else "+") + text
