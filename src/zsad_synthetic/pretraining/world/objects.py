"""Things with an outline: the table of their renderers."""

from zsad_synthetic.pretraining.world import assemblies, goods, hardware

RENDERERS = {
    "screw": hardware.screw,
    "metal nut": hardware.metal_nut,
    "bottle": goods.bottle,
    "cable": hardware.cable,
    "capsule": goods.capsule,
    "hazelnut": goods.nut_kernel,
    "toothbrush": goods.toothbrush,
    "transistor": hardware.transistor,
    "zipper": hardware.zipper,
    "cookie": goods.cookie,
    "candle": goods.candle,
    "cashew": goods.crescent,
    "chewing gum": goods.slab,
    "pipe": hardware.pipe,
    "connector": hardware.connector,
    "bracket": hardware.bracket,
    "spoon": goods.spoon,
    "button": goods.button,
    "coin": goods.coin,
    "battery": hardware.battery,
    "fruit": goods.fruit,
    "leaf": goods.leaf,
    "spring": hardware.spring,
    "computer chip": hardware.computer_chip,
    "metal plate": hardware.metal_plate,
    "box": goods.packaged_box,
    "pebble": goods.pebble,
    "machine part": hardware.machine_part,
} | assemblies.RENDERERS
