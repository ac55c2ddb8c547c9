"""Runs the static analyser over the contracts and compares what it finds with what is explained.

    python tools/slither.py        in the environment that has slither, with forge on the PATH

`static-analysis.json` holds an explanation for each finding, by detector and place. A finding without one fails, and so does
an explanation without a finding: it would hide the next one. Kinds of findings that say nothing here are switched off there
as a whole, each with its reason.
"""

import json
import os
import subprocess
import sys
import tempfile

POLICIES = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def findings(folder, switched_off):
    """What the analyser finds, as pairs of detector and place."""
    out = os.path.join(folder, "out")
    build = ["forge", "build", "--build-info", "--skip", "test", "--skip", "script", "--out", out]
    build += ["--build-info-path", os.path.join(out, "build-info"), "--cache-path", os.path.join(folder, "cache")]
    subprocess.run(build, cwd=POLICIES, check=True, stdout=subprocess.DEVNULL)
    report = os.path.join(folder, "report.json")
    slither = [os.path.join(os.path.dirname(sys.executable), "slither"), ".", "--ignore-compile"]
    slither += ["--foundry-out-directory", out, "--exclude", ",".join(switched_off), "--exclude-dependencies"]
    slither += ["--filter-paths", "node_modules|test/|script/", "--json", report]
    # It ends with a failure where it finds anything; what counts is the report.
    run = subprocess.run(slither, cwd=POLICIES, capture_output=True, text=True)
    if not os.path.exists(report):
        sys.exit(run.stderr)
    with open(report) as file:
        made = json.load(file)
    if not made["success"]:
        sys.exit(f"slither: {made['error']}")
    return {(finding["check"], place(finding)) for finding in made["results"].get("detectors", [])}


def place(finding):
    """Contract and function of a finding, which outlive a moved line."""
    for element in finding["elements"]:
        parent = element
        function = None
        while parent:
            if parent["type"] == "function":
                function = parent["name"]
            if parent["type"] == "contract":
                return f"{parent['name']}.{function}" if function else parent["name"]
            parent = parent.get("type_specific_fields", {}).get("parent")
    return finding["first_markdown_element"]


def main():
    with open(os.path.join(POLICIES, "static-analysis.json")) as file:
        known = json.load(file)
    explained = {(entry["detector"], place) for entry in known["findings"] for place in entry["places"]}
    with tempfile.TemporaryDirectory() as folder:
        found = findings(folder, [entry["detector"] for entry in known["switchedOff"]])
    for detector, where in sorted(found - explained):
        print(f"not explained in static-analysis.json: {detector} in {where}", file=sys.stderr)
    for detector, where in sorted(explained - found):
        print(f"explained in static-analysis.json and not found any more: {detector} in {where}", file=sys.stderr)
    if found != explained:
        sys.exit(1)
    print(f"slither: {len(found)} findings, each explained")


main()
