"""What networks answered: clean, moved from other networks, attacked, corrupted, and whether that can be trusted."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.keys import strength
from bioinspired.lab.measurements.declarations import Attack
from bioinspired.lab.records.results import strength as strength_of
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, SPREAD, badge, counts, cross, spread, table, with_interval


def accuracies(chapter: Chapter) -> Styler:
    """Clean accuracy of every row, sources included: mean over seeds, with the spread and the seeds."""
    rows = chapter.frame[chapter.frame["kind"] == "clean"]
    frame = spread(rows, "accuracy").rename_axis("network").rename("clean accuracy, %").reset_index()
    images = counts(rows["n"], " or ")
    return table(frame, f"Accuracy on {f'{images} ' if images else ''}clean test images. {SPREAD}")


def transfer(chapter: Chapter, *, eps: str, metric: str = "accuracy") -> Styler:
    """Rows: targets; columns: sources; percent right on examples made on each source, seeds and sources crossed."""
    rows = chapter.frame
    rows = rows[(rows["name"] == "pgd") & (rows["source"] != "") & (rows["eps"] == strength(eps))]
    counted = "over all images" if metric == "accuracy" else "by the paper's conditional rate"
    caption = f"Percent right, {counted}, on PGD examples with ε = {eps} made on each source. {SPREAD}"
    return cross(rows, "source", metric, prefix="from ", caption=caption)


def baselines(chapter: Chapter) -> str:
    """With what the two trained baselines were trained, as a sentence; "" where the study has neither."""
    said = trained_on(chapter)
    if not said:
        return ""
    return (
        f"The baselines of this page: {' and '.join(said)}. Their strengths were set in advance and not matched to the "
        "defense's clean accuracy."
    )


def trained_on(chapter: Chapter) -> list[str]:
    """What each of the two trained baselines saw in training, as Markdown."""
    recipes = {trial.label: trial.network.recipe for trial in chapter.study.trials}
    said = []
    if (recipe := recipes.get("pgd-trained")) and (pgd := recipe.adversary):
        said.append(f"*pgd-trained* on PGD examples ({pgd.norm.capitalize()}, ε = {pgd.eps}, {pgd.steps} steps)")
    if (recipe := recipes.get("noise-trained")) and recipe.noise:
        said.append(f"*noise-trained* on images with Gaussian noise (σ = {recipe.noise})")
    return said


def white_box(chapter: Chapter) -> Styler:
    """Rows: networks; columns: epsilon; percent right under white-box PGD, an upper bound."""
    caption = f"Accuracy under white-box PGD, %: upper bounds. {SPREAD}"
    return cross(chapter.pgd(), "eps", "accuracy", prefix="ε = ", caption=caption)


def autoattack(chapter: Chapter) -> Styler:
    """AutoAttack on the first images of the test set: percent right with Wilson's interval, an upper bound."""
    rows = chapter.frame[chapter.frame["name"] == "autoattack"]
    out = [
        {
            "network": row["label"],
            "seed": row["seed"],
            "norm, ε": f"{row['norm']}, {row['eps']}",
            "images": row["n"],
            "accuracy, %": with_interval(row["accuracy"], row["n"]),
            "passes per image": f"{row['forwards']:,.0f} + {row['backwards']:,.0f}",
        }
        for _, row in rows.iterrows()
    ]
    columns = ["network", "seed", "norm, ε", "images", "accuracy, %", "passes per image"]
    caption = "AutoAttack: accuracy (an upper bound) with its 95 % interval over images; forward + backward passes."
    return table(pd.DataFrame(out, columns=columns), caption)


def worst_case(chapter: Chapter) -> Styler:
    """White-box attacks side by side on the same images, and the worst of them image by image: upper bounds.

    The epsilon and the images are those that most kinds of attacks were asked of; one seed, the first.
    """
    attacks = [r for r in chapter.results if isinstance(r.measurement.question, Attack) and not r.source]
    by_eps = Counter(strength_of(r.measurement) for r in attacks)
    eps = by_eps.most_common(1)[0][0] if by_eps else ""
    rows = {}
    for label in dict.fromkeys(result.label for result in attacks):
        mine = [r for r in attacks if r.label == label and strength_of(r.measurement) == eps and r.correct is not None]
        mine = [r for r in mine if r.seed == mine[0].seed]
        names = {attack_name(r.measurement.question): r for r in mine if isinstance(r.measurement.question, Attack)}
        if len(names) > 2:
            n = min(result.n for result in mine)
            held = {name: r.correct[:n] for name, r in names.items() if r.correct is not None}
            shown = {name: f"{100 * bits.mean():.0f}" for name, bits in held.items()}
            together = 100 * float(np.logical_and.reduce(list(held.values())).mean())
            rows[label] = {"images": str(n)} | shown | {"worst case per image": with_interval(together, n)}
    frame = pd.DataFrame(rows).T.fillna(NOTHING).rename_axis("network").reset_index()
    caption = f"White-box attacks at ε = {eps or NOTHING}, accuracy in %: upper bounds; 95 % interval over images."
    return table(frame if rows else pd.DataFrame(columns=["network", "worst case per image"]), caption)


def attack_name(question: Attack) -> str:
    """What a table calls an attack: PGD with its loss and steps, any other by its name."""
    if question.name != "pgd":
        return question.name
    return f"PGD, {question.loss}, {question.steps} step{'s' * (question.steps > 1)}"


def noise(chapter: Chapter, name: str = "gaussian_noise_clipped") -> Styler:
    """Rows: networks; columns: sigma of a Gaussian noise on [0, 1]; percent right."""
    rows = chapter.frame[chapter.frame["name"] == name]
    caption = f"Accuracy under Gaussian noise, %. {SPREAD}"
    return cross(rows, "eps", "accuracy", prefix="σ = ", caption=caption)


def checks(chapter: Chapter) -> Styler:
    """Rows: checks of the evaluation itself; columns: networks; whether each passed, and what it saw."""
    columns = {}
    for result in chapter.results:
        if result.checks:
            ball = (
                f"{getattr(result.measurement.question, 'norm', 'linf').capitalize()} {strength_of(result.measurement)}"
            )
            name = f"{result.label}, seed {result.seed}, {ball}, {result.n} images"
            columns[name] = {found["name"].replace("_", " "): _check(found) for found in result.checks}
    frame = pd.DataFrame(columns).fillna(NOTHING).rename_axis("check").reset_index()
    return table(frame, "Is the evaluation to be trusted? Signs that attacks fail for other reasons than robustness.")


def _check(found: Mapping[str, Any]) -> str:
    word = "passed" if found["passed"] else "failed"
    return badge(word, f"{word} {found['advice']}")
