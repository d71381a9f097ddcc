"""`zsad repro`: what `dvc repro` would run, the ready stages side by side; DVC records the results.

`repro` reads the arguments and `loop` runs; `stages` asks DVC and has it record; `executors` run commands, in processes
that `worker` is the inside of and `warm` prepares; `expectations` knows how long stages took; `display` shows it.
"""
