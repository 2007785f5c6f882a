"""How numbers are written: three decimals without the leading zero, a true minus sign."""

import math


def fraction(value: float, signed: bool = False) -> str:
    """A value in [0, 1] or a difference of two, as `.371`, `1.000`, `−.012`, `+.086`; "" for NaN."""
    if math.isnan(value):
        return ""
    digits = f"{abs(value):.3f}"
    digits = digits[1:] if digits.startswith("0") else digits
    sign = "−" if value < 0 and digits != ".000" else "+" if signed and digits != ".000" else ""
    return sign + digits


def interval(low: float, high: float, signed: bool = False) -> str:
    """`[.312, .421]`; "" where an end is missing."""
    if math.isnan(low) or math.isnan(high):
        return ""
    return f"[{fraction(low, signed)}, {fraction(high, signed)}]"


def p_value(value: float) -> str:
    """`.031`, `< .001` (with a space that does not break); "" for NaN."""
    if math.isnan(value):
        return ""
    return "<\u00a0.001" if value < 0.001 else "1" if value > 0.9995 else fraction(value)


def plain(value: float) -> str:
    """Four significant digits without an exponent, whole numbers whole, thin spaces between thousands; "" for NaN."""
    if math.isnan(value):
        return ""
    if value and abs(value) < 1:
        return f"{value:.4g}".replace("-", "−")
    decimals = 0 if value == int(value) else max(0, 4 - len(str(int(abs(value)))))
    return f"{value:,.{decimals}f}".replace(",", "\u2009").replace("-", "−")
