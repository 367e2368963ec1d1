"""A Sphinx extension for what depends on where the book is published: buttons, and identifiers to cite.

`_config.yml` is the one place for the address of the repository, the DOI and the SWHID. While they are empty no page
shows a button or an identifier.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

BUTTONS = {"use_repository_button": True, "use_issues_button": True}
LAUNCHERS = {
    "notebook_interface": "jupyterlab",
    "binderhub_url": "https://mybinder.org",
    "colab_url": "https://colab.research.google.com",
}
UNPUBLISHED = "This copy has no DOI and no SWHID yet: name its version and its commit."


def setup(app: "Sphinx") -> dict[str, Any]:
    """Registers the extension."""
    app.add_config_value("publication", {"doi": "", "swhid": ""}, "env")
    app.connect("config-inited", _where_it_is_published)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _where_it_is_published(_: "Sphinx", config: "Config") -> None:
    if config.html_theme_options.get("repository_url"):
        config.html_theme_options |= BUTTONS | {"launch_buttons": LAUNCHERS}
    config.myst_substitutions = config.myst_substitutions | {"identifiers": identifiers(**config.publication)}


def identifiers(doi: str, swhid: str) -> str:
    """The identifiers as Markdown, or that there are none yet."""
    named = {"DOI": doi and f"[{doi}](https://doi.org/{doi})", "SWHID": swhid and f"`{swhid}`"}
    return "; ".join(f"{name}: {value}" for name, value in named.items() if value) or UNPUBLISHED
