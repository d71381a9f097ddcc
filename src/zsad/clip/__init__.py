"""The frozen CLIP: its towers read the way learners read them, its weights, its inputs. Nothing here is trained.

May import `common`, `config` and `datasets` (decoding pictures). The only room that knows open_clip.
"""
