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


def check_timeline(account):
    """Lanes do one thing at a time, add up, and take what others send."""
    timeline, messages = account["timeline"], {"send": [], "receive": []}
    ends = []
    equal = len({lane["last_rank"] - lane["first_rank"] for lane in timeline["lanes"]}) == 1  # else devices hold other parts of a message
    for lane, memory in zip(timeline["lanes"], account["memory_over_time"]["lanes"], strict=True):
        end = busy = 0
        for event in lane["events"]:
            assert event["start"] >= end - 1e-12, "instructions of one rank overlap"
            end, busy = event["start"] + event["seconds"], busy + event["seconds"]
            if event["kind"] in messages:
                when = end if event["kind"] == "send" else event["start"]
                messages[event["kind"]].append((event["node"], event.get("microbatch", 0), equal and event["bytes"], when))
        ends.append(end)
        assert abs(busy - lane["busy_seconds"]) < 1e-9
        assert len(memory["seconds"]) == len(memory["work_bytes"]) == len(lane["events"])
        held = account["weights_bytes"][lane["first_rank"]] + max(memory["work_bytes"], default=0)
        assert held <= account["memory_bytes"][lane["first_rank"]], "more is alive than the plan's memory holds"
    assert max(ends) == timeline["seconds"]
    for sent, taken in zip(sorted(messages["send"]), sorted(messages["receive"]), strict=True):
        assert sent[:3] == taken[:3] and sent[3] <= taken[3] + 1e-12, "a message is taken before it is sent"
    if "pipeline" in account:
        pipeline = account["pipeline"]
        assert len(timeline["lanes"]) == max(1, len(pipeline["stages"]))
        assert sum(link["total_message_bytes"] for link in account["links"]) == pipeline["message_bytes"]
        seen = {event.get("microbatch") for lane in timeline["lanes"] for event in lane["events"]} - {None}
        assert pipeline["microbatches"] == 1 or seen == set(range(pipeline["microbatches"]))


def check_training(account):
    """The parts add up, and each stage's passes follow each other."""
    plan, timeline = account["plan"], account["timeline"]
    assert abs(plan["forward_seconds"] + plan["backward_seconds"] - plan["compute_seconds"]) < 1e-9
    spent = sum(plan[key] for key in ("compute_seconds", "bubble_seconds", "sync_seconds", "optimizer_seconds"))
    assert 0 < spent <= plan["seconds"] * (1 + 1e-9)
    ends = []
    for stage, lane in zip(plan["stages"], timeline["stages"], strict=True):
        state = sum(stage[key] for key in ("parameters_bytes", "gradients_bytes", "optimizer_bytes"))
        assert abs(state - stage["weights_bytes"]) <= 1e-9 * state
        parts = sum(stage[key] for key in ("weights_bytes", "activations_bytes", "working_bytes", "reserve_bytes"))
        assert abs(parts - stage["memory_bytes"]) <= 1e-9 * parts
        end = busy = 0
        for _, _, _, start, seconds in lane["passes"]:
            assert start >= end - 1e-12, "passes of one stage overlap"
            end, busy = start + seconds, busy + seconds
        assert abs(busy - stage["busy_seconds"]) <= 1e-9 * busy
        kinds = {kind: sum(one[0] == kind for one in lane["passes"]) for kind in ("forward", "backward")}
        assert set(kinds.values()) == {plan["microbatches"] * plan["interleave"]}, kinds
        ends.append(end)
    assert abs(max(ends) - timeline["seconds"]) < 1e-12
    assert sum(len(lane["passes"]) for lane in timeline["stages"]) == timeline["passes"]
    stages = plan["stages"]
    expected = {key: [stage[key] for stage in stages]
                for key in ("busy_seconds", "parameters_bytes", "gradients_bytes", "activations_bytes")}
    expected |= {key: [account[key]] for key in ("seconds", "lower_bound_seconds", "tflops_per_device")}
    expected |= {"stage_memory_bytes": [stage["memory_bytes"] for stage in stages], "memory_bytes": [plan["memory_bytes"]],
                 "timeline": [timeline["seconds"]], "forward_seconds": [plan["forward_seconds"]]}
    if account["runners_up"]:
        expected["plan_seconds"] = [other["seconds"] for other in [plan] + account["runners_up"]]
    return expected


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
    if "runners_up" in account:
        expected = check_training(account)
    elif "points" in account:
        points = [point for point in account["points"] if "problem" not in point]
        for key in ("predicted_seconds", "throughput", "memory_bytes", "cost_per_hour", "cost_per_step", "cost_per_million"):
            expected[key] = [point[key] for point in points if key in point]
    else:
        expected = {"predicted_seconds": [account["predicted_seconds"]], "lower_bound_seconds": [account["lower_bound_seconds"]],
                    "limit": [limit["seconds"] for limit in account["limits"]], "link_bytes": [link["bytes"] for link in account["links"]],
                    "timeline": [account["timeline"]["seconds"]], "memory_bytes": [max(account["memory_bytes"])] * 2,
                    "weights_bytes": [max(account["weights_bytes"])]}
        check_timeline(account)
        if pipeline := account.get("pipeline"):
            expected["stage_seconds"] = [stage["seconds"] for stage in pipeline["stages"]]
            expected["stage_memory_bytes"] = [account["memory_bytes"][stage["devices"][0]] for stage in pipeline["stages"]]
            expected["pass_seconds"] = [pipeline["pass_seconds"]]
        tried = account.get("pipelines_considered", [])
        expected["candidate_seconds"] = [plan["predicted_seconds"] for plan in tried if "predicted_seconds" in plan]
        if "runner_up" in account:
            expected["runner_up_seconds"] = [account["runner_up"]["seconds"]]
    for key, values in expected.items():
        assert page.figures.get(key, []) == [float(value) for value in values], (key, page.figures.get(key), values)


main(*sys.argv[1:])
