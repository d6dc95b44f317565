"""The files of the page without a browser: colors, size, wording and links."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mien.palette import PALETTE, Color, contrast, ink_on
from mien.recognition.drawing import UNSURE_BELOW
from mien.service.app import PAGE

FILES = sorted(path for path in PAGE.iterdir() if path.is_file())
MODULES = [path for path in FILES if path.suffix == ".js"]
TOKENS = dict(re.findall(r"--([\w-]+): ([^;]+);", (PAGE / "tokens.css").read_text()))
SCHEMES = ("light", "dark")

SPOKEN = {"alt", "title", "aria-label", "content", "placeholder"}
"""Attributes that are shown or read aloud."""

WEIGHT = 165_000
"""Maximum bytes of the whole page, uncompressed; about a tenth of one photo."""


def color(name: str, scheme: str) -> Color:
    """A color of tokens.css in one scheme."""
    values = re.findall(r"#([0-9a-f]{6})\b", TOKENS[name])
    value = values[SCHEMES.index(scheme) if len(values) == 2 else 0]
    return (int(value[:2], 16), int(value[2:4], 16), int(value[4:], 16))


@pytest.mark.parametrize("label", PALETTE)
def test_expressions_have_the_colors_of_the_palette(label: str) -> None:
    assert color(label, "light") == PALETTE[label]
    assert color(f"on-{label}", "light") == ink_on(PALETTE[label])


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("ink", "ground", "least"),
    [
        ("ink", "paper", 4.5), ("ink", "surface", 4.5), ("ink", "accent-wash", 4.5), ("ink", "danger-wash", 4.5),
        ("muted", "paper", 4.5), ("muted", "surface", 4.5), ("muted", "sunken", 4.5), ("muted", "accent-wash", 4.5),
        ("accent", "paper", 4.5), ("accent", "surface", 4.5), ("accent", "accent-wash", 4.5),
        ("on-accent", "accent", 4.5), ("danger", "surface", 4.5),
        ("edge", "paper", 3), ("edge", "surface", 3), ("accent", "sunken", 3), ("danger", "danger-wash", 3),
    ],
)  # fmt: skip
def test_contrast_meets_wcag_aa(ink: str, ground: str, least: float, scheme: str) -> None:
    """WCAG 2.2 AA: 4.5 for text, 3 for the edges of controls and for the focus indicator."""
    assert contrast(color(ink, scheme), color(ground, scheme)) >= least


def test_the_page_stays_below_its_size_limit() -> None:
    assert sum(path.stat().st_size for path in FILES) <= WEIGHT


def test_page_and_annotated_copies_share_the_low_score_threshold() -> None:
    (bound,) = re.findall(r"UNSURE_BELOW = ([\d.]+);", (PAGE / "doubt.js").read_text())
    assert float(bound) == UNSURE_BELOW


WORDS = re.compile(
    r"pictures?|films?|colours?|recognis\w*|licences?|taxonom\w*|grey|finder|look(?:ed|ing|s)? at",
    re.IGNORECASE,
)
"""Words that the glossary replaces by others."""


def test_texts_of_the_page_use_the_words_of_the_glossary() -> None:
    elements = Elements()
    said = [
        *elements.texts,
        *(v for _, attributes in elements.all for k, v in attributes.items() if k in SPOKEN),
    ]
    for path in MODULES:
        strings = re.findall(r'"([^"\n]*)"|`([^`]*)`', without_comments(path))
        said += [re.sub(r"\$\{[^}]*\}", "", one or other) for one, other in strings if " " in one + other]
    assert len(said) > 80
    assert [text for text in said if text and WORDS.search(text)] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_modules_are_documented_and_short(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("/**")
    assert len(text.splitlines()) <= 200
    assert max(map(len, text.splitlines())) <= 121
    for imported in re.findall(r'from "\./([\w.]+)"', text):
        assert (PAGE / imported).is_file()


def test_every_module_is_used() -> None:
    told = "".join(path.read_text() for path in FILES if path.suffix in {".js", ".html"})
    for path in MODULES:
        assert f"/{path.name}" in told


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.suffix != ".webp"], ids=lambda path: path.name
)
def test_files_have_no_external_or_root_relative_urls(path: Path) -> None:
    assert not re.search(r"[\"'`(]/(?!/)[a-z]", without_comments(path)), "the page may stand under a path"
    names = set(re.findall(r"https?://[\w.-]+", path.read_text()))
    assert names <= {"http://www.w3.org", "http://localhost"}  # a namespace, and a URL in an error message


def without_comments(path: Path) -> str:
    """The text of a file without its comments."""
    return re.sub(r"/\*.*?\*/|^\s*//.*?$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)


class Elements(HTMLParser):
    """All elements of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed((PAGE / "index.html").read_text())

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attrs)))


def test_the_html_follows_the_content_security_policy_and_has_valid_labels() -> None:
    elements = Elements().all
    for tag, attributes in elements:
        assert tag != "style"
        assert not any(name == "style" or name.startswith("on") for name in attributes)
        if tag == "script":
            assert (attributes["src"] or "").startswith("page/")
        if tag == "img":
            assert "alt" in attributes
        for name in ("src", "href"):
            target = attributes.get(name) or ""
            assert not target.startswith("/")  # the page may be served under a path prefix
            if target.startswith("page/"):
                assert (PAGE / target.removeprefix("page/")).is_file()
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = {
        attributes[key] for _, attributes in elements for key in ("aria-labelledby",) if key in attributes
    }
    assert named <= set(ids)
    assert ("html", {"lang": "en"}) in elements
