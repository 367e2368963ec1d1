"""Tables of the chapter on sleep."""

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.io.formats.style import Styler

from bioinspired import keys
from bioinspired.evaluation.statistics import LEVEL, of_seeds
from bioinspired.lab.claims import load
from bioinspired.lab.claims.endpoints import data_of
from bioinspired.lab.claims.holding import UNDEFENDED
from bioinspired.lab.measurements.declarations import Attack, Distance
from bioinspired.lab.papers.sleep.declarations import FGSMScan, SleepSearch
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import checkout
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.contrasts import contrast
from bioinspired.pages.tables.differences import difference, minus
from bioinspired.pages.tables.layout import NOTHING, SPREAD, badge, interval, number, spread, table

SETS = ("A", "B")
MEASURES = ("clean", "noise", "blur", "FGSM scan")
GROUPS = {
    "A": "set A",
    "B": "set B",
    "attacks": "searched\nfor attacks",
    "distortions": "searched\nfor distortions",
}
"""What the rows of the deciding figure stand for, by the trial's factor `sleep`."""


def deciding_frame(chapter: Chapter) -> pd.DataFrame:
    """One row per network of the groups, the waking one in each: columns group, row, seed and the four measures."""
    wide = _measures(chapter)
    groups = {group for group in chapter.frame["sleep"] if group in GROUPS} if len(chapter.frame) else set()
    parts = []
    for group in (group for group in GROUPS if group in groups):
        waking = wide[wide["label"] == "standard"].assign(row="waking")
        mine = wide[(wide["sleep"] == group) & ~wide["instead"].isin(CONTENT)]
        parts += [part.assign(group=group) for part in (waking, mine.assign(row=mine["instead"]))]
    columns = ["group", "row", "seed", *MEASURES]
    return pd.concat(parts)[columns] if parts else pd.DataFrame(columns=columns)


CONTENT = ("noise", "shuffled", "mean", "masked", "logistic", "one")
"""What the factor `instead` says of rows that change what is replayed, or the weight factor."""


def deciding(chapter: Chapter) -> Styler:
    """All networks of the deciding figure as numbers."""
    frame = deciding_frame(chapter)
    rows = []
    for group, row in dict.fromkeys(zip(frame["group"], frame["row"], strict=True)):
        mine = frame[(frame["group"] == group) & (frame["row"] == row)]
        cells = {measure: _mean(mine[measure].dropna()) for measure in MEASURES}
        rows.append({"group": GROUPS[group].replace("\n", " "), "network": row, **cells})
    return table(pd.DataFrame(rows, columns=["group", "network", *MEASURES]), f"Accuracy over all images, %. {SPREAD}")


def paired(chapter: Chapter) -> Styler:
    """Sleep minus what might do the same, seed by seed, with Student's intervals."""
    frame = deciding_frame(chapter)
    rows = []
    for group in dict.fromkeys(frame["group"]):
        for row in dict.fromkeys(frame.loc[frame["group"] == group, "row"]):
            if row == "sleep":
                continue
            less = minus(frame[frame["group"] == group], row, list(MEASURES))
            cells = {m: difference(less[m]) for m in MEASURES}
            name = GROUPS[group].replace("\n", " ")
            rows.append({"sleep": name, "minus": row, **cells, "seeds": len(less)})
    caption = "Sleep minus another change of the same waking network, in points, with 95 % intervals over seeds."
    return table(pd.DataFrame(rows, columns=["sleep", "minus", *MEASURES, "seeds"]), caption)


def rows(chapter: Chapter) -> Styler:
    """Every row of the study by the four measures, and the released code's classifier beside the clean accuracy."""
    wide = _measures(chapter)
    coded = chapter.frame[chapter.frame["kind"] == "rectified"]
    made = {measure: spread(wide, measure) for measure in MEASURES} | {"as coded": spread(coded, "accuracy")}
    labels = list(dict.fromkeys(wide["label"]))
    frame = pd.DataFrame(made, dtype=str).reindex(labels).fillna(NOTHING).rename_axis("network").reset_index()
    n = 0 if coded.empty else int(coded["n"].max())
    caption = (
        "Accuracy over all images, %. “As coded”: with the released ReLU at the output, ties wrong, on the first "
        f"{n:,} images. {SPREAD}"
    )
    return table(frame[["network", "clean", "as coded", *MEASURES[1:]]], caption)


