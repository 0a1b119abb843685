"""The README's table of single layers: what they hear of a rumor, and what they cost."""

from math import log

import rumor
import torch
from readme import paragraph, record_of, remarks, table

from minimaxvit.seeing import layer_multiply_adds
from minimaxvit.seeing.draw.comparison import by_name, spread


def layers():
    """What one layer of each relative hears of a rumor, and how its cost grows with the map."""
    kept = record_of("rumor.json")
    accuracies = by_name([{**row, "result": row} for row in kept["rows"]])
    rows, behind = [], []
    for name, costs in growth().items():
        told = 4 * ["–"]
        if name in accuracies:
            row = next(row for row in kept["rows"] if row["name"] == name)
            bound, steps = row["bound"], f"{row['steps']:,}"
            told = [f"{row['reach']:.0%}", f"{100 * bound:.1f}", spread(accuracies[name]), steps]
            if min(accuracies[name]) < bound - NEAR:
                behind.append(name)
        exponent = f"{log(costs[-1] / costs[-2]) / log(4):.2f}" if costs else "–"
        millions = [f"{cost / 1e6:,.1f}" for cost in costs] or len(SIDES) * ["–"]
        rows.append([name, *told, *millions, exponent])
    met = "All come within a point of their bound"
    text = paragraph(
        "One layer of each relative, or two that belong together, with windows of 4 unless the ",
        "name says otherwise. *Reach* is the fraction of a 16 x 16 map at which a rumor can ",
        "arrive (lesson 4), *bound* the accuracy in percent that this allows, and *accuracy* the ",
        "mean and standard deviation of the seeds after so many *steps* (`python ",
        "benchmarks/rumor.py`). ",
        f"{met}, but for {'; '.join(behind)}. " if behind else f"{met}. ",
        "(XCiT and BiT hear what is far by gates, by which the whole map acts on each token.) ",
        "Beside it, millions of multiply-adds at 64 channels on maps of 8 to 64 tokens a side, ",
        "and the exponent of the last doubling: 1 is linear in the number of tokens, 2 quadratic. ",
        "(ConViT needs a square number of heads, which 64 channels do not make.)",
    )
    header = ["layers", "reach", "bound", "accuracy", "steps", *map(str, SIDES), "exponent"]
    return text + table(header, rows) + remarks([kept])


SIDES = (8, 16, 32, 64)  # tokens

NEAR = 0.01  # a hundredth for lucky guesses, as in lesson 4


def growth():
    """Multiply-adds on maps of each side: {name of layers: [count]}, [] where 64 do not fit."""
    counts = {}
    for side in SIDES:
        with torch.device("meta"):
            pair = {"block, grid": rumor.OWN["block, grid"][0]}
            for name, layers in (pair | rumor.relatives(side)).items():
                built = [layer(64, rumor.WINDOW) for layer in layers if "ConViT" not in name]
                costs = [layer_multiply_adds(each, 64, side, side) for each in built]
                counts.setdefault(name, []).extend([sum(costs)] if costs else [])
    return counts
