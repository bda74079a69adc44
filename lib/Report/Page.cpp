#include "Assets.h"
#include "Sections.h"
#include "mpopt/Report/Report.h"
#include "llvm/Support/FormatVariadic.h"
#include <cmath>

using llvm::formatv;
using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {

std::string page(StringRef title, StringRef body) {
  std::string html;
  llvm::raw_string_ostream os(html);
  os << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
     << "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
     << "<meta name=\"color-scheme\" content=\"light dark\">\n<title>" << escaped(title) << "</title>\n<style>\n"
     << kPageStyle << "</style>\n</head>\n<body>\n"
     << body
     << "<footer>Made by mpopt. Times are those of the cost model that the plan was chosen by; the same numbers "
     << "come from --json.</footer>\n<script>\n"
     << kPageScript << "</script>\n</body>\n</html>\n";
  return html;
}

void openSection(raw_ostream &os, StringRef id, StringRef title) {
  os << "<section id=\"" << id << "\">\n<h2>" << escaped(title) << "</h2>\n";
}

namespace {

void writeFigure(raw_ostream &os, StringRef label, StringRef value, StringRef extra) {
  os << "<div><div class=\"label\">" << label << "</div><div class=\"value\">" << value << "</div><div class=\"extra\">"
     << extra << "</div></div>\n";
}

double most(const json::Array &values) {
  double most = 0;
  for (const json::Value &value : values)
    most = std::max(most, value.getAsNumber().value_or(0));
  return most;
}

/// "x0 2 over InfiniBand, x1 x2 x3 2 over NVLink".
std::string meshText(const json::Object &account) {
  std::string result;
  StringRef last;
  std::optional<double> stage;
  for (const json::Value &value : list(account, "axes")) {
    const json::Object &axis = *value.getAsObject();
    StringRef link = axis.getString("link").value_or("");
    if (axis.get("stage") && stage != number(axis, "stage")) {
      if (!last.empty())
        result += " over " + last.str() + "; ";
      result += "stage " + plain(*(stage = number(axis, "stage"))) + ": ";
    } else if (link != last && !last.empty())
      result += " over " + last.str() + ", ";
    else if (!result.empty())
      result += ", ";
    result += text(axis, "name") + "=" + plain(number(axis, "size"));
    last = link;
  }
  return result.empty() ? "one device" : result + " over " + last.str();
}

} // namespace

void writeSummary(const json::Object &account, raw_ostream &os) {
  double step = number(account, "predicted_seconds"), bound = number(account, "lower_bound_seconds");
  double devices = number(account, "devices"), memory = most(list(account, "memory_bytes"));
  const json::Object *pipeline = account.getObject("pipeline");
  double stages = pipeline ? static_cast<double>(list(*pipeline, "stages").size()) : 0;
  bool overlaps = pipeline && pipeline->getBoolean("steps_overlap").value_or(false);
  os << "<header id=\"summary\">\n<h1>" << escaped(text(account, "model")) << " on " << plain(devices) << " × "
     << escaped(text(account, "machine")) << "</h1>\n<p class=\"muted\">"
     << (stages > 1 ? plain(stages) + " pipeline stages; the mesh of each: " : std::string("Mesh "))
     << escaped(meshText(account)) << "; objective " << escaped(text(account, "objective"));
  if (std::string layout = text(account, "strategy_flag"); !layout.empty())
    os << (list(account, "pipelines_considered").empty() ? "; forced layout " : "; chosen layout ") << escaped(layout);
  for (const json::Value &dim : list(account, "dims"))
    os << "; " << escaped(dim.getAsString().value_or(""));
  os << "</p>\n<div class=\"figures\">\n";
  writeFigure(os, overlaps ? "from one step to the next" : "one step",
              figure("predicted_seconds", step, secondsText(step)), "predicted by the cost model");
  writeFigure(os, "lower bound of any plan", figure("lower_bound_seconds", bound, secondsText(bound)),
              step > bound * (1 + 1e-9) ? "the plan is " + percentText(step - bound, bound) + " above it"
                                        : std::string("the plan is optimal by this model"));
  const json::Object *device = account.getObject("device");
  double limit = device ? number(*device, "memory_bytes") : 0;
  writeFigure(os, "memory per device, at most", figure("memory_bytes", memory, bytesText(memory)),
              limit > 0 ? percentText(memory, limit) + " of " + bytesText(limit) : std::string());
  if (double batch = number(account, "batch"); batch > 0 && step > 0)
    writeFigure(os, "throughput", figure("throughput", batch / step, countText(batch / step) + "/s"),
                "batch of " + plain(batch) + (overlaps ? ", steps overlap" : ", one step after the other"));
  if (std::string limited = text(account, "limited_by"); !limited.empty())
    writeFigure(os, "limited by", "<b>" + escaped(limited) + "</b>",
                account.get("limits_of_stage")
                    ? "the largest share of stage " + plain(number(account, "limits_of_stage"))
                    : std::string("the largest share of the step"));
  os << "</div>\n";
  if (const json::Object *other = account.getObject("runner_up")) {
    double copies = number(*other, "copies");
    double more = number(*other, "seconds_more");
    std::string sign = more < 0 ? "−" : other->getBoolean("exact").value_or(false) ? "+" : "at most +";
    os << (more < 0   ? "<p class=\"warn\">The search ended before it found the best plan. A better one takes "
           : pipeline ? "<p>With the nearest other way to spread an operator, a pass of a microbatch takes "
                      : "<p>The runner-up takes ")
       << figure("runner_up_seconds", number(*other, "seconds"), secondsText(number(*other, "seconds"))) << " (" << sign
       << secondsText(std::abs(more)) << ", " << percentText(std::abs(more), passSeconds(account))
       << "): " << escaped(text(*other, "op")) << " <code>" << escaped(text(*other, "node")) << "</code>"
       << (copies > 1 ? " in all " + plain(copies) + " copies" : "") << " " << escaped(text(*other, "other"))
       << " instead of " << escaped(text(*other, "layout")) << ".</p>\n";
  }
  os << "</header>\n";
}

std::string planPage(const json::Object &account) {
  std::string body;
  llvm::raw_string_ostream os(body);
  for (auto write : {writeSummary, writeLimits, writeStages, writeBlocks, writeTimeline, writeMemory, writeLinks,
                     writeDecisions, writeShardings})
    write(account, os);
  return page(text(account, "model") + " on " + plain(number(account, "devices")) + " devices", body);
}

} // namespace mpopt::report