def distances(chapter: Chapter) -> Styler:
    """Smallest perturbations: medians over all images (wrong ones at 0) and over those first right, and successes."""
    out = []
    for result in chapter.results:
        question = result.measurement.question
        found = result.values("distance")
        if found is None:
            continue
        coded = question.kind == "coded"
        right = result.record.bits(result.key, "clean") if coded else result.correct
        if right is None:
            continue
        unit = {"fgsm_scan": "η", "coded": "mean squared change"}.get(question.kind, "RMS change")
        name = getattr(question, "name", "") + (" as coded" if question.kind in ("coded", "fgsm_scan") else "")
        out.append(
            {
                "attack": name,
                "network": result.label,
                "all": float(np.median(np.where(right, found, 0.0))),
                "right": float(np.median(found[right])) if right.any() else math.nan,
                "success": 100 * float(np.isfinite(found).mean()),
                "unit": unit,
                "n": result.n,
            }
        )
    frame = pd.DataFrame(out, columns=["attack", "network", "all", "right", "success", "unit", "n"])
    shown = [
        {
            "attack": attack,
            "network": network,
            "median, all images": number(mine["all"].mean()),
            "median, first right": number(mine["right"].mean()),
            "success, %": f"{mine['success'].mean():.0f}",
            "unit": mine["unit"].iloc[0],
            "images": int(mine["n"].iloc[0]),
            "seeds": len(mine),
        }
        for (attack, network), mine in frame.groupby(["attack", "network"], sort=False)
    ]
    columns = [
        "attack",
        "network",
        "median, all images",
        "median, first right",
        "success, %",
        "unit",
        "images",
        "seeds",
    ]
    caption = (
        "Smallest perturbations, the median's mean over seeds. Over all images a misclassified one counts as 0; over "
        "those first right a network that loses images is judged on an easier set. ∞: most images were never fooled."
    )
    return table(pd.DataFrame(shown, columns=columns), caption)


def overshoot(chapter: Chapter) -> Styler:
    """Images that no step of the scan fools, and how many of them have a label's score above one."""
    scans = {(r.label, r.seed): r for r in chapter.results if r.measurement.question.kind == "fgsm_scan"}
    out = []
    for result in chapter.results:
        scan, score = scans.get((result.label, result.seed)), result.values("score")
        if result.measurement.question.kind != "label_score" or scan is None or score is None:
            continue
        found = scan.values("distance")
        if found is None or len(found) != len(score):
            continue
        never = np.isinf(found)
        above = 100 * float((score > 1).mean()), 100 * float((never & (score > 1)).mean())
        out.append({"label": result.label, "above": above[0], "never": 100 * float(never.mean()), "both": above[1]})
    frame = pd.DataFrame(out, columns=["label", "above", "never", "both"])
    shown = [
        {
            "network": label,
            "label's score above one": _mean(mine["above"]),
            "never fooled": _mean(mine["never"]),
            "both": _mean(mine["both"]),
        }
        for label, mine in frame.groupby("label", sort=False)
    ]
    columns = ["network", "label's score above one", "never fooled", "both"]
    return table(pd.DataFrame(shown, columns=columns), f"The released FGSM and scores above one: images, %. {SPREAD}")


PARAMETERS = {
    "sleep": ("rate", "inc", "dec", "β1", "β2", "β3", "α"),
    "deletion": ("layer 1", "layer 2"),
    "noise": ("layer 1", "layer 2", "layer 3"),
}
"""What is searched, in the order of the search's answer."""
LENGTHS = (0.05, 0.1, 0.15, 0.2, 0.25)
DISTORTIONS = ("noise 0.3", "blur 2.5")
"""Over what the score of a search is the mean: lengths of the FGSM scan, or two distortions."""


