"""Print the tables of docs/results/model.md from the results of the other scripts.

usage: python benchmarks/tables.py [accuracy|seeds|public|search...]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from search_figures import BASE, by_seed, changes_in, gains_of

RESULTS = Path(__file__).parent / "results"


def rows(*lines: list[str]) -> str:
    """Format a Markdown table; the first row is the header."""
    head, *rest = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([head, "|" + "---|" * len(lines[0]), *rest])


def interval(scores: dict[str, Any]) -> str:
    """Format an accuracy with its interval."""
    low, high = scores["accuracy_interval"]
    return f"{scores['accuracy']:.2%} ({100 * low:.2f} to {100 * high:.2f})"


def accuracy() -> str:
    """Return the tables of the comparison with fer: scores, classes, corruptions."""
    document = json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))
    found = document["results"]
    names = [name for name in found if "corruptions" in found[name]]
    kinds = ("fer2013", "fer2013 with flip TTA", "ferplus")
    scores = rows(
        [document["split"], *names],
        *(
            [kind]
            + [
                f"{interval(found[name][kind])}; without copies {found[name][kind]['duplicate_free']['accuracy']:.2%}; "
                f"macro-F1 {found[name][kind]['macro_f1']:.3f}; ECE {found[name][kind]['ece']:.3f}"
                for name in names
            ]
            for kind in kinds
        ),
    )
    classes = []
    for kind in ("fer2013", "ferplus"):
        told = found["mien"][kind]
        classes.append(
            rows(
                [kind, "precision", "recall", "F1", "n"],
                *(
                    [
                        label,
                        f"{row['precision']:.3f}",
                        f"{row['recall']:.3f}",
                        f"{row['f1']:.3f}",
                        str(row["support"]),
                    ]
                    for label, row in told["per_class"].items()
                ),
            )
        )
    strengths = range(len(next(iter(found["mien"]["corruptions"].values()))))
    corrupted = rows(
        ["corruption", *(f"{name} {strength + 1}" for name in names for strength in strengths)],
        *(
            [kind, *(f"{row['accuracy']:.1%}" for name in names for row in found[name]["corruptions"][kind])]
            for kind in found["mien"]["corruptions"]
        ),
    )
    means = []
    for name in names:
        every = [row["accuracy"] for kind in found[name]["corruptions"].values() for row in kind]
        means.append(f"{name}: mean of all {len(every)} {sum(every) / len(every):.1%}")
    speeds = [speed(document["speed"]["packages"])] if document.get("speed") else []
    return "\n\n".join([scores, *speeds, *classes, corrupted, *means])


def speed(packages: dict[str, Any]) -> str:
    """Return the table of faces per second and the time of one face, with two threads each."""
    return rows(
        ["two threads each", *packages],
        [
            "cropped faces per second, in batches of 512",
            *(f"{row['faces_a_second']:,}" for row in packages.values()),
        ],
        ["one cropped face", *(f"{row['one_face_ms']:.2f} ms" for row in packages.values())],
        ["a photo of 512x600, one face", *(f"{row['photo_ms']:.0f} ms" for row in packages.values())],
    )


def seeds() -> str:
    """Return the tables of every seed, mean and standard deviation, and ensembles."""
    found = json.loads((RESULTS / "seeds.json").read_text(encoding="utf-8"))
    lines = [
        [
            found["split"],
            "FER2013",
            "with flip TTA",
            "without copies",
            "macro-F1",
            "FER+",
            "with flip TTA",
            "macro-F1",
        ]
    ]

    def line(name: str, row: dict[str, Any]) -> list[str]:
        seven, eight = row["fer2013"], row["ferplus"]
        return [
            name, interval(seven), f"{row['fer2013 with flip TTA']['accuracy']:.2%}",
            f"{seven['accuracy_without_copies']:.2%}", f"{seven['macro_f1']:.3f}",
            interval(eight), f"{row['ferplus with flip TTA']['accuracy']:.2%}", f"{eight['macro_f1']:.3f}",
        ]  # fmt: skip

    def middle(pair: list[float], scale: float = 100, digits: int = 2) -> str:
        return f"{scale * pair[0]:.{digits}f} ± {scale * pair[1]:.{digits}f}"

    for group, result in found["results"].items():
        lines += [line(name, row) for name, row in result.get("models", {}).items()]
        if len(result.get("models", "many")) == 1:
            continue
        if "spread" in result:
            seven, eight = result["spread"]["fer2013"], result["spread"]["ferplus"]
            lines.append(
                [
                    f"**{group}, mean ± deviation**",
                    middle(seven["accuracy"]),
                    middle(result["spread"]["fer2013 with flip TTA"]["accuracy"]),
                    middle(seven["accuracy_without_copies"]),
                    middle(seven["macro_f1"], 1, 3),
                    middle(eight["accuracy"]),
                    middle(result["spread"]["ferplus with flip TTA"]["accuracy"]),
                    middle(eight["macro_f1"], 1, 3),
                ]
            )
        lines.append(line(f"{group}, ensemble", result["ensemble"]))
    return rows(*lines)


def search() -> str:
    """Return the tables of networks with their cost, and the effect of single changes of the recipe."""
    found = json.loads((RESULTS / "search.json").read_text(encoding="utf-8"))
    scores = by_seed(found["trainings"])
    base = scores[BASE]
    networks = rows(
        [
            "network",
            "parameters",
            "multiply-adds",
            "int8 file",
            "faces per second, one thread",
            "PublicTest, on the budget",
        ],
        *(
            [
                name,
                f"{facts['parameters']:,}",
                f"{facts['multiply_adds'] / 1e6:.0f} M",
                f"{facts['bytes'] / 1e6:.2f} MB",
                f"{facts['faces_a_second']:,}",
                told(list(scores[key].values())) if (key := f"network: {name}") in scores else "not trained",
            ]
            for name, facts in found["networks"].items()
        ),
    )
    gains = {name.removeprefix("recipe: "): gains_of(scores, name) for name in changes_in(scores)}
    order = sorted(gains, key=lambda name: -mean(gains[name]))
    parts = rows(
        ["recipe `small` on the budget", "PublicTest", "difference, same seed"],
        ["unchanged", told(list(base.values())), ""],
        *(
            [
                name,
                told(list(scores[f"recipe: {name}"].values())),
                told(gains[name], "+", " points"),
            ]
            for name in order
        ),
    )
    longer = [
        [
            course,
            name.removeprefix("recipe: ")
            .replace("network: small", "unchanged")
            .replace("all of it", "unchanged"),
            told(list(values.values())),
        ]
        for course, trainings in found.get("longer", {}).items()
        for name, values in by_seed(trainings).items()
    ]
    return "\n\n".join([networks, parts, rows(["training", "recipe `small`", "PublicTest"], *longer)])


def public() -> str:
    """Return the table of PublicTest scores of each student with seven and eight classes."""
    found = json.loads((RESULTS / "public.json").read_text(encoding="utf-8"))
    columns = {
        "float32": "float32",
        "int8": "int8",
        "cross_validated": "biases, cross-validated",
        "int8_with_biases": "biases fitted there",
    }
    head = [f"{classes}: {title}" for classes in ("7 classes", "8") for title in columns.values()]
    return rows(
        ["PublicTest", *head],
        *(
            [
                name,
                *(f"{told[label_set][key]:.2%}" for label_set in ("fer2013", "ferplus") for key in columns),
            ]
            for name, told in found.items()
        ),
    )


def told(values: list[float], sign: str = "", unit: str = "%") -> str:
    """Format a mean, with its standard deviation if there is more than one value."""
    text = f"{mean(values):{sign}.2f}"
    if len(values) == 1:
        return text + unit
    return f"{text} ± {stdev(values):.2f}{unit}, {len(values)} seeds"


TABLES = {"accuracy": accuracy, "seeds": seeds, "public": public, "search": search}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=", ".join(TABLES))
    for name in parser.parse_args().tables or TABLES:
        print(TABLES[name](), end="\n\n")


if __name__ == "__main__":
    main()
