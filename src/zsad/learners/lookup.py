"""Methods by name: a file, or a folder, of this room is the method of that name. No list, no decorator.

Loads torch only when a method is asked for.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zsad.common.errors import UserError
from zsad.config.configuration import Configuration
from zsad.config.params import Params
from zsad.config.schema import Block, Protocol
from zsad.config.validation import names, validate

if TYPE_CHECKING:
    from zsad.clip.backbone import Clip
    from zsad.learners.base import Learner, LearnerConfig

HERE = Path(__file__).parent
CONTRACTS = ("base", "few_shot", "lookup", "shared")  # what here is no method


def methods() -> list[str]:
    """Names of the methods, sorted."""
    found = [*HERE.glob("[a-z]*.py"), *(init.parent for init in HERE.glob("[a-z]*/__init__.py"))]
    return sorted(path.stem for path in found if path.stem not in CONTRACTS)


def learner_class(method: str) -> "type[Learner]":
    """The class in learners/<method>.py whose name is the method's, underscores dropped, case ignored."""
    from zsad.learners.base import Learner

    try:
        module = importlib.import_module(f"zsad.learners.{method}")
    except ModuleNotFoundError as error:
        if error.name != f"zsad.learners.{method}":
            raise
        raise UserError(f"params.yaml: method {method!r} does not exist; there are: {names(methods())}") from None
    for name, value in vars(module).items():
        if name.lower() == method.replace("_", "") and isinstance(value, type) and issubclass(value, Learner):
            return value
    raise UserError(f"zsad.learners.{method}: holds no Learner class named like the file")


def make_learner(method: str, settings: Block, clip: "Clip", protocol: Protocol, shots: int = 0) -> "Learner":
    """An untrained learner on the device of `clip`; `shots`: size of the support of a few-shot method, else 0."""
    own = {"shots": shots} if shots else {}
    return learner_class(method)(settings, clip, protocol, **own).to(clip.device)


def build_config(method: str, settings: dict[str, Any], where: str) -> "LearnerConfig":
    """The method's typed settings; `where` is their path in params.yaml, for messages."""
    return validate(learner_class(method).Config, settings, "params.yaml", where)


def check_settings(params: Params) -> None:
    """Every configuration's settings are typed, not only this one's: a typo shows in the first minute of a long run."""
    for key in params.configurations:
        configuration = params.configuration(key)
        _check_track(configuration)
        build_config(configuration.method, configuration.settings, configuration.where)
        for source, settings in configuration.per_source.items():
            build_config(configuration.method, settings, f"{configuration.where}.per_source.{source}")


def _check_track(configuration: Configuration) -> None:
    """A method stands under the block of its kind."""
    method = learner_class(configuration.method)
    few_shot = method.few_shot
    if configuration.of and not method.few_shot_form:
        known = names(one for one in methods() if learner_class(one).few_shot_form)
        raise UserError(
            f"params.yaml: {configuration.where}.of: {configuration.method} has no few-shot form; these methods have"
            f" one: {known}. With predictions of a few-shot configuration, it can be an ensemble (`ensembles`)"
        )
    if few_shot and not configuration.shots:
        raise UserError(
            f"params.yaml: {configuration.where}: {configuration.method} is adapted to a target from a few of its"
            f" pictures; move the block under `few_shot` and give it `shots`"
        )
    if configuration.shots and not configuration.of and not few_shot:
        raise UserError(
            f"params.yaml: {configuration.where}: {configuration.method} learns from an auxiliary source, not from"
            f" shots; move the block under `learners`"
        )
