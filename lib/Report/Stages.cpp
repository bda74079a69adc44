//===- Stages.cpp - The stages of a pipeline, and what else was considered -===//

#include "Sections.h"

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

std::string devicesText(const json::Object &stage) {
  const json::Array &devices = list(stage, "devices");
  return devices.empty() ? "" : ranksText(*devices.front().getAsNumber(), *devices.back().getAsNumber());
}

double mostSeconds(const json::Array &stages) {
  double most = 0;
  for (const json::Value &stage : stages)
    most = std::max(most, number(*stage.getAsObject(), "seconds"));
  return most;
}

/// The first device's entry of an array that has one per device.
double ofDevices(const json::Object &account, StringRef key, const json::Object &stage) {
  const json::Array &devices = list(stage, "devices"), &values = list(account, key);
  size_t first = devices.empty() ? 0 : static_cast<size_t>(devices.front().getAsInteger().value_or(0));
  return first < values.size() ? values[first].getAsNumber().value_or(0) : 0;
}

void writeRow(raw_ostream &os, const json::Object &account, const json::Object &stage, size_t index, double most) {
  double compute = number(stage, "compute_seconds"), communication = number(stage, "communication_seconds"),
         transfer = number(stage, "transfer_seconds");
  auto share = [&](double seconds) { return coordinate(most > 0 ? 100 * seconds / most : 0); };
  os << "<tr><td>" << index << "</td><td class=\"op\">" << devicesText(stage) << "</td><td>"
     << operatorsText(number(stage, "operators")) << ", <code>" << escaped(shortened(text(stage, "first_node"), 48))
     << "</code> to <code>" << escaped(shortened(text(stage, "last_node"), 48)) << "</code></td><td class=\"n\">"
     << figure("stage_seconds", number(stage, "seconds"), secondsText(number(stage, "seconds")))
     << "</td><td><span class=\"meter\"><i class=\"k-compute\" style=\"width:" << share(compute)
     << "%\"></i><i class=\"k-all_reduce\" style=\"width:" << share(communication)
     << "%\"></i><i class=\"k-receive\" style=\"width:" << share(transfer) << "%\"></i></span></td><td class=\"n\">"
     << bytesText(number(stage, "received_bytes")) << "</td><td class=\"n\">" << bytesText(number(stage, "sent_bytes"))
     << "</td><td class=\"n\">" << bytesText(ofDevices(account, "weights_bytes", stage)) << "</td><td class=\"n\">"
     << figure("stage_memory_bytes", ofDevices(account, "memory_bytes", stage),
               bytesText(ofDevices(account, "memory_bytes", stage)))
     << "</td></tr>\n";
}

void writeTable(const json::Object &account, const json::Array &stages, raw_ostream &os) {
  double most = mostSeconds(stages);
  os << "<div class=\"legend\"><span class=\"k-compute\">compute</span><span class=\"k-all_reduce\">communication "
        "within the stage</span><span class=\"k-receive\">taking what earlier stages send</span></div>\n"
        "<table><tr><th>stage</th><th>devices</th><th>holds</th><th class=\"n\">time of a microbatch</th><th></th><th "
        "class=\"n\">receives</th><th class=\"n\">sends</th><th class=\"n\">weights</th><th "
        "class=\"n\">memory</th></tr>\n";
  for (auto [index, stage] : llvm::enumerate(stages))
    writeRow(os, account, *stage.getAsObject(), index, most);
  os << "</table>\n";
}

void writeCandidates(const json::Object &account, double stages, double microbatches, raw_ostream &os) {
  const json::Array &candidates = list(account, "pipelines_considered");
  if (candidates.empty())
    return;
  os << "<h3>Pipelines considered</h3>\n<table class=\"narrow\"><tr><th class=\"n\">stages</th><th "
        "class=\"n\">microbatches</th><th class=\"n\">step</th><th class=\"n\">memory per device</th><th></th></tr>\n";
  for (const json::Value &value : candidates) {
    const json::Object &candidate = *value.getAsObject();
    bool exists = candidate.get("predicted_seconds") != nullptr;
    bool chosen = number(candidate, "stages") == stages && number(candidate, "microbatches") == microbatches;
    os << "<tr><td class=\"n\">" << plain(number(candidate, "stages")) << "</td><td class=\"n\">"
       << plain(number(candidate, "microbatches")) << "</td>";
    if (exists)
      os << "<td class=\"n\">"
         << figure("candidate_seconds", number(candidate, "predicted_seconds"),
                   secondsText(number(candidate, "predicted_seconds")))
         << "</td><td class=\"n\">" << bytesText(number(candidate, "memory_bytes")) << "</td><td>"
         << (chosen ? "<b>chosen</b>" : "") << "</td></tr>\n";
    else
      os << "<td class=\"warn\" colspan=\"3\">no plan</td></tr>\n";
  }
  os << "</table>\n";
}

} // namespace

std::string ranksText(double first, double last) {
  return first == last ? "rank " + plain(first) : "ranks " + plain(first) + "–" + plain(last);
}

double passSeconds(const json::Object &account) {
  const json::Object *pipeline = account.getObject("pipeline");
  return pipeline ? number(*pipeline, "pass_seconds") : number(account, "predicted_seconds");
}

StringRef passWord(const json::Object &account) { return account.getObject("pipeline") ? "a pass" : "the step"; }

void writeStages(const json::Object &account, raw_ostream &os) {
  const json::Object *pipeline = account.getObject("pipeline");
  if (!pipeline && list(account, "pipelines_considered").empty())
    return;
  static const json::Array kNone;
  const json::Array &stages = pipeline ? list(*pipeline, "stages") : kNone;
  double microbatches = pipeline ? number(*pipeline, "microbatches") : 1;
  openSection(os, "stages", "Pipeline stages");
  if (pipeline) {
    os << "<p>"
       << (microbatches > 1 ? "A step is made of " + plain(microbatches) + " microbatches; one of them takes "
                            : std::string("A step is one pass through the stages, which takes "))
       << figure("pass_seconds", passSeconds(account), secondsText(passSeconds(account))) << " from end to end. ";
    if (stages.size() > 1)
      os << "The slowest stage, with " << secondsText(mostSeconds(stages)) << ", sets the pace"
         << (microbatches > 1 ? " at which they follow each other" : "")
         << (pipeline->getBoolean("steps_overlap").value_or(false)
                 ? "; each stage begins the next step while later ones still run this one. "
                 : ". ")
         << "All stages together send " << bytesText(number(*pipeline, "message_bytes")) << " in "
         << plain(number(*pipeline, "messages")) << " messages.";
    os << "</p>\n";
  }
  if (!stages.empty())
    writeTable(account, stages, os);
  writeCandidates(account, std::max<double>(1, static_cast<double>(stages.size())), microbatches, os);
  os << "</section>\n";
}

} // namespace mpopt::report
