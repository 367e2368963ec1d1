"""Tables of the chapter on defective convolution."""

from pandas.io.formats.style import Styler

from bioinspired.chapter import Chapter
from bioinspired.claims.declarations import Cell
from bioinspired.keys import strength
from bioinspired.tables import claims


def cells(chapter: Chapter, source_set: str) -> Styler:
    """The printed numbers of one set of sources beside ours."""
    return claims.cells(chapter, source_set, ours)


def ours(chapter: Chapter, cell: Cell) -> float | None:
    """Our value of a printed cell: same architecture, keep probability, place of the masks, source, attack, metric."""
    label = "standard" if not cell["keep"] else f"keep {cell['keep']}" + (" top" if cell["where"] == "top" else "")
    if cell["target"] != "resnet18" or cell["variant"] or cell["where"] not in ("", "bottom", "top"):
        return None
    where: dict[str, object] = {"source": "" if cell["source"] == "itself" else cell["source"]}
    if cell["attack"] in ("", "none", "clean"):
        where["kind"] = "clean"
    elif cell["attack"] in ("fgsm", "pgd") and cell["eps"]:
        where |= {
            "kind": "attack",
            "name": cell["attack"],
            "eps": strength(cell["eps"]),
            "steps": int(cell["steps"] or 1),
        }
    else:
        return None
    metric = "conditional" if cell["metric"] == "conditional" else "unconditional"
    return chapter.rate(label, metric=metric, **where)
