"""The page of a report: what was found, in words, tables and figures, by a notebook that papermill runs."""

import html
import importlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bioinspired.errors import UserError
from bioinspired.evaluation.evaluate import Share
from bioinspired.lab.records.store import write
from bioinspired.pages.kernel import KERNEL, own_kernel

CELLS = (
    ("markdown", "# Does it hold?"),
    ("parameters", 'folder = "."'),
    ("code", "from bioinspired.pages import report_page as page\n\nfound = page.read(folder)\npage.answer(found)"),
    (
        "markdown",
        "## Accuracy over epsilon\n\nWorst case per image; upper bounds, with 95 % intervals.",
    ),
    ("code", "page.curves(found)"),
    ("markdown", "## Attacks and what they cost"),
    ("code", "page.attacks(found)"),
    ("markdown", "## How far is the nearest adversarial image?"),
    ("code", "page.distances(found)"),
    ("markdown", "## Can these numbers be trusted?"),
    ("code", "page.checks(found)"),
    ("markdown", "## A few adversarial images\n\nEach clean image above the nearest one found that fools."),
    ("code", "page.pictures(found)"),
    ("markdown", "## What we did not try"),
    ("code", "page.untried(found)"),
)
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:left;border-bottom:1px solid #ccc}"
    "img{max-width:100%}"
)


