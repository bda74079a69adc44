#include "Sections.h"
#include <cmath>

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

/// Where there are many blocks, those of less than that share of the step are told in short.
constexpr size_t kManyBlocks = 24;
constexpr double kSmallShare = 0.02;

/// Of all copies.
double secondsOf(const json::Object &block) {
  return number(block, "count") * (number(block, "compute_seconds") + number(block, "communication_seconds"));
}

std::string collectivesOf(const json::Object &object) {
  std::string result;
  for (const json::Value &value : list(object, "collectives")) {
    const json::Object &kind = *value.getAsObject();
    result += (result.empty() ? "" : ", ") + plain(number(kind, "count")) + " " + text(kind, "kind") + " (" +
              bytesText(number(kind, "bytes")) + ")";
  }
  return result.empty() ? "no collectives" : result;
}

void writeMeter(raw_ostream &os, double compute, double communication, double whole) {
  auto share = [&](double part) { return coordinate(whole > 0 ? 100 * part / whole : 0); };
  os << "<span class=\"meter\" style=\"width:100%\"><i class=\"k-compute\" style=\"width:" << share(compute)
     << "%\"></i><i class=\"k-all_reduce\" style=\"width:" << share(communication) << "%\"></i></span>";
}

/// The name of a block, and of its last copy where that differs.
std::string nameOf(const json::Object &block) {
  std::string name = escaped(text(block, "name"));
  return number(block, "count") > 1 ? name + " … " + escaped(text(block, "last_name")) : name;
}

void writeCard(raw_ostream &os, const json::Object &block, double pass, StringRef passWord, double most) {
  double count = number(block, "count"), compute = number(block, "compute_seconds"),
         communication = number(block, "communication_seconds"), whole = count * (compute + communication);
  os << "<div class=\"block" << (count > 1 ? " many" : "") << "\" title=\"" << nameOf(block) << "\">";
  if (count > 1)
    os << "<span class=\"times\">×" << plain(count) << "</span>";
  os << "<div class=\"name\">" << escaped(shortened(text(block, "name"), 60)) << "</div>";
  writeMeter(os, count * compute, count * communication, most);
  os << "<div>" << secondsText(whole) << " <span class=\"muted\">(" << percentText(whole, pass) << " of " << passWord
     << (count > 1 ? ", " + secondsText(compute + communication) + " each" : "")
     << ")</span></div><div class=\"muted\">" << operatorsText(number(block, "operators")) << (count > 1 ? " each" : "")
     << ", weights " << bytesText(number(block, "weights_bytes")) << "<br>" << escaped(collectivesOf(block))
     << "</div></div>\n";
}

/// Small blocks between large ones are told together, so that models with hundreds stay readable.
void writeSmall(raw_ostream &os, const std::vector<const json::Object *> &blocks, double pass, StringRef passWord) {
  double seconds = 0, operators = 0;
  std::string names;
  for (const json::Object *block : blocks) {
    double count = number(*block, "count");
    seconds += count * (number(*block, "compute_seconds") + number(*block, "communication_seconds"));
    operators += count * number(*block, "operators");
    names += (names.empty() ? "" : ", ") + nameOf(*block);
  }
  os << "<div class=\"block\" title=\"" << names << "\"><div class=\"name\">" << blocks.size()
     << " small blocks</div><div>" << secondsText(seconds) << " <span class=\"muted\">(" << percentText(seconds, pass)
     << " of " << passWord << ")</span></div><div class=\"muted\">" << operatorsText(operators) << "</div></div>\n";
}

std::string runnerUpText(const json::Object &layout, double pass) {
  const json::Value *value = layout.get("runner_up");
  if (!value)
    return "not looked for";
  const json::Object *other = value->getAsObject();
  if (!other)
    return "no other way";
  double more = number(*other, "seconds_more");
  bool exact = other->getBoolean("exact").value_or(false);
  std::string sign = more < 0 ? "−" : exact ? "+" : "at most +"; // less: the plan is not the best one
  return sign + secondsText(std::abs(more)) + " (" + percentText(std::abs(more), pass) + ") as " +
         text(*other, "layout");
}

} // namespace

void writeBlocks(const json::Object &account, raw_ostream &os) {
  const json::Array &blocks = list(account, "blocks");
  if (blocks.empty())
    return;
  double pass = passSeconds(account), most = 0;
  for (const json::Value &value : blocks)
    most = std::max(most, secondsOf(*value.getAsObject()));
  StringRef word = passWord(account);
  openSection(os, "blocks", "The model by blocks");
  os << "<p class=\"note\">In the order of execution; equal layers that are spread in the same way are one block. "
        "Times and bytes are those of "
        "one device"
     << (account.getObject("pipeline") ? ", of one microbatch" : "")
     << ".</p>\n<div class=\"legend\"><span class=\"k-compute\">compute</span><span "
        "class=\"k-all_reduce\">communication</span></div>\n<div class=\"blocks\">\n";
  std::vector<const json::Object *> small;
  auto flush = [&] {
    if (small.size() == 1)
      writeCard(os, *small.front(), pass, word, most);
    else if (!small.empty())
      writeSmall(os, small, pass, word);
    small.clear();
  };
  for (const json::Value &value : blocks) {
    const json::Object &block = *value.getAsObject();
    if (blocks.size() > kManyBlocks && secondsOf(block) < kSmallShare * pass) {
      small.push_back(&block);
      continue;
    }
    flush();
    writeCard(os, block, pass, word, most);
  }
  flush();
  os << "</div>\n</section>\n";
}

void writeDecisions(const json::Object &account, raw_ostream &os) {
  const json::Array &blocks = list(account, "blocks");
  if (blocks.empty())
    return;
  double pass = passSeconds(account);
  openSection(os, "decisions", "Decisions, and what the next best would cost");
  os << "<p class=\"note\">For each operator that matters: how it is spread, what that takes on one device, and how "
        "much longer "
     << passWord(account)
     << " would be, everything else chosen anew, if it were spread otherwise in every copy of its block.</p>\n";
  for (const json::Value &value : blocks) {
    const json::Object &block = *value.getAsObject();
    const json::Array &layouts = list(block, "layouts");
    if (layouts.empty())
      continue;
    double count = number(block, "count");
    bool large = blocks.size() <= kManyBlocks || secondsOf(block) >= kSmallShare * pass;
    os << "<details" << (large ? " open" : "") << "><summary><h3>" << nameOf(block)
       << (count > 1 ? " ×" + plain(count) : "")
       << "</h3></summary>\n<table><colgroup><col style=\"width:8%\"><col style=\"width:27%\"><col "
          "style=\"width:20%\"><col "
          "style=\"width:9%\"><col style=\"width:9%\"><col "
          "style=\"width:27%\"></colgroup><tr><th>operator</th><th>node</th><th>spread</th><th "
          "class=\"n\">compute</th><th "
          "class=\"n\">communication</th><th>next best</th></tr>\n";
    for (const json::Value &entry : layouts) {
      const json::Object &layout = *entry.getAsObject();
      os << "<tr><td>" << escaped(text(layout, "op")) << "</td><td><code>" << escaped(text(layout, "node"))
         << "</code></td><td>" << escaped(text(layout, "layout")) << "</td><td class=\"n\">"
         << secondsText(number(layout, "compute_seconds")) << "</td><td class=\"n\">"
         << secondsText(number(layout, "communication_seconds")) << "</td><td>" << escaped(runnerUpText(layout, pass))
         << "</td></tr>\n";
    }
    os << "</table></details>\n";
  }
  os << "</section>\n";
}

} // namespace mpopt::report
