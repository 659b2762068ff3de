"""What the site has beyond the pages of docs/, and what its renderer needs to be told.

Here: README.md as the start, CHANGELOG.md as the changes; files of the project that pages link to,
handed out beside them; links between all of these; GitHub's anchors; nothing from elsewhere. Not
here: where a list begins (blocks.py), navigation, looks (mkdocs.yml), the pages of docs/reference,
which are written before.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from blocks import separate_blocks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify

ROOT = Path(__file__).parents[2]
DOCS = "docs/"
PAGES = {"README.md": "index.md", "CHANGELOG.md": "changes.md"}
"""Pages from beside docs/: where they stand in the project, and in the site."""
PROJECT = "project/"
"""Where other files of the project stand in the site."""

_LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)#\s]+)")
"""A link to a file, its anchor left out."""
_OUTSIDE = re.compile(
    r"<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=[\"']?((?:https?:)?//[^\"'> ]+)"
)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Anchors as GitHub makes them of headings."""
    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from beside docs/, and each file that a page links to."""
    for path, place in PAGES.items():
        text = (ROOT / path).read_text("utf-8")
        files.append(File.generated(config, place, content=text))
    for page in list(files.documentation_pages()):
        for path in _list_links(page):
            place = find_place(path)
            # what is not there stays unknown, and its link fails the build
            is_new = place.startswith(PROJECT) and files.get_file_from_path(place) is None
            if is_new and (ROOT / path).is_file():
                files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as the site needs them, lists and tables as the renderer needs them."""
    _ = (config, files)
    folder = posixpath.dirname(page.file.src_uri)

    def relocate(link: re.Match[str]) -> str:
        place = find_place(_resolve(page.file, link[2]))
        return link[1] + posixpath.relpath(place, folder or ".")

    return separate_blocks(_LINK.sub(relocate, markdown))


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Refuse what a reader's browser would fetch from elsewhere."""
    _ = config
    if found := _OUTSIDE.findall(output):
        message = f"{page.file.src_uri} loads {', '.join(found)}: keep a copy beside the pages"
        raise PluginError(message)
    return output


def find_place(path: str) -> str:
    """Where a file of the project stands in the site."""
    if path in PAGES:
        return PAGES[path]
    return path.removeprefix(DOCS) if path.startswith(DOCS) else PROJECT + path


def _list_links(file: File) -> Iterator[str]:
    for _, target in _LINK.findall(file.content_string):
        yield _resolve(file, target)


def _resolve(file: File, target: str) -> str:
    """A link's target from the project's folder."""
    sources = {place: path for path, place in PAGES.items()}
    source = PurePosixPath(sources.get(file.src_uri, DOCS + file.src_uri))
    return posixpath.normpath(str(source.parent / target))
