"""The words of hand-written prompts: states of an object, and templates around them. WinCLIP's, or a user's own.

Jeong et al., CVPR 2023, arXiv 2303.14814. The lists are those of three independent re-implementations, which agree.
`{}` is the place of the object in a state, and of the state in a template.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BeforeValidator, Field

from zsad.common.errors import UserError
from zsad.config.schema import Block
from zsad.config.validation import validate

NORMAL_STATES = (
    "{}",
    "flawless {}",
    "perfect {}",
    "unblemished {}",
    "{} without flaw",
    "{} without defect",
    "{} without damage",
)
ANOMALOUS_STATES = ("damaged {}", "{} with flaw", "{} with defect", "{} with damage")
WITH_BROKEN = ("damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage")  # APRIL-GAN's, AdaCLIP's
TEMPLATES = (
    "a cropped photo of the {}.",
    "a close-up photo of a {}.",
    "a close-up photo of the {}.",
    "a bright photo of a {}.",
    "a bright photo of the {}.",
    "a dark photo of the {}.",
    "a dark photo of a {}.",
    "a jpeg corrupted photo of the {}.",
    "a jpeg corrupted photo of the {}.",  # twice in the published list, so it counts double
    "a blurry photo of the {}.",
    "a blurry photo of a {}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of a small {}.",
    "a photo of the small {}.",
    "a photo of a large {}.",
    "a photo of the large {}.",
    "a photo of the {} for visual inspection.",
    "a photo of a {} for visual inspection.",
    "a photo of the {} for anomaly detection.",
    "a photo of a {} for anomaly detection.",
)
QUOTES = 'put quotes around a text that begins with {}, as in - "{} with a scratch"'


def _quoted(value: Any) -> Any:
    if isinstance(value, Mapping):  # what YAML makes of `- {}`
        raise ValueError(f"is a mapping to YAML; {QUOTES}")
    return value


def _with_a_place(value: str) -> str:
    if value.count("{}") != 1 or set(value.replace("{}", "")) & set("{}"):
        raise ValueError("write {} once, where the object goes, and no other braces")
    return value


Text = Annotated[str, BeforeValidator(_quoted), AfterValidator(_with_a_place)]


class States(Block):
    """What prompts say. A list that is not given is WinCLIP's; a text that stands twice counts double."""

    normal: list[Text] = Field(default=list(NORMAL_STATES), min_length=1)
    anomalous: list[Text] = Field(default=list(ANOMALOUS_STATES), min_length=1)
    templates: list[Text] = Field(default=list(TEMPLATES), min_length=1)


def read_states(given: str | PathLike[str] | Mapping[str, Any]) -> States:
    """States as a mapping, or from the YAML file that holds it; UserError names the file, the key and the remedy."""
    if isinstance(given, Mapping):
        return validate(States, given, "states")
    path = Path(given)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}; {QUOTES}") from error
    if not raw or not isinstance(raw, dict):
        raise UserError(
            f"{path}: holds no states; write `normal:` and `anomalous:`, each with a list of texts below it"
        )
    return validate(States, raw, str(path))
