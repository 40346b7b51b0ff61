"""The company that the data is of: its countries, branches, products, coupons, seasons and habits. Pure, and without chance."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

__all__ = [
    "CHANNELS",
    "COUNTRIES",
    "COUPONS",
    "FIRST_DAY",
    "LAST_DAY",
    "LINES",
    "PAYMENT_METHODS",
    "PRODUCTS",
    "QUANTITIES",
    "RETURNED",
    "Country",
    "branches",
    "coupons",
    "day_weights",
    "falling",
    "products",
]

CHANNELS: Final = ("tienda", "web", "app", "telefono")
FIRST_DAY: Final = dt.date(2024, 1, 1)
LAST_DAY: Final = dt.date(2025, 12, 31)
COUPONS: Final = 24
"""One a month, good in that month alone."""
PRODUCTS: Final = 400
"""Of each country."""
LINES: Final = (0.37, 0.24, 0.15, 0.10, 0.06, 0.04, 0.025, 0.015)
"""How many sales of a hundred have 1, 2, … 8 lines."""
QUANTITIES: Final = (0.70, 0.18, 0.07, 0.03, 0.012, 0.008)
RETURNED: Final = (0.03, 0.08, 0.07, 0.05)
"""Share of the sales of each channel that come back."""
PAYMENT_METHODS: Final = (
    (1, "efectivo", "0.0000", 0.31),
    (2, "tarjeta de débito", "0.0110", 0.27),
    (3, "tarjeta de crédito", "0.0245", 0.29),
    (4, "transferencia", "0.0030", 0.09),
    (5, "monedero", "0.0180", 0.04),
)
"""Number, name, commission, share of the sales."""


@dataclass(frozen=True)
class Country:
    """A country: its share of the sales, its habits, and what its money is worth."""

    id_pais: int
    pais: str
    share: float
    cities: tuple[str, ...]
    branches: int
    channels: tuple[float, float, float, float]
    """Share of the sales of each channel."""
    coupons: float
    """Share of the sales with a coupon."""
    cents: int
    """Hundredths of its currency in the company's unit of account."""
    seasons: tuple[tuple[int, float], ...]
    """Months that sell more than others, and how much more, beside Christmas."""


COUNTRIES: Final = (
    Country(
        1,
        "México",
        0.46,
        ("Ciudad de México", "Guadalajara", "Monterrey", "Puebla", "Tijuana", "León", "Mérida", "Querétaro"),
        64,
        (0.53, 0.27, 0.16, 0.04),
        0.14,
        1_850,
        ((11, 1.5), (5, 1.2)),
    ),
    Country(
        2,
        "Colombia",
        0.25,
        ("Bogotá", "Medellín", "Cali", "Barranquilla", "Cartagena", "Bucaramanga"),
        36,
        (0.58, 0.22, 0.14, 0.06),
        0.10,
        400_000,
        ((9, 1.3), (6, 1.1)),
    ),
    Country(
        3,
        "Perú",
        0.17,
        ("Lima", "Arequipa", "Trujillo", "Cusco", "Piura"),
        24,
        (0.62, 0.19, 0.11, 0.08),
        0.08,
        375,
        ((7, 1.35), (5, 1.15)),
    ),
    Country(
        4,
        "Chile",
        0.12,
        ("Santiago", "Valparaíso", "Concepción", "Antofagasta"),
        18,
        (0.44, 0.33, 0.20, 0.03),
        0.17,
        95_000,
        ((10, 1.4), (5, 1.25)),
    ),
)
_QUARTERS: Final = ("Centro", "Norte", "Sur", "Oriente", "Poniente", "Aeropuerto", "Universidad", "Plaza Mayor")
_KINDS: Final = (
    ("Electrónica", ("Audífonos", "Teclado", "Cargador", "Bocina", "Reloj"), 38),
    ("Hogar", ("Lámpara", "Sartén", "Cobija", "Cafetera", "Espejo"), 24),
    ("Ropa", ("Camisa", "Pantalón", "Chamarra", "Vestido", "Zapatos"), 29),
    ("Deportes", ("Balón", "Mochila", "Raqueta", "Bicicleta", "Tienda"), 45),
    ("Alimentos", ("Café", "Chocolate", "Aceite", "Arroz", "Miel"), 7),
)


def branches(country: Country) -> list[tuple[int, int, str, str, str, dt.date]]:
    """Return a country's rows of sucursal; numbers are unique in the whole world."""
    rows = []
    for number in range(country.branches):
        city = country.cities[number % len(country.cities)]
        quarter = _QUARTERS[number // len(country.cities) % len(_QUARTERS)]
        opened = dt.date(2005 + number * 7 % 18, 1 + number * 5 % 12, 1 + number * 11 % 28)
        key = country.id_pais * 1_000 + number + 1
        rows.append((key, country.id_pais, country.pais, f"{city} {quarter} {number + 1}", city, opened))
    return rows


def products(country: Country) -> list[tuple[int, int, str, str, int, int]]:
    """Return a country's rows of producto, with price and cost in hundredths of its currency."""
    rows = []
    for number in range(PRODUCTS):
        category, names, base = _KINDS[number % len(_KINDS)]
        name = f"{names[number // len(_KINDS) % len(names)]} {number + 1}"
        price = base * country.cents * (40 + number * 37 % 160) // 100
        cost = price * (52 + number * 13 % 23) // 100
        rows.append((country.id_pais * 100_000 + number + 1, country.id_pais, name, category, price, cost))
    return rows


def coupons() -> list[tuple[int, str, str, dt.date, dt.date]]:
    """Return the rows of cupon: one for each month."""
    rows = []
    for number in range(COUPONS):
        year, month = 2024 + number // 12, number % 12 + 1
        after = dt.date(year + month // 12, month % 12 + 1, 1)
        discount = discount_of(number)
        code = f"{'AHORRO' if number % 2 else 'FIESTA'}{year}{month:02}"
        rows.append((number + 1, code, f"0.{discount:04}", dt.date(year, month, 1), after - dt.timedelta(1)))
    return rows


def discount_of(coupon: int) -> int:
    """Return what a coupon takes off, in ten-thousandths; the first coupon is 0."""
    return (500, 1_000, 1_500, 2_000)[coupon * 3 % 4]


def day_weights(country: Country) -> list[float]:
    """Return how much each day sells beside the others: weekends, the country's seasons, Christmas, and growth."""
    months = {12: 1.7, **dict(country.seasons)}
    weights = []
    for number in range((LAST_DAY - FIRST_DAY).days + 1):
        day = FIRST_DAY + dt.timedelta(number)
        week = (0.85, 0.85, 0.9, 0.95, 1.15, 1.35, 1.1)[day.weekday()]
        weights.append(week * months.get(day.month, 1.0) * (1 + 0.2 * number / 365))
    return weights


def falling(count: int) -> list[float]:
    """Return the shares of `count` things of which few are wanted much, as Zipf has it."""
    weights = [1 / (number + 1) ** 0.9 for number in range(count)]
    total = sum(weights)
    return [weight / total for weight in weights]
