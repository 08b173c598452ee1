"""The marks of the ten families and of the zoo: line drawings on a 24 by 24 grid, in the colour of the text around."""

from __future__ import annotations

from markupsafe import Markup

# Each shows what is done: a staircase for rounding, holes for pruning, a large and a small circle for teaching ...
_FAMILIES = {
    "quantization": '<path d="M3 19h4.5v-5H12V9h4.5V4H21"/>',
    "pruning": '<path d="M4 4h4v4H4zM16 4h4v4h-4zM10 10h4v4h-4zM4 16h4v4H4z"/><path d="M11 6h2M5 12h2M17 12h2M17 18h2M11 18h2" stroke-dasharray="1 2"/>',
    "distillation": '<circle cx="8" cy="9" r="5.5"/><circle cx="18" cy="18" r="2.8"/><path d="m12.2 13 3.3 3"/>',
    "low-rank": '<path d="M3 4h4v16H3zM10 4h11v4H10z"/><path d="M10 12h11v8H10z" stroke-dasharray="2 2.4"/>',
    "sharing": '<rect x="3" y="9" width="6" height="6" rx="1"/><path d="M9 12h4M13 12V5h3M13 12h3M13 12v7h3"/><path d="M16 3h5v4h-5zM16 10h5v4h-5zM16 17h5v4h-5z"/>',
    "architecture": '<path d="M4 15h16v5H4zM7 9.5h10V15H7zM10 4h4v5.500h-4z"/>',
    "experts": '<circle cx="12" cy="4.500" r="2"/><path d="M12 6.500V10M12 10 5 15M12 10v5M12 10l7 5" /><path d="M3 15h4v5H3zM17 15h4v5h-4z"/><path d="M10 15h4v5h-4z" fill="currentColor"/>',
    "dynamic": '<path d="M4 20V4M9 20v-9M14 20v-6"/><path d="M4 6h12m-3-3 3 3-3 3M18 20v-3"/>',
    "adaptation": '<rect x="3" y="6" width="11" height="14" rx="1.500"/><path d="M19 4v6M16 7h6M17 14h3v6h-3z"/>',
    "execution": '<path d="M13 3 5 13.500h6L10 21l9-11h-6.500z"/>',
}

_LOGO = (
    '<rect x="2" y="2" width="8" height="8" rx="2"/><rect x="13" y="3" width="6" height="6" rx="1.600"/>'
    '<rect x="3" y="13" width="6" height="6" rx="1.600"/><rect x="14" y="14" width="4" height="4" rx="1.100"/>'
    '<rect x="20.600" y="5" width="2" height="2" rx=".6"/><rect x="5" y="20.600" width="2" height="2" rx=".6"/>'
    '<rect x="20.400" y="20.400" width="2.200" height="2.200" rx=".6"/>'
)


def family(name: str) -> Markup:
    """The family's mark; the eye only, since its name always stands beside it."""
    return Markup(
        '<svg class="zoo-icon" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="1.7" '
        f'stroke-linejoin="round" stroke-linecap="round" aria-hidden="true">{_FAMILIES.get(name, "")}</svg>'
    )


def logo(colour: str = "currentColor") -> Markup:
    """The zoo's mark: squares that shrink."""
    return Markup(
        f'<svg class="zoo-logo" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24" fill="{colour}" '
        f'aria-hidden="true">{_LOGO}</svg>'
    )
