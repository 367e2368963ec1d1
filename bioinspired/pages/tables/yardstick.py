"""Every chapter's defense under one threat model: Linf, the attacker has the network, the worst case per image."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd
from pandas.io.formats.style import Styler

from bioinspired.evaluation.statistics import LEVEL
from bioinspired.keys import number
from bioinspired.lab import papers
from bioinspired.lab.claims import load
from bioinspired.lab.claims.declarations import MARGINS
from bioinspired.lab.claims.holding import BASELINES, UNDEFENDED, against
from bioinspired.lab.claims.summary import speaks_of_an_attacker
from bioinspired.lab.claims.verdicts import SEEDS_FOR_A_PROVISIONAL_VERDICT
from bioinspired.lab.claims.worst_case import Attacks, Level, held
from bioinspired.lab.measurements.declarations import Attack, Clean
from bioinspired.lab.records.results import Result
from bioinspired.lab.records.store import Bits
from bioinspired.pages.chapter import Chapter
from bioinspired.pages.tables.layout import NOTHING, SPREAD, counts, interval, link, spread, table
from bioinspired.pages.tables.networks import attack_name, trained_on

NORM = "linf"
CLEAN = "0"
DELTA = MARGINS["points"]
WORDS = {"standard": "the undefended twin", "pgd-trained": "PGD training", "noise-trained": "training on noise"}
KINDS = {"member": "some of the 42 of Foolbox", "direct": "direct attacks", "flips": "flips across a threshold"}
ROWS = ["study", "label", "defense", "seed", "eps", "strength", "n", "accuracy"]
CONTRASTS = ["study", "label", "rival", "eps", "strength", "mean", "low", "high"]


@dataclass(frozen=True)
class Yardstick:
    """What the chapters' records say under one threat model."""

    chapters: Sequence[Chapter]

    @cached_property
    def rows(self) -> pd.DataFrame:
        """What stands, one row per network and ε, in the order of the chapters; ε = 0 are the same images clean.

        Columns: study, label, defense (whether the label is what the paper defends), seed, eps (as written), strength
        (as a number), n, unconditional (the percentage that stands).
        """
        frame = pd.DataFrame([row for chapter in self.chapters for row in _rows(chapter)], columns=ROWS)
        return frame.astype({"defense": bool, "strength": float, "accuracy": float})

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """Defended minus rival at each ε with its interval, in points, over the attacks that both met.

        Columns: study, label, rival, eps, strength, mean, low, high. The intervals are those of the answers whether a
        defense holds, corrected for the headline claims of its paper. Only where both have three seeds.
        """
        frame = pd.DataFrame([row for chapter in self.chapters for row in _contrasts(chapter)], columns=CONTRASTS)
        return frame.astype({"strength": float, "mean": float, "low": float, "high": float})


def accuracies(found: Yardstick) -> Styler:
    """Rows: networks, by chapter; columns: clean accuracy, then the worst case per image at each ε, an upper bound."""
    rows = found.rows
    named = rows.assign(label=[f"{study}|{label}" for study, label in zip(rows["study"], rows["label"], strict=True)])
    columns = {
        "clean" if eps == CLEAN else f"ε = {eps}": spread(named[named["eps"] == eps], "accuracy")
        for eps in _epsilons(rows)
    }
    frame = pd.DataFrame(columns).reindex(list(dict.fromkeys(named["label"]))).fillna(NOTHING)
    frame["images"] = named.groupby("label")["n"].agg(counts)
    frame.insert(0, "chapter", [link(one.partition("|")[0]) for one in frame.index])
    frame.insert(1, "network", [one.partition("|")[2] for one in frame.index])
    caption = f"Accuracy in Linf on the same images, %: clean, and the worst case per image over attacks. {SPREAD}"
    return table(frame, caption)


def gains(found: Yardstick) -> Styler:
    """Rows: defenses and rivals; columns: ε; defended minus rival with its interval."""
    frame, out = found.contrasts, []
    for (study, label, rival), mine in frame.groupby(["study", "label", "rival"], sort=False):
        cells = {f"ε = {eps}": NOTHING for eps in _epsilons(frame)}
        for _, one in mine.iterrows():
            cells[f"ε = {one['eps']}"] = interval(one["mean"], one["low"], one["high"], "points")
        out.append({"chapter": link(str(study)), "defense": label, "minus": rival} | cells)
    caption = (
        "What a defense adds, in points, on the same images and over the attacks that both networks met: defended "
        "minus rival, with its 95 % interval over seeds and images, corrected for the headline claims of its paper. "
        "From three seeds on."
    )
    return table(pd.DataFrame(out, columns=None if out else ["chapter", "defense", "minus"]), caption)