def searches(chapter: Chapter) -> Styler:
    """What the searches found on the networks of their own seeds, and what is left of it on the compared networks."""
    shown = []
    scored: set[tuple[int, int]] = set()
    for result in chapter.results:
        question = result.measurement.question
        if not isinstance(question, SleepSearch):
            continue
        values = {name: result.values(name) for name in ("best", "score", "start", "candidates")}
        best, score, start, tried = (values[name] for name in ("best", "score", "start", "candidates"))
        if best is None or score is None or start is None or tried is None:
            continue
        aim = "attacks" if question.objective == "fgsm" else "distortions"
        label = f"{'weight noise' if question.name == 'noise' else question.name} for {aim}"
        scored.add((question.scored, 1 + len(result.source_seeds)))
        named = zip(PARAMETERS[question.name], best, strict=False)
        shown.append(
            {
                "what": question.name,
                "for": aim,
                "parameters": ", ".join(f"{name} = {value:g}" for name, value in named),
                "score, %": f"{score[0]:.1f}",
                "waking, %": f"{start[0]:.1f}",
                "candidates": int(tried[0]),
                "score on test images, %": _score(chapter, label, question.objective),
                "waking there, %": _score(chapter, UNDEFENDED, question.objective),
            }
        )
    columns = [
        "what", "for", "parameters", "score, %", "waking, %", "candidates", "score on test images, %",
        "waking there, %",
    ]  # fmt: skip
    on = "".join(f" of {k} networks, {n} images each" for n, k in sorted(scored))
    caption = (
        f"The searches: best parameters, their score on held-out training images{on}, and the waking networks' score; "
        "then the same score on the test images of the compared networks, mean over seeds. The score for attacks is "
        f"the mean over {len(LENGTHS)} lengths of the released FGSM's step, from {LENGTHS[0]:g} to {LENGTHS[-1]:g}, "
        f"that for distortions the mean over {' and '.join(DISTORTIONS)}."
    )
    return table(pd.DataFrame(shown, columns=columns), caption)


def _score(chapter: Chapter, label: str, objective: str) -> str:
    """What the searches maximise, of a row of the study: on its test images, mean over seeds."""
    if objective == "fgsm":
        found = [
            _at_lengths(r) for r in chapter.results if r.label == label and isinstance(r.measurement.question, FGSMScan)
        ]
    else:
        found = [chapter.rate(label, kind="distortion", name=name) for name in DISTORTIONS]
    rates = [rate for rate in found if rate is not None]
    return f"{np.mean(rates):.1f}" if rates and len(rates) == len(found) else NOTHING


def _at_lengths(scan: Result) -> float | None:
    """The mean of a scan's curve over the lengths of the searches; None where it has no curve."""
    question, curve = scan.measurement.question, scan.values("curve")
    if curve is None or not isinstance(question, FGSMScan):
        return None
    etas = np.linspace(0, float(keys.number(question.largest)), len(curve))
    return float(np.interp(LENGTHS, etas, curve).mean())


def white_box(chapter: Chapter, *, eps: str) -> Styler:
    """Everything that knows the network, at one epsilon: percent right over all images, upper bounds."""
    frame = chapter.frame
    asked = (frame["kind"] == "attack") & (frame["eps"] == eps)
    columns = {
        "clean": frame["kind"] == "clean",
        "PGD on the margin": asked & (frame["name"] == "pgd") & (frame["source"] == ""),
        "AutoAttack": asked & (frame["name"] == "autoattack"),
        "Square": asked & (frame["name"] == "square"),
        "moved from the waking network": asked & (frame["name"] == "pgd") & (frame["source"] == "standard"),
    }
    made = {f"{name}{_images(frame[chosen])}": spread(frame[chosen], "accuracy") for name, chosen in columns.items()}
    labels = list(dict.fromkeys(frame[asked]["label"]))
    shown = pd.DataFrame(made, dtype=str).reindex(labels).fillna(NOTHING).rename_axis("network").reset_index()
    caption = (
        f"An attacker who has the network, Linf ε = {eps}: accuracy, %, upper bounds. {SPREAD} A single seed is the "
        "first, and the images are the first of the test order: columns on other images or seeds cannot be compared."
    )
    return table(shown, caption)


