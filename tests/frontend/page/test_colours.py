"""Every colour that text has can be read on every ground that it stands on, by day and by night."""

import re

from rollbuild.frontend.page.templates import static_file

TEXT_ON = {
    ("ink", "paper"): 7,
    ("ink", "panel"): 7,
    ("soft", "paper"): 4.5,
    ("soft", "panel"): 4.5,
    ("link", "paper"): 4.5,
    ("link", "panel"): 4.5,
    **{(tone, ground): 4.5 for tone in ("ok", "busy", "wait", "warn", "bad") for ground in ("paper", "panel")},
    **{(tone, f"{tone}-fill"): 4.5 for tone in ("ok", "busy", "wait", "warn", "bad")},
    ("ink", "warn-fill"): 7,
}


def test_contrast() -> None:
    schemes = re.findall(r":root \{(.*?)\}", static_file("page.css").decode(), re.DOTALL)
    assert len(schemes) == 2
    for text in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", text))
        for (ink, ground), least in TEXT_ON.items():
            assert contrast(colours[ink], colours[ground]) >= least, (ink, ground, colours["paper"])


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def light(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(letter * 2 for letter in colour[1:])
    parts = [value / 255 for value in bytes.fromhex(digits)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
