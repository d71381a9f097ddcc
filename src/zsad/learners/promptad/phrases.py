"""The defects that PromptAD's manual prompts name: eight for anything, more for the classes of MVTec AD and VisA.

As the official list has them, spelling included: the tokens are part of the method. Keys are prompt names, and `pcb4`:
the category of VisA whose board has defects of its own while its prompt name is that of the other three.
"""

GENERIC = (
    "damaged {}",
    "flawed {}",
    "abnormal {}",
    "imperfect {}",
    "blemished {}",
    "{} with flaw",
    "{} with defect",
    "{} with damage",
)
_MACARONI = ("color spot", "small chip around edge", "small scratches", "breakage", "cracks")
WITH: dict[str, tuple[str, ...]] = {
    "bottle": ("large breakage", "small breakage", "contamination"),
    "cable": ("bent wire", "missing part", "missing wire", "cut", "poke"),
    "capsule": ("crack", "faulty imprint", "poke", "scratch"),
    "carpet": ("hole", "color stain", "metal contamination", "thread residue", "thread", "cut"),
    "grid": ("breakage", "thread residue", "thread", "metal contamination", "glue", "a bent shape"),
    "hazelnut": ("crack", "cut", "hole", "print"),
    "leather": ("color stain", "cut", "fold", "glue", "poke"),
    "metal nut": ("a bent shape", "color stain", "a flipped orientation", "scratch"),
    "pill": ("color stain", "contamination", "crack", "faulty imprint", "scratch", "abnormal type"),
    "screw": ("manipulated front", "scratch neck", "scratch head"),
    "tile": ("crack", "glue strip", "gray stroke", "oil", "rough surface"),
    "toothbrush": ("defect", "anomaly"),
    "transistor": ("bent lead", "cut lead", "damage", "misplaced transistor"),
    "wood": ("color stain", "hole", "scratch", "liquid"),
    "zipper": ("broken teeth", "fabric border", "defect fabric", "broken fabric", "split teeth", "squeezed teeth"),
    "candle": (
        "melded wax",
        "foreign particals",
        "extra wax",
        "chunk of wax missing",
        "weird candle wick",
        "damaged corner of packaging",
        "different colour spot",
    ),
    "capsules": ("scratch", "discolor", "misshape", "leak", "bubble"),
    "cashew": ("breakage", "small scratches", "burnt", "stuck together", "spot"),
    "chewing gum": ("corner missing", "scratches", "chunk of gum missing", "colour spot", "cracks"),
    "fryum": ("breakage", "scratches", "burnt", "colour spot", "fryum stuck together", "colour spot"),
    "macaroni": _MACARONI,
    "pcb4": ("scratch", "extra", "missing", "wrong place", "damage", "burnt", "dirt"),
    "pipe fryum": ("breakage", "small scratches", "burnt", "stuck together", "colour spot", "cracks"),
    "printed circuit board": ("bent", "scratch", "missing", "melt"),
}
NOT_WITH = {"capsule": ("{} squeezed with compression",)}  # the one phrase of another form


def abnormal_states(name: str) -> list[str]:
    """Phrases with a place for the class name: the generic ones, then those of `name`, if it has any."""
    return [*GENERIC, *(f"{{}} with {defect}" for defect in WITH.get(name, ())), *NOT_WITH.get(name, ())]
