"""The tables of the book, made from records: HTML through pandas, so that a reader gets a real table."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired import plan, studies
from bioinspired.assessment import Assessment
from bioinspired.chapter import Chapter
from bioinspired.claims import Holding, Verdict, agreement, load
from bioinspired.claims.declarations import Cell
from bioinspired.claims.statistics import wilson
from bioinspired.keys import strength
from bioinspired.records import Record, open_store
from bioinspired.results import strength as strength_of
from bioinspired.trials import Scale

NOTHING = "–"
SPREAD = "Mean over seeds ± standard deviation (seeds)."
SHADES = {
    "passed": "good",
    "reached": "good",
    "not reached": "bad",
    "failed": "bad",
    "reproduced": "good",
    "seen at small scale": "good",
    "supported in our reconstruction": "good",
    "holds": "good",
    "partly": "fair",
    "small gain only": "fair",
    "contradicted": "bad",
    "not reproduced": "bad",
    "not seen at small scale": "bad",
    "not supported in our reconstruction": "bad",
    "does not hold": "bad",
}


def verdicts(chapter: Chapter, source_set: str) -> Styler:
    """The headline claims of one set of sources with what was found: page one of a chapter."""
    rows = [
        {
            "claim": escape(found.headline.statement),
            "verdict": badge(found.verdict.word, found.verdict.text),
            "ours": _effect(found.verdict) + _small(_behind(found.verdict)),
            "the paper's": _claimed(found)
            + _small(f"{escape(found.headline.place)}; {escape(found.headline.reliability)}"),
        }
        for found in chapter.assessments
        if found.headline.source_set == source_set
    ]
    return table(
        pd.DataFrame(rows),
        "Does it reproduce? Defended minus baseline with its interval, corrected for all headline claims.",
    )


def holdings(chapter: Chapter) -> Styler:
    """For the claims that speak of an attacker: does the defense hold, with the paper's access and in white box."""
    rows = [
        {
            "claim": escape(found.headline.statement),
            "with the paper's access": _holding(found.paper_access),
            "white box": _holding(found.white_box),
        }
        for found in chapter.assessments
        if found.headline.access != "none"
    ]
    return table(
        pd.DataFrame(rows),
        "Does it hold? Worst case per image, unconditional, against the best baseline at equal clean accuracy: "
        "defended minus that baseline, at the claim's ε and at the ε that halves the undefended twin.",
    )


def badge(word: str, text: str) -> str:
    """A verdict as a coloured word, the qualifications behind it in plain text."""
    rest = escape(text.removeprefix(word).strip())
    return f'<span class="verdict verdict-{SHADES.get(word, "open")}">{escape(word)}</span> {rest}'.strip()


def accuracies(chapter: Chapter) -> Styler:
    """Clean accuracy of every row, sources included: mean over seeds, with the spread and the seeds."""
    rows = chapter.frame[chapter.frame["kind"] == "clean"]
    frame = _spread(rows, "unconditional").rename_axis("network").rename("clean accuracy, %").reset_index()
    return table(frame, f"Accuracy on clean test images. {SPREAD}")


def transfer(chapter: Chapter, *, eps: str, metric: str = "unconditional") -> Styler:
    """Rows: targets; columns: sources; percent right on examples made on each source, seeds and sources crossed."""
    rows = chapter.frame
    rows = rows[(rows["kind"] == "attack") & (rows["source"] != "") & (rows["eps"] == strength(eps))]
    counted = "over all images" if metric == "unconditional" else "by the paper's conditional rate"
    caption = f"Percent right, {counted}, on PGD examples with ε = {eps} made on each source. {SPREAD}"
    return _cross(rows, "source", metric, prefix="from ", caption=caption)


def white_box(chapter: Chapter) -> Styler:
    """Rows: networks; columns: epsilon; percent right under white-box PGD, an upper bound."""
    rows = chapter.frame
    rows = rows[(rows["kind"] == "attack") & (rows["source"] == "") & (rows["name"] == "pgd")]
    caption = f"Accuracy under white-box PGD, %: upper bounds. {SPREAD}"
    return _cross(rows, "eps", "unconditional", prefix="ε = ", caption=caption)


def autoattack(chapter: Chapter) -> Styler:
    """AutoAttack on the first images of the test set: percent right with Wilson's interval, an upper bound."""
    rows = chapter.frame[chapter.frame["name"] == "autoattack"]
    out = [
        {
            "network": row["label"],
            "seed": row["seed"],
            "norm, ε": f"{row['norm']}, {row['eps']}",
            "images": row["n"],
            "accuracy, %": _with_interval(row["unconditional"], row["n"]),
            "passes per image": f"{row['forwards']:,.0f} + {row['backwards']:,.0f}",
        }
        for _, row in rows.iterrows()
    ]
    columns = ["network", "seed", "norm, ε", "images", "accuracy, %", "passes per image"]
    caption = "AutoAttack: accuracy (an upper bound) with its 95 % interval over images; forward + backward passes."
    return table(pd.DataFrame(out, columns=columns), caption)


