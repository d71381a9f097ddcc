"""A model as one file for a runtime: ONNX Runtime, OpenVINO or torch.

    checkpoint → graph (operators) → files, precision → measure: beside the checkpoint, at once

What uses such a file loads no torch: `description` says what it is, `sessions` runs it, `runtime` makes a `Predictor`
of it. `kinds` names the forms.
"""