def attacks(found: Yardstick) -> Styler:
    """Rows: attacks, by chapter; where each was tried: ε, how many networks, the most images."""
    out = []
    for chapter in found.chapters:
        labels = _labels(chapter)
        tried = [result for result in chapter.results if result.label in labels and _epsilons_of(result)]
        for name in dict.fromkeys(_named(result) for result in tried):
            mine = [result for result in tried if _named(result) == name]
            out.append(
                {
                    "chapter": link(chapter.study.name),
                    "attack": name,
                    "ε": ", ".join(sorted({eps for result in mine for eps in _epsilons_of(result)}, key=number)),
                    "networks": len({(result.label, result.seed) for result in mine}),
                    "images": f"{max(result.n for result in mine):,}",
                }
            )
    columns = ["chapter", "attack", "ε", "networks", "images"]
    return table(pd.DataFrame(out, columns=columns), "What was tried on the networks of this page.")


def baselines(found: Yardstick) -> str:
    """With what each chapter's trained baselines were trained, as a list in Markdown."""
    said = [(chapter.study.name, trained_on(chapter)) for chapter in found.chapters]
    return "\n".join(f"- {papers.title(name)}: {' and '.join(parts)}." for name, parts in said if parts)


def answer(found: Yardstick) -> str:
    """Which defenses are shown to be more robust than each rival, and which less, as Markdown."""
    frame = found.contrasts
    missing = [chapter for chapter in found.chapters if chapter.study.name not in set(frame["study"])]
    lines = []
    for rival, words in WORDS.items():
        mine = frame[frame["rival"] == rival]
        if not len(mine):
            continue
        count = len(set(zip(mine["study"], mine["label"], strict=True)))
        more, less = _where(mine[mine["low"] > DELTA]), _where(mine[mine["high"] < -DELTA])
        lines.append(
            f"- Against {words} ({count} defended network{'s' * (count > 1)} compared): shown to be more robust: "
            f"{more or 'none'}; shown to be less robust: {less or 'none'}."
        )
    if missing:
        titles = ", ".join(papers.title(chapter.study.name) for chapter in missing)
        lines.append(f"- Not compared, for want of records of three seeds: {titles}.")
    return f"**In short.** By more than {DELTA:g} points, with the whole interval:\n\n" + "\n".join(lines)


def _where(frame: pd.DataFrame) -> str:
    each = [f"*{label}* (ε = {', '.join(mine['eps'])})" for label, mine in frame.groupby("label", sort=False)]
    return ", ".join(each)


def _labels(chapter: Chapter) -> list[str]:
    """The undefended network, what the paper defends against an attacker, the trained baselines."""
    return [UNDEFENDED, *_claimed(chapter), *(label for label in BASELINES if label != UNDEFENDED)]


def _claimed(chapter: Chapter) -> list[str]:
    return list(dict.fromkeys(h.defended for h in load(chapter.study.name).headlines if speaks_of_an_attacker(h)))


def _levels(attacks: Attacks) -> list[Level]:
    return sorted((level for level in attacks.levels if level[0] == NORM), key=lambda level: number(level[1]))


def _rows(chapter: Chapter) -> Iterable[dict[str, object]]:
    defended, tried = _claimed(chapter), chapter.attacks
    for label in _labels(chapter):
        same = {"study": chapter.study.name, "label": label, "defense": label in defended}
        worst = {level[1]: found for level in _levels(tried) if (found := tried.worst(level, label)[0])}
        most = max((len(bits) for found in worst.values() for bits in found.values()), default=None)
        for result in chapter.results:
            question = result.measurement.question
            if result.label == label and isinstance(question, Clean) and result.correct is not None:
                yield same | _row(result.seed, CLEAN, result.correct[:most])
        for eps, found in worst.items():
            for seed, bits in found.items():
                yield same | _row(seed, eps, bits)


def _row(seed: int, eps: str, bits: Bits) -> dict[str, object]:
    rate = 100 * float(bits.mean())
    return {"seed": seed, "eps": eps, "strength": float(number(eps)), "n": len(bits), "accuracy": rate}


def _contrasts(chapter: Chapter) -> Iterable[dict[str, object]]:
    tried, level_of_claims = chapter.attacks, LEVEL / load(chapter.study.name).m
    for label in _claimed(chapter):
        for rival in WORDS:
            for level in _levels(tried):
                found = against(label, rival, chapter.study, chapter.results, tried, level)
                if found is None or found.k < SEEDS_FOR_A_PROVISIONAL_VERDICT:
                    continue
                low, high = found.effect().interval(level_of_claims)
                same = {"study": chapter.study.name, "label": label, "rival": rival, "eps": level[1]}
                yield same | {"strength": float(number(level[1])), "mean": found.mean(), "low": low, "high": high}


def _epsilons_of(result: Result) -> list[str]:
    return [eps for norm, eps in held(result) if norm == NORM]


def _named(result: Result) -> str:
    if result.source:
        return "images made on other networks"
    question = result.measurement.question
    if isinstance(question, Attack):
        return attack_name(question)
    return KINDS.get(question.kind, question.kind.replace("_", " "))


def _epsilons(frame: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(frame.sort_values("strength")["eps"]))
