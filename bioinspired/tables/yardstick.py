"""Every chapter's defense under one threat model: Linf, the attacker has the network, the worst case per image."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.chapter import Chapter
from bioinspired.claims import Evidence, load
from bioinspired.claims.declarations import MARGINS
from bioinspired.claims.statistics import image_deviation
from bioinspired.holding import BASELINES, UNDEFENDED, Attacks, Level, held
from bioinspired.keys import number
from bioinspired.records import Bits
from bioinspired.results import Result
from bioinspired.tables.claims import speaks_of_an_attacker
from bioinspired.tables.layout import NOTHING, SPREAD, interval, link, spread, table
from bioinspired.tables.networks import attack_name
from bioinspired.trials import Attack, Clean

NORM = "linf"
CLEAN = "0"
DELTA = MARGINS["points"]
RIVALS = (UNDEFENDED, "pgd-trained")
COLUMNS = ["study", "label", "defense", "alike", "seed", "eps", "strength", "n", "bits", "unconditional"]


def standing(chapters: Sequence[Chapter]) -> pd.DataFrame:
    """Which images stand, one row per network and ε, in the order of the chapters; ε = 0 are the clean images.

    An image that has fallen within a smaller ε has fallen within a larger one, whatever was tried there. At each ε the
    images are those that every attack saw which was tried on all seeds of a label.

    Columns: study, label, defense (whether the label is what the paper defends), alike (whether it is trained from the
    same start and batches as its undefended twin), seed, eps (as written), strength (as a number), n, bits (one per
    image, the first n of the test set), unconditional (the percentage that stands).
    """
    rows = [row for chapter in chapters for row in _of(chapter)]
    return pd.DataFrame(rows, columns=COLUMNS).astype(
        {"defense": bool, "alike": bool, "strength": float, "unconditional": float}
    )


def accuracies(rows: pd.DataFrame) -> Styler:
    """Rows: networks, by chapter; columns: clean accuracy, then the worst case per image at each ε, an upper bound."""
    named = rows.assign(label=[f"{study}|{label}" for study, label in zip(rows["study"], rows["label"], strict=True)])
    columns = {
        "clean" if eps == CLEAN else f"ε = {eps}": spread(named[named["eps"] == eps], "unconditional")
        for eps in _epsilons(rows)
    }
    frame = pd.DataFrame(columns).reindex(list(dict.fromkeys(named["label"]))).fillna(NOTHING)
    frame["images"] = named[named["eps"] != CLEAN].groupby("label")["n"].agg(_numbers)
    frame.insert(0, "chapter", [link(one.partition("|")[0]) for one in frame.index])
    frame.insert(1, "network", [one.partition("|")[2] for one in frame.index])
    caption = f"Accuracy in Linf, %: the worst case per image over all attacks, an upper bound. {SPREAD}"
    return table(frame.fillna(NOTHING), caption)


def gains(rows: pd.DataFrame) -> Styler:
    """Rows: defenses; columns: ε; defended minus the undefended twin and minus PGD training, with intervals."""
    out = []
    for study, label in _defended(rows):
        for rival in RIVALS:
            found = {eps: _gain(rows, study, label, rival, eps) for eps in _epsilons(rows)[1:]}
            shown = {f"ε = {eps}": NOTHING if one is None else interval(*one, "points") for eps, one in found.items()}
            out.append({"chapter": link(study), "defense": label, "minus": rival} | shown)
    caption = (
        "What a defense adds, in points, on the same images: defended minus rival, with its 95 % interval over seeds "
        "and images, corrected for the number of ε."
    )
    return table(pd.DataFrame(out, columns=None if out else ["chapter", "defense", "minus"]), caption)


def attacks(chapters: Sequence[Chapter]) -> Styler:
    """Rows: attacks, by chapter; where each was tried: ε, how many networks, the most images."""
    out = []
    for chapter in chapters:
        labels = _labels(chapter)
        tried = [result for result in chapter.results if result.label in labels and _levels(result)]
        for name in dict.fromkeys(_named(result) for result in tried):
            mine = [result for result in tried if _named(result) == name]
            out.append(
                {
                    "chapter": link(chapter.study.name),
                    "attack": name,
                    "ε": ", ".join(sorted({eps for result in mine for eps in _levels(result)}, key=number)),
                    "networks": len({(result.label, result.seed) for result in mine}),
                    "images": f"{max(result.n for result in mine):,}",
                }
            )
    columns = ["chapter", "attack", "ε", "networks", "images"]
    caption = "What was tried on the networks of this page; a transfer counts once however many sources it has."
    return table(pd.DataFrame(out, columns=columns), caption)


def answer(rows: pd.DataFrame) -> str:
    """Which defenses are shown to be above their undefended twin, or below, and which PGD training, as Markdown."""
    said = []
    for rival, words in zip(RIVALS, ("its undefended twin", "PGD training"), strict=True):
        above, below, compared = [], [], 0
        for study, label in _defended(rows):
            found = {eps: one for eps in _epsilons(rows)[1:] if (one := _gain(rows, study, label, rival, eps))}
            compared += bool(found)
            above += _where(label, [eps for eps, (mean, low, _) in found.items() if mean >= DELTA and low > 0])
            below += _where(label, [eps for eps, (mean, _, high) in found.items() if mean <= -DELTA and high < 0])
        said.append(
            f"Against {words}, {compared} defenses compared. Shown to be more robust: {', '.join(above) or 'none'}; "
            f"shown to be less robust: {', '.join(below) or 'none'}."
            if compared
            else f"Against {words}: not measured yet."
        )
    return f"**In short.** Differences of {DELTA:g} points and more. " + " ".join(said)


def _where(label: str, epsilons: Sequence[str]) -> list[str]:
    return [f"*{label}* (ε = {', '.join(epsilons)})"] if epsilons else []


def _labels(chapter: Chapter) -> list[str]:
    """The undefended network, what the paper defends against an attacker, the trained baselines."""
    return [UNDEFENDED, *_claimed(chapter), *(label for label in BASELINES if label != UNDEFENDED)]


def _claimed(chapter: Chapter) -> list[str]:
    return list(dict.fromkeys(h.defended for h in load(chapter.study.name).headlines if speaks_of_an_attacker(h)))


def _of(chapter: Chapter) -> Iterable[dict[str, object]]:
    defended = _claimed(chapter)
    every, white = (Attacks(chapter.results, white=white) for white in (False, True))
    levels = sorted((level for level in every.levels if level[0] == NORM), key=lambda level: number(level[1]))
    for label in _labels(chapter):
        mine = [result for result in chapter.results if result.label == label]
        same = {"study": chapter.study.name, "label": label, "defense": label in defended, "alike": _alike(mine)}
        for result in mine:
            if isinstance(result.measurement.question, Clean) and result.correct is not None:
                yield same | _row(result.seed, CLEAN, result.correct)
        fallen: dict[int, Bits] = {}
        for level in levels:
            own, most = white.worst(label, level), _seen(mine, level)
            for seed, bits in every.worst(label, level).items():
                before = fallen.get(seed, bits)
                n = min(len(bits), len(before))
                fallen[seed] = np.concatenate([bits[:n] & before[:n], bits[n:]])
                if seed in own:
                    yield same | _row(seed, level[1], fallen[seed][:most])


def _seen(results: Sequence[Result], level: Level) -> int:
    """How many images every attack in a ball saw, of those that all networks were asked; else of all attacks."""
    tried = [result for result in results if level in held(result)]
    seeds = {result.seed for result in tried}
    by_key = {result.key: {other.seed for other in tried if other.key == result.key} for result in tried}
    asked_of_all = [result.n for result in tried if by_key[result.key] == seeds]
    return min(asked_of_all or [result.n for result in tried], default=0)


def _row(seed: int, eps: str, bits: Bits) -> dict[str, object]:
    return {
        "seed": seed,
        "eps": eps,
        "strength": float(number(eps)),
        "n": len(bits),
        "bits": bits,
        "unconditional": 100 * float(bits.mean()),
    }


def _levels(result: Result) -> list[str]:
    return [eps for norm, eps in held(result) if norm == NORM]


def _named(result: Result) -> str:
    if result.source:
        return "moved examples"
    question = result.measurement.question
    return attack_name(question) if isinstance(question, Attack) else question.kind.replace("_", " ")


def _alike(results: Sequence[Result]) -> bool:
    return all(r.trial.network.defense is None or r.trial.network.defense.trained_alike for r in results)


def _epsilons(rows: pd.DataFrame) -> list[str]:
    """As written, in order; the first are the clean images."""
    return list(dict.fromkeys(rows.sort_values("strength")["eps"]))


def _defended(rows: pd.DataFrame) -> list[tuple[str, str]]:
    mine = rows[rows["defense"]]
    return list(dict.fromkeys(zip(mine["study"], mine["label"], strict=True)))


def _gain(rows: pd.DataFrame, study: str, label: str, rival: str, eps: str) -> tuple[float, float, float] | None:
    """Defended minus rival with its interval, in points; None where either has fewer than two seeds."""
    here = rows[(rows["study"] == study) & (rows["eps"] == eps)]
    arms = [here[here["label"] == one].set_index("seed")["bits"] for one in (label, rival)]
    shared = sorted(set(arms[0].index) & set(arms[1].index))
    if len(shared) < 2:
        return None
    n = min(len(arm[seed]) for arm in arms for seed in shared)
    right = [100.0 * np.stack([arm[seed][:n] for seed in shared]) for arm in arms]
    evidence = Evidence(
        defended=tuple(right[0].mean(1).tolist()),
        baseline=tuple(right[1].mean(1).tolist()),
        n=n,
        paired=bool(here[here["label"] == label]["alike"].all()),
        image_deviation=image_deviation(*right),
    )
    effect = evidence.effect()
    return effect.mean, *effect.interval(0.025 / (len(_epsilons(rows)) - 1))


def _numbers(values: "pd.Series[int]") -> str:
    return ", ".join(f"{n:,}" for n in sorted(set(values)))
