"""A Sphinx extension for publication: buttons and identifiers, the pages as Markdown, and names that readers need.

`_config.yml` is the one place for the address of the repository, the DOI and the SWHID. While they are empty no page
shows a button or an identifier.

Beside each page lies its Markdown twin, `glance.md` beside `glance.html`, and `llms.txt` lists them (https://llmstxt.org).
The twin is made from the finished page, so that the tables that notebooks compute are in it.

The theme folds pages below a chapter under an arrow without a name, which a screen reader cannot tell: it gets one.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bioinspired.pages import pdf

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

BUTTONS = {"use_repository_button": True, "use_issues_button": True}
LAUNCHERS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
NOT_PRINTED = "This copy has no PDF: `bioinspired book --pdf` makes one, where there is a Chromium to print it."
UNPUBLISHED = "This copy has no DOI and no SWHID yet: name its version and its commit."


def setup(app: "Sphinx") -> dict[str, Any]:
    """Registers the extension."""
    app.add_config_value("publication", {"doi": "", "swhid": ""}, "env")
    app.connect("config-inited", _where_it_is_published)
    app.connect("html-page-context", _name_folds, priority=900)  # after the theme has put its functions there
    app.connect("build-finished", _twins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _where_it_is_published(app: "Sphinx", config: "Config") -> None:
    if config.html_theme_options.get("repository_url"):
        config.html_theme_options |= BUTTONS | {"launch_buttons": LAUNCHERS}
    printed = (Path(app.srcdir).parent / "extra" / pdf.NAME).is_file()
    config.myst_substitutions |= {
        "identifiers": identifiers(**config.publication),
        "pdf": f'<a href="{pdf.NAME}">The whole book as one PDF</a>' if printed else NOT_PRINTED,
    }


def _name_folds(app: "Sphinx", page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    listed = context.get("generate_toctree_html")
    if listed is not None:
        context["generate_toctree_html"] = lambda *all, **named: name_folds(str(listed(*all, **named)))


def name_folds(html: str) -> str:
    """A list of pages whose folds say what they are."""
    return html.replace("<summary>", '<summary aria-label="Pages of this chapter">')


def identifiers(doi: str, swhid: str) -> str:
    """The identifiers as Markdown, or that there are none yet."""
    named = {"DOI": doi and f"[{doi}](https://doi.org/{doi})", "SWHID": swhid and f"`{swhid}`"}
    return "; ".join(f"{name}: {value}" for name, value in named.items() if value) or UNPUBLISHED


NOT_TEXT = "script, style, a.headerlink, details > summary, .toctree-wrapper, button"


def _twins(app: "Sphinx", error: Exception | None) -> None:
    if error is not None or app.builder.name != "html":
        return
    lines = [f"# {app.config.html_title or app.config.project}", ""]
    for page in _in_order(app):
        html = Path(app.outdir) / f"{page}.html"
        description, text = markdown(html.read_text("utf-8"))
        html.with_suffix(".md").write_text(text, encoding="utf-8")
        if page == app.config.root_doc:
            lines += [f"> {description}", "", "## Pages", ""]
        lines.append(f"- [{app.env.titles[page].astext()}]({page}.md): {description}")
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _in_order(app: "Sphinx") -> list[str]:
    """The pages as the contents list them, the root first."""
    pages = [app.config.root_doc]
    for page in pages:
        pages += [one for one in app.env.toctree_includes.get(page, []) if one not in pages]
    return pages


def markdown(html: str) -> tuple[str, str]:
    """The description of a page, and its main part as Markdown."""
    from bs4 import BeautifulSoup
    from markdownify import markdownify

    page = BeautifulSoup(html, "html.parser")
    described, article = page.select_one('meta[name="description"]'), page.select_one("article.bd-article")
    if article is None:
        return "", ""
    for part in article.select(NOT_TEXT):
        part.decompose()
    text = markdownify(
        str(article), heading_style="ATX", escape_asterisks=False, escape_underscores=False, code_language="python"
    )
    lines = (line.rstrip() for line in str(text).strip().splitlines())
    return str(described["content"]) if described else "", "\n".join(lines) + "\n"
