"""Adds up the tests of the JUnit files in a folder, and ends with "N passed, N failed".

usage: count-tests.py FOLDER      exit code 1 when a test failed, or when none ran
A file NAME.failed beside them counts as one failed test: a step that could not even start its tests.
"""
import pathlib
import sys
import xml.etree.ElementTree as xml


def cases(report):
    """(name, state) of each test in a JUnit file; state is passed, failed or skipped."""
    for case in xml.parse(report).getroot().iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None or case.get("status") == "notrun"
        yield case.get("name"), "failed" if failed else "skipped" if skipped else "passed"


def main(folder):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    failures = []
    reports = {path.stem: list(cases(path)) for path in sorted(folder.glob("*.xml"))}
    if reports.get("lit"):  # counted one by one, so not once more as a case of ctest
        reports["ctest"] = [case for case in reports.get("ctest", ()) if case[0] != "lit"]
    reports |= {path.stem + ".step": [(path.stem, "failed")] for path in folder.glob("*.failed")}
    print()
    for name, found in reports.items():
        print(f"{name}: {len(found)} tests")
        for case, state in found:
            counts[state] += 1
            if state == "failed":
                failures.append(case)
    for case in failures:
        print(f"failed: {case}")
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    print(f"{counts['passed']} passed, {counts['failed']} failed{skipped}")
    return 1 if counts["failed"] or not counts["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