def knowing(chapter: Chapter, *, eps: str) -> str:
    """What PGD leaves of the waking and the slept networks, and AutoAttack of the same images, as a Markdown list."""
    pgd, auto = (_own(chapter, name, eps) for name in ("pgd", "autoattack"))
    if not pgd:
        return "Not measured yet."
    said = [f"{name} {_rate(pgd, label)}{_against_waking(pgd, label)}" for label, name in STATES.items()]
    lines = [f"PGD at ε = {eps}, {pgd[0].n:,} images, {len({r.seed for r in pgd})} seeds: {'; '.join(said)}."]
    both = {(r.label, r.seed) for r in pgd} & {(r.label, r.seed) for r in auto}
    if both:
        n = min(r.n for r in (*pgd, *auto))
        weaker, stronger = ([r for r in found if (r.label, r.seed) in both] for found in (pgd, auto))
        said = [f"{name} {_rate(stronger, label, n)}, where PGD leaves {_rate(weaker, label, n)}"
                for label, name in STATES.items()]  # fmt: skip
        k = len({seed for _, seed in both})
        lines.append(f"AutoAttack, the first {n} of these images, {k} of these seeds: {'; '.join(said)}.")
    return "\n".join(f"- {line}" for line in lines)


STATES = {"standard": "the waking network", "sleep A": "sleep A", "sleep B": "sleep B"}


def _own(chapter: Chapter, name: str, eps: str) -> list[Result]:
    """An attack on the network itself, of the rows of `STATES`."""
    found = [r for r in chapter.results if r.label in STATES and not r.source]
    return [r for r in found if isinstance(q := r.measurement.question, Attack) and (q.name, q.eps) == (name, eps)]


def _rate(results: Sequence[Result], label: str, n: int | None = None) -> str:
    """Percent right of the first n images, mean over seeds."""
    rates = [100 * float(r.correct[:n].mean()) for r in results if r.label == label and r.correct is not None]
    return f"{np.mean(rates):.1f} %" if rates else "not measured"


def _against_waking(results: Sequence[Result], label: str) -> str:
    found = None if label == UNDEFENDED else contrast(results, label)
    return "" if found is None else f" (difference to waking {interval(found.mean, *found.interval, 'points')} points)"


def _images(rows: pd.DataFrame) -> str:
    return "" if rows.empty else f", {rows['n'].max():,} images"


def cells(chapter: Chapter) -> Styler:
    """The second-hand numbers on MNIST one by one, ours beside them where the data set is the same."""
    shown = []
    data = data_of(chapter.study)
    for cell in (cell for cell in load(chapter.study.name).cells if cell.data == "mnist"):
        ours = _ours(chapter, cell.columns) if cell.data == data else {}
        shown.append(
            {
                "data": cell.data,
                "network": cell["target"],
                "what": f"{cell['attack']}, {cell['metric']}" if cell["attack"] != "none" else cell["metric"],
                "theirs": f"{cell.value:g}" + (" %" if cell.unit == "%" else ""),
                "ours, all images": ours.get("all", NOTHING),
                "ours, first right": ours.get("right", NOTHING),
                "note": cell.note or NOTHING,
            }
        )
    caption = "Numbers that a survey note says are the paper's (second-hand). For sleep, ours is set B."
    return table(pd.DataFrame(shown), caption)


def benchmark() -> Styler:
    """What `python -m benchmarks.sleep` measured, per kind of device."""
    shown = []
    for file in sorted((checkout() / "benchmarks" / "results").glob("sleep-*.json")):
        measured = json.loads(file.read_text("utf-8"))
        hardware = measured["hardware"]
        device = hardware.get("accelerator") or f"{hardware['processor']}, {hardware['threads']} thread"
        for goal in measured["goals"]:
            outcome = badge("reached" if goal["reached"] else "not reached", "")
            shown.append(
                {"goal": goal["goal"], "measured": f"{goal['measured']:.0f}", "outcome": outcome, "on": device}
            )
    return table(
        pd.DataFrame(shown, columns=["goal", "measured", "outcome", "on"]),
        "Speed of the simulation: ratios of median times within one run, the slower parameter set.",
    )


