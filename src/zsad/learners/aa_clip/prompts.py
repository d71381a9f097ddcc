"""Prompts of AA-CLIP: states × templates around the class name. Part of the method in `__init__`."""

NORMAL_STATES = ("{}", "a {}", "the {}")
ANOMALOUS_STATES = ("a damaged {}", "a broken {}", "a {} with flaw", "a {} with defect", "a {} with damage")
TEMPLATES = ("{}.", "a photo of {}.")


def prompts(name: str) -> tuple[list[str], list[str]]:
    """The normal and the anomalous prompts of a class name."""
    normal, anomalous = (
        [template.format(state.format(name)) for state in states for template in TEMPLATES]
        for states in (NORMAL_STATES, ANOMALOUS_STATES)
    )
    return normal, anomalous
