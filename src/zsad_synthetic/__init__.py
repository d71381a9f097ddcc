"""How the embedded CLIP and the demo pictures are made; stands beside zsad in the repository and is not installed.

`pretraining`: the procedural world of image–caption pairs and the training of the CLIP in zsad/clip/embedded.
`demo`: the four demo sets. The two have no material, object or defect in common.
Imports zsad; zsad loads `demo` by name when a demo set is fetched, and nothing else.
"""