def _measures(chapter: Chapter) -> pd.DataFrame:
    """One row per network: label, seed, factors and the four measures in percent."""
    frame = chapter.frame
    chosen = {
        "clean": (frame["kind"] == "clean", "accuracy"),
        "noise": (frame["name"] == chapter.endpoint("noise").name, "accuracy"),
        "blur": (frame["name"] == chapter.endpoint("blur").name, "accuracy"),
        "FGSM scan": (frame["kind"] == "fgsm_scan", "value"),
    }
    keys = ["label", "seed", "sleep", "instead"]
    frame = frame[~frame["label"].str.startswith("source")] if len(frame) else frame
    wide = frame[keys].drop_duplicates()
    for measure, (mask, column) in chosen.items():
        found = frame[mask.reindex(frame.index, fill_value=False)][[*keys, column]].rename(columns={column: measure})
        wide = wide.merge(found, on=keys, how="left")
    return wide


def _ours(chapter: Chapter, columns: Mapping[str, str]) -> dict[str, str]:
    label = "standard" if columns["target"] == "standard" else "sleep B"
    if columns["attack"] == "none":
        rate = chapter.rate(label, kind="clean")
        return {} if rate is None else {"all": f"{rate:.1f} %"}
    found = [result for result in chapter.results if result.label == label and _answers(result, columns["attack"])]
    pairs = [pair for result in found if (pair := _statistics(result, columns["metric"])) is not None]
    if not pairs:
        return {}
    whole, right = np.mean(pairs, axis=0)
    unit = " %" if columns["metric"] == "success" else ""
    return {"all": f"{whole:.3g}{unit}", "right": f"{right:.3g}{unit}"}


def _answers(result: Result, attack: str) -> bool:
    question = result.measurement.question
    name = getattr(question, "name", "")
    if attack == "boundary":
        return isinstance(question, Distance) and name == "boundary"
    return question.kind in ("fgsm_scan", "coded") and name == attack


def _statistics(result: Result, metric: str) -> tuple[float, float] | None:
    """Over all images and over those first right: the median distance, or the success in percent."""
    found = result.values("distance")
    coded = result.measurement.question.kind == "coded"
    right = result.record.bits(result.key, "clean") if coded else result.correct
    if found is None or right is None or not right.any():
        return None
    if metric == "success":
        return 100 * float(np.isfinite(found).mean()), 100 * float(np.isfinite(found[right]).mean())
    if isinstance(result.measurement.question, Distance):
        found = _squared(found)
    return float(np.median(np.where(right, found, 0.0))), float(np.median(found[right]))


def _squared(rms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean squares as the cells' mean squares."""
    return np.asarray(rms**2)


def _mean(values: "pd.Series[float]") -> str:
    if values.empty:
        return NOTHING
    deviation = f" ± {values.std(ddof=1):.1f}" if len(values) > 1 else ""
    return f"{values.mean():.1f}{deviation} ({len(values)})"


def reading(chapter: Chapter) -> str:
    """What the paired differences say of sleep and of what might do the same, as a Markdown list."""
    frame = deciding_frame(chapter)
    lines = []
    for group, row, words in COMPARISONS:
        less = minus(frame[frame["group"] == group], row, list(MEASURES))
        if group in SETS or len(less):
            found = [f"{m} {_word(less[m].dropna())}" for m in MEASURES]
            lines.append(f"- {words}: {'; '.join(found)}.")
    return "\n".join(lines)


COMPARISONS = (
    ("A", "delete slept", "Set A, sleep against deleting the units it changed"),
    ("A", "delete active", "Set A, sleep against deleting as many busy ones"),
    ("B", "delete slept", "Set B, sleep against deleting the units it changed"),
    ("B", "delete active", "Set B, sleep against deleting as many busy ones"),
    ("attacks", "deletion", "Searched for attacks, sleep against deletion"),
    ("distortions", "deletion", "Searched for distortions, sleep against deletion"),
    ("distortions", "weight noise", "Searched for distortions, sleep against weight noise"),
)

MARGIN = 2.0  # points below which a difference does not count


def _word(values: "pd.Series[float]") -> str:
    if len(values) < 3:
        return "not decided (fewer than three seeds)"
    effect = of_seeds(values.tolist())
    mean, reach = effect.mean, effect.reach(LEVEL)
    if abs(mean) + reach <= MARGIN:
        return f"the same ({mean:+.1f})"
    if abs(mean) - reach > 0:
        return f"{'higher' if mean > 0 else 'lower'} ({mean:+.1f})"
    return f"undecided ({mean:+.1f})"