def checks(chapter: Chapter) -> Styler:
    """Rows: checks of the evaluation itself; columns: networks; whether each passed, and what it saw."""
    columns = {}
    for result in chapter.results:
        if result.checks:
            name = f"{result.label}, seed {result.seed}, ε = {strength_of(result.measurement)}, {result.n} images"
            columns[name] = {found["name"].replace("_", " "): _check(found) for found in result.checks}
    frame = pd.DataFrame(columns).fillna(NOTHING).rename_axis("check").reset_index()
    return table(frame, "Is the evaluation to be trusted? Signs that attacks fail for other reasons than robustness.")


def noise(chapter: Chapter) -> Styler:
    """Rows: networks; columns: sigma of Gaussian noise on [0, 1]; percent right."""
    rows = chapter.frame[chapter.frame["name"] == "gaussian_noise_clipped"]
    caption = f"Accuracy under Gaussian noise, %. {SPREAD}"
    return _cross(rows, "eps", "unconditional", prefix="σ = ", caption=caption)


def cells(chapter: Chapter, source_set: str) -> Styler:
    """How far our numbers agree with the numbers a paper prints, table by table; shown, never judged.

    A number that is printed in two places counts once, where it stands first.
    """
    claims = load(chapter.study.name)
    data = chapter.study.trials[0].network.data
    rows = []
    for place in dict.fromkeys(c.place for c in claims.cells if c.source_set == source_set and not c.same_as):
        here = [
            cell for cell in claims.cells if (cell.source_set, cell.place) == (source_set, place) and not cell.same_as
        ]
        ours = [_our_cell(chapter, cell) if cell.data == data.name else None for cell in here]
        found = agreement(ours, [cell.value for cell in here])
        rows.append(
            {
                "place": place,
                "reliability": ", ".join(dict.fromkeys(cell.reliability for cell in here)),
                "numbers printed": len(here),
                "measured here": found.n,
                "mean absolute deviation": NOTHING if found.deviation is None else f"{found.deviation:.1f}",
                "rank correlation": NOTHING if found.correlation is None else f"{found.correlation:.2f}",
            }
        )
    frame = pd.DataFrame(rows)
    if not frame["measured here"].any():
        frame = frame[["place", "reliability", "numbers printed", "measured here"]]
    return table(
        frame, "What the sources print, table by table, and how far our numbers agree where they can be compared."
    )


def cost(chapter: Chapter) -> Styler:
    """What the study cost on the hardware that made it: units, seconds, passes through the networks."""
    rows = []
    for record in _records(chapter):
        for name, entry in record.cost.items():
            unit = record.unit(name)
            if unit is not None:
                run = record.provenance["runs"][unit["run"]]
                kind = "training" if name == "training" else record.measurements[name]["config"]["question"]["kind"]
                rows.append({"what": kind, "hardware": _hardware(run), "seconds": entry["seconds"]})
    frame = pd.DataFrame(rows, columns=["what", "hardware", "seconds"])
    grouped = frame.groupby(["what", "hardware"], as_index=False).agg(
        units=("seconds", "size"), seconds=("seconds", "sum")
    )
    grouped["seconds"] = grouped["seconds"].map("{:.0f}".format)
    return table(grouped, "What the records of this page cost.")


def status(store: str, scale: Scale) -> pd.DataFrame:
    """Units of every study at a scale: how many are done, missing, stale, damaged, and what makes the missing ones."""
    place = open_store(scale, store)
    rows = []
    for name in studies.NAMES:
        found = [unit.state for unit in plan.units(studies.study(name, scale), place)]
        counts = {state: found.count(state) for state in ("done", "missing", "stale", "damaged")}
        command = f"bioinspired run {name} --scale {scale}" if counts["missing"] + counts["damaged"] else ""
        rows.append({"study": name, "units": len(found), **counts, "to make the rest": command})
    return pd.DataFrame(rows)


def provenance(store: str, scale: Scale) -> pd.DataFrame:
    """Which runs made the records of a scale: commit, versions, hardware, units, first and last day."""
    runs: dict[str, dict[str, object]] = {}
    for record in open_store(scale, store).records():
        if not isinstance(record, Record):
            continue
        for unit in record.provenance["units"].values():
            facts = record.provenance["runs"][unit["run"]]
            row = runs.setdefault(
                unit["run"],
                {
                    "run": unit["run"],
                    "commit": (facts["commit"] or "none")[:12] + (" (changed files)" if facts["dirty"] else ""),
                    "hardware": _hardware(facts),
                    "versions": ", ".join(f"{name} {version}" for name, version in sorted(facts["versions"].items())),
                    "units": 0,
                    "first": unit["finished"][:10],
                    "last": unit["finished"][:10],
                },
            )
            row["units"] = int(str(row["units"])) + 1
            row["first"] = min(str(row["first"]), unit["finished"][:10])
            row["last"] = max(str(row["last"]), unit["finished"][:10])
    return pd.DataFrame(runs.values(), columns=["run", "commit", "hardware", "versions", "units", "first", "last"])


