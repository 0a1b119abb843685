"""What a network can answer, in words, for those who show it something that it does not know."""

NUMBERS = "no one two three four five six seven eight nine ten eleven twelve".split()
MOST_CLASSES = 20  # that are listed


def name_answers(classes, source=None):
    """Say what a network answers with: "one of ten CIFAR-10 classes" where `source` says so."""
    number = NUMBERS[len(classes)] if len(classes) < len(NUMBERS) else f"{len(classes):,}"
    return " ".join(filter(None, ["one of", number, source, "classes"]))
