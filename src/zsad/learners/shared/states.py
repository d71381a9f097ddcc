"""Words of normal and anomalous that the official codes of APRIL-GAN and AdaCLIP have: seven and five."""

from zsad.learners.shared.prompts import NORMAL_STATES as NORMAL_STATES

ANOMALOUS_STATES = ("damaged {}", "broken {}", "{} with flaw", "{} with defect", "{} with damage")
