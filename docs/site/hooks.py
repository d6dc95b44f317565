"""Build the documentation site from the files in the repository.

The README is the home page, the changelog and the contributing guide are pages, and links to files outside
the site lead to the repository, whose address is in `pyproject.toml`.
"""

from __future__ import annotations

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
_LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?(\))")


def on_config(config: Any) -> Any:
    """Point the site at the repository."""
    config["repo_url"] = REPOSITORY
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside `docs/`."""
    for page, source in PAGES.items():
        text = (ROOT / source).read_text("utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, files: Any, **_: Any) -> str:
    """Make each relative link lead to a page of the site, or else to the file in the repository."""
    source = PAGES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        if not (ROOT / target).exists():
            return link[0]  # the strict build reports it
        inside = {outside: inside for inside, outside in PAGES.items()}.get(
            target, target.removeprefix("docs/")
        )
        if (target.startswith("docs/") or target in PAGES.values()) and files.get_file_from_path(inside):
            here = posixpath.dirname(page.file.src_uri) or "."
            return f"{link[1]}{posixpath.relpath(inside, here)}{link[3] or ''}{link[4]}"
        kind = "tree" if (ROOT / target).is_dir() else "blob"
        return f"{link[1]}{REPOSITORY}/{kind}/main/{target}{link[3] or ''}{link[4]}"

    return _LINK.sub(rewrite, markdown)