def page(folder: Path) -> Path:
    """Runs the notebook on the findings in a folder, and writes it and the page beside them.

    Raises:
        UserError: the extra `book` is not installed, or a cell fails.
    """
    try:
        nbformat: Any = importlib.import_module("nbformat")
        import papermill
    except ModuleNotFoundError as error:
        raise UserError(
            f"A page needs {error.name}, which is not installed: pip install 'bioinspired[book]'."
        ) from None
    with tempfile.TemporaryDirectory() as room:
        before, after = Path(room) / "template.ipynb", Path(room) / "report.ipynb"
        nbformat.write(_template(), before)
        with own_kernel():
            papermill.execute_notebook(
                before,
                after,
                parameters={"folder": "."},
                kernel_name=KERNEL,
                progress_bar=False,
                cwd=str(folder),
                start_timeout=180,
                extra_arguments=["--IPKernelApp.log_level=CRITICAL"],
            )
        notebook = nbformat.read(after, 4)
    notebook["metadata"].pop("papermill", None)
    notebook["metadata"]["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    write(folder / "report.ipynb", nbformat.writes(notebook).encode())
    path = folder / "report.html"
    write(path, _html(notebook).encode())
    return path


class Html(str):
    """HTML as a notebook shows it."""

    def _repr_html_(self) -> str:
        return str(self)


def read(folder: str) -> dict[str, Any]:
    """The findings in a folder."""
    found: dict[str, Any] = json.loads((Path(folder) / "findings.json").read_text(encoding="utf-8"))
    return found


def answer(found: Mapping[str, Any]) -> Html:
    """The answer in three sentences."""
    main = found["main"]
    at = main["eps"].index(found["eps"])
    clean, robust = share(main["clean"]), share(main["robust"][-1][at])
    first = (
        f"Of {clean.of} images {found['name']} answers {clean} correctly, and within eps = {found['asked']} "
        f"({found['norm']}) at most {robust}."
    )
    if found["twin"] is None:
        second = "Whether a defense does that cannot be said: no twin without it was given."
    else:
        bits = np.array(found["twin"]["robust"][-1][at])
        gain = 100 * (robust.value - bits.mean())
        second = f"Its twin without the defense keeps {share(bits)}: a difference of {gain:+.1f} points."
    checks = found["checks"]
    failed = [one["name"] for one in checks["checks"] if not one["passed"]]
    if checks["reason"]:
        third = f"Whether these numbers can be trusted is open: {checks['reason']}"
    elif failed:
        third = (
            f"Do not trust the number yet: {len(failed)} of {len(checks['checks'])} checks fail ({', '.join(failed)})."
        )
    else:
        third = (
            f"All {len(checks['checks'])} checks pass, so nothing seen here says that the attacks failed by themselves."
        )
    return Html("<p><strong>" + html.escape(f"{first} {second} {third}") + "</strong></p>")


def share(bits: Any) -> Share:
    """How many of the images are right."""
    return Share(int(np.sum(bits)), len(bits))


def curves(found: Mapping[str, Any]) -> Any:
    """Accuracy over epsilon, of the model and its twin."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5))
    for label, one in ((found["name"], found["main"]), ("its twin without the defense", found["twin"])):
        if one is not None:
            shares = [share(one["clean"]), *(share(bits) for bits in one["robust"][-1])]
            eps, values = [0, *one["eps"]], [100 * each.value for each in shares]
            (line,) = axes.plot(eps, values, marker="o", label=label)
            low, high = [100 * each.low for each in shares], [100 * each.high for each in shares]
            axes.fill_between(eps, low, high, alpha=0.2, color=line.get_color())
    axes.set(xlabel=f"eps ({found['norm']})", ylabel="accuracy (%)", ylim=(0, 101))
    axes.legend()
    plt.close(figure)
    return figure


def attacks(found: Mapping[str, Any]) -> Html:
    """Accuracy after each attack and all above it, and the cost of all."""
    main = found["main"]
    heads = ["attack", *(f"eps {eps:.4g}" for eps in main["eps"])]
    rows = [[name, *map(str, map(share, bits))] for name, bits in zip(main["attacks"], main["robust"], strict=True)]
    cost = (
        f"A row counts what the rows above it broke too. Per image {main['forwards']:.0f} forward and "
        f"{main['backwards']:.0f} backward passes, {main['seconds']:.1f} s in all."
    )
    return Html(_table(heads, rows) + f"<p>{cost}</p>")


def distances(found: Mapping[str, Any]) -> Html:
    """The median of the smallest perturbation by each search and of the minimum over them."""
    by = {name: [np.inf if d is None else d for d in values] for name, values in found["distances"]["found"].items()}
    rows = [[name, f"{np.median(values):.4g}"] for name, values in by.items()]
    if by:
        rows.append(["minimum over them", f"{np.median(np.min(list(by.values()), axis=0)):.4g}"])
    rows += [[name, reason] for name, reason in found["distances"]["reasons"].items()]
    return Html(_table(["search", f"median distance ({found['norm']}); 0 for what is answered wrongly"], rows))


def checks(found: Mapping[str, Any]) -> Html:
    """Each check, and what to do about it."""
    rows = [["pass" if one["passed"] else "FAIL", one["name"], one["advice"]] for one in found["checks"]["checks"]]
    return Html(_table(["", "check", "what it says"], rows) + f"<p>{html.escape(found['checks']['reason'])}</p>")


def pictures(found: Mapping[str, Any]) -> Any:
    """Clean images above their nearest fooling ones."""
    import matplotlib.pyplot as plt

    pairs = found["pictures"]
    if not pairs:
        return Html("<p>Nothing was fooled, or the images are no pictures.</p>")
    figure, axes = plt.subplots(2, len(pairs), figsize=(1.1 * len(pairs), 2.4), squeeze=False)
    for column, pair in enumerate(pairs):
        for row, image in enumerate(pair):
            shown = np.array(image).transpose(1, 2, 0)
            axes[row, column].imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1)
            axes[row, column].axis("off")
    plt.close(figure)
    return figure


def untried(found: Mapping[str, Any]) -> Html:
    """What an attacker could still do."""
    lines = [f"{name}: skipped. {reason}" for name, reason in found["main"]["skipped"].items()]
    if "autoattack" not in found["main"]["attacks"]:
        lines.append("AutoAttack: ask for the budget standard.")
    if not found["own"]:
        lines.append("An attack that knows this defense: give one of your own, as a function.")
    if found["twin"] is None:
        lines.append("Images made on the network without its defense: give a twin.")
    lines.append("Other norms, other images, other trainings of the same network, more steps and restarts.")
    return Html("<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>")


def _table(heads: list[str], rows: list[list[str]]) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _template() -> Any:
    v4: Any = importlib.import_module("nbformat.v4")

    cells = []
    for kind, text in CELLS:
        cell = v4.new_markdown_cell(text) if kind == "markdown" else v4.new_code_cell(text)
        if kind == "parameters":
            cell["metadata"]["tags"] = ["parameters"]
        cells.append(cell)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _html(notebook: Mapping[str, Any]) -> str:
    """The notebook without its code as one file: pictures are inside it, nothing is loaded from elsewhere."""
    parts = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            parts.append(_words(cell["source"]))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                picture = data["image/png"].replace("\n", "")
                parts.append(f'<img alt="What the heading above names" src="data:image/png;base64,{picture}">')
            elif "text/html" in data:
                parts.append(data["text/html"])
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Does it hold?</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _words(markdown: str) -> str:
    """The template's own Markdown, headings and paragraphs, as HTML."""
    out = []
    for block in markdown.split("\n\n"):
        level = len(block) - len(block.lstrip("#"))
        tag = f"h{level}" if level else "p"
        out.append(f"<{tag}>{html.escape(block.lstrip('# '))}</{tag}>")
    return "".join(out)
