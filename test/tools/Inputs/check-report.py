"""check-report.py PAGE.html ACCOUNT.json SECTION...: the page has these sections, fetches nothing, and shows the account's figures."""
import html.parser
import json
import re
import sys

VOID = {"meta", "br", "col", "i", "img", "input", "link"} - {"i"}
FETCHING = {"src", "href", "srcset", "data", "poster", "action", "formaction", "xlink:href"}


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.ids, self.figures, self.problems, self.style = [], [], {}, [], ""

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.note(tag, dict(attrs))

    def note(self, tag, attrs):
        self.problems += [f"{tag} fetches {key}={attrs[key]}" for key in FETCHING & attrs.keys()]
        if tag in ("link", "iframe", "object", "embed", "base"):
            self.problems.append(f"there is a {tag}")
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if "data-key" in attrs:
            self.figures.setdefault(attrs["data-key"], []).append(float(attrs["data-value"]))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data):
        if self.open and self.open[-1] in ("style", "script"):
            self.style += data


def main(page_file, account_file, *sections):
    page = Page()
    text = open(page_file, encoding="utf-8").read()
    page.feed(text)
    page.close()
    assert not page.problems, page.problems
    assert not page.open, f"not closed: {page.open}"
    assert not re.search(r"https?:|url\(|@import|fetch\(|XMLHttp", text), "the page refers to something outside"
    missing = set(sections) - set(page.ids)
    assert not missing, f"no section {missing}"
    assert len(page.ids) == len(set(page.ids)), "an id occurs twice"
    account = json.load(open(account_file, encoding="utf-8"))
    expected = {}
    if "points" in account:
        points = [point for point in account["points"] if "problem" not in point]
        for key in ("predicted_seconds", "throughput", "memory_bytes", "cost_per_hour", "cost_per_million"):
            expected[key] = [point[key] for point in points if key in point]
    else:
        expected = {"predicted_seconds": [account["predicted_seconds"]], "lower_bound_seconds": [account["lower_bound_seconds"]],
                    "limit": [limit["seconds"] for limit in account["limits"]], "link_bytes": [link["bytes"] for link in account["links"]],
                    "timeline": [account["timeline"]["seconds"]], "memory_bytes": [max(account["memory_bytes"])] * 2,
                    "weights_bytes": [max(account["weights_bytes"])]}
        if "runner_up" in account:
            expected["runner_up_seconds"] = [account["runner_up"]["seconds"]]
    for key, values in expected.items():
        assert page.figures.get(key, []) == [float(value) for value in values], (key, page.figures.get(key), values)


main(*sys.argv[1:])
