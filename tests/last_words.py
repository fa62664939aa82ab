"""Stands for the Python that make runs (`RUN=`): print, as JSON, the words of the script that make would start."""

import json
import os
import runpy
import sys

sys.argv.pop(0)
if sys.argv[0] == "-m" and sys.argv[1] == "lpips_repro.launch":
    os.execv = lambda path, words: print(json.dumps(words[1:]))
    del sys.argv[0]
    runpy.run_module("lpips_repro.launch", run_name="__main__", alter_sys=True)
else:
    print(json.dumps(sys.argv))