def table(frame: pd.DataFrame, caption: str) -> Styler:
    """A frame as the book shows it: without row numbers, with a caption, numbers to the right."""
    styled = frame.style.hide(axis="index").set_caption(caption).set_table_attributes('class="dataframe records"')
    return styled.set_td_classes(frame.map(lambda value: "number" if _is_number(value) else ""))


def _cross(rows: pd.DataFrame, column: str, metric: str, *, prefix: str, caption: str) -> Styler:
    out = {}
    for value in dict.fromkeys(rows.sort_values("strength")[column] if column == "eps" else rows[column]):
        out[prefix + str(value)] = _spread(rows[rows[column] == value], metric)
    frame = pd.DataFrame(out).reindex(list(dict.fromkeys(rows["label"])))
    return table(frame.fillna(NOTHING).rename_axis("network").reset_index(), caption)


def _spread(rows: pd.DataFrame, metric: str) -> "pd.Series[str]":
    """Per label the mean over target seeds (each the mean over its sources), the deviation over them, and how many."""
    found = {}
    for label in dict.fromkeys(rows["label"]):
        seeds = rows[rows["label"] == label].dropna(subset=[metric]).groupby("seed")[metric].mean()
        if seeds.empty:
            continue
        deviation = f" ± {seeds.std(ddof=1):.1f}" if len(seeds) > 1 else ""
        found[label] = f"{seeds.mean():.1f}{deviation} ({len(seeds)})"
    return pd.Series(found, dtype=str)


def _our_cell(chapter: Chapter, cell: Cell) -> float | None:
    """Our value of a printed cell: same architecture, keep probability, place of the masks, source, attack, metric."""
    label = "standard" if not cell.keep else f"keep {cell.keep}" + (" top" if cell.where == "top" else "")
    if cell.target != "resnet18" or cell.variant or cell.where not in ("", "bottom", "top"):
        return None
    where: dict[str, object] = {"source": "" if cell.source == "itself" else cell.source}
    if cell.attack in ("", "none", "clean"):
        where["kind"] = "clean"
    elif cell.attack in ("fgsm", "pgd") and cell.eps:
        where |= {"kind": "attack", "name": cell.attack, "eps": strength(cell.eps), "steps": int(cell.steps or 1)}
    else:
        return None
    metric = "conditional" if cell.metric == "conditional" else "unconditional"
    return chapter.rate(label, metric=metric, **where)


def _check(found: Mapping[str, Any]) -> str:
    word = "passed" if found["passed"] else "failed"
    return badge(word, f"{word} {found['advice']}")


def _records(chapter: Chapter) -> list[Record]:
    return list({result.record.key: result.record for result in chapter.results}.values())


def _hardware(run: dict[str, dict[str, object]]) -> str:
    hardware = run["hardware"]
    return str(hardware["processor"] if hardware["device"] == "cpu" else hardware["device"])


def _claimed(found: Assessment) -> str:
    value, unit = found.headline.value, found.headline.unit
    if found.headline.kind == "equivalence":
        return "no difference"
    if value is None:
        return "a direction only: " + ("higher" if found.headline.sign == 1 else "lower")
    return f"× {value:.2f}" if unit == "ratio" else f"{value:+.1f} points"


def _effect(verdict: Verdict) -> str:
    return NOTHING if verdict.effect is None else _interval(verdict.effect, verdict.low, verdict.high, verdict.unit)


def _behind(found: Verdict) -> str:
    return f"{found.k} seeds, {found.n} images" if found.k else ""


def _small(text: str) -> str:
    return f"<br><small>{text}</small>" if text else ""


def _holding(found: Holding) -> str:
    numbers = [f"{name}: {_interval(*arm, found.unit)}" for name, arm in _arms(found) if arm is not None]
    return badge(found.word, found.text) + "".join(_small(number) for number in numbers)


def _arms(found: Holding) -> Iterable[tuple[str, tuple[float, float | None, float | None] | None]]:
    return ("at the claim's ε", found.at_eps), ("at the twin's ε<sub>50</sub>", found.at_eps50)


def _interval(mean: float, low: float | None, high: float | None, unit: str) -> str:
    form = "× {:.2f}" if unit == "ratio" else "{:+.1f}"
    ends = "" if low is None or high is None else f" [{form.format(low)}, {form.format(high)}]"
    return form.format(mean) + ends


def _with_interval(percent: float, n: int) -> str:
    low, high = wilson(round(percent * n / 100), n)
    return f"{percent:.0f} [{100 * low:.0f}, {100 * high:.0f}]"


def _is_number(value: object) -> bool:
    text = str(value)
    return "<br>" not in text and (text[:1].isdigit() or text[:1] in "+-–×")
