//===- Training.cpp - The page about a training plan ----------------------===//

#include "Training.h"
#include "Sections.h"
#include "mpopt/Report/Report.h"

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

constexpr Part kTimes[] = {
    {"forward_seconds", "forward passes", "forward"},
    {"backward_seconds", "backward passes", "backward"},
    {"bubble_seconds", "pipeline bubble", "wait"},
    {"sync_seconds", "gradients and parameters between replicas, as far as they are waited for", "all_reduce"},
    {"optimizer_seconds", "optimizer", "weights"}};

void writeFigure(raw_ostream &os, StringRef label, StringRef value, StringRef extra) {
  os << "<div><div class=\"label\">" << label << "</div><div class=\"value\">" << value << "</div><div class=\"extra\">"
     << extra << "</div></div>\n";
}

int64_t devicesOf(const json::Object &stage) { return static_cast<int64_t>(number(stage, "devices")); }

std::string ranksOf(const json::Object &stage) {
  double first = number(stage, "first_device");
  return ranksText(first, first + static_cast<double>(devicesOf(stage)) - 1);
}

class TrainingWriter {
public:
  TrainingWriter(const json::Object &account, StringRef model, raw_ostream &os)
      : account(account), plan(object(account, "plan")), stages(list(plan, "stages")), model(model), os(os) {}

  void run() {
    writeSummary();
    writeTimes();
    writeStages();
    writePasses(account, os);
    writeMemoryByKind(account, os);
    writeOthers();
  }

private:
  bool hasLayers() const { return account.get("model") != nullptr; }
  const char *samples() const { return hasLayers() ? "sequences" : "samples"; }

  void writeSummary() {
    double step = number(account, "seconds"), bound = number(account, "lower_bound_seconds"),
           batch = number(account, "global_batch"), memory = number(plan, "memory_bytes"),
           limit = number(account, "device_bytes");
    os << "<header id=\"summary\">\n<h1>Training " << escaped(model) << " on " << plain(number(account, "devices"))
       << " × " << escaped(text(account, "machine")) << "</h1>\n<p class=\"muted\">" << escaped(text(account, "device"))
       << "; " << plain(batch) << " " << samples() << " a step; training program " << escaped(text(account, "stack"))
       << shapeText() << "</p>\n<div class=\"figures\">\n";
    writeFigure(os, "one step", figure("seconds", step, secondsText(step)), "predicted by the cost model");
    writeFigure(os, "lower bound of any plan", figure("lower_bound_seconds", bound, secondsText(bound)),
                "the plan is " + percentText(step - bound, bound) + " above it");
    std::string rate = std::string(samples()) + "_per_second";
    writeFigure(os, "throughput", figure(rate, number(account, rate), countText(number(account, rate)) + "/s"),
                samples() + (account.get("tokens_per_second")
                                 ? "; " + countText(number(account, "tokens_per_second")) + " tokens/s"
                                 : std::string()));
    writeFigure(os, "arithmetic of the model",
                figure("tflops_per_device", number(account, "tflops_per_device"),
                       countText(number(account, "tflops_per_device")) + " TFLOP/s"),
                "per device, recomputation left out");
    writeFigure(os, "memory of the fullest device", figure("memory_bytes", memory, bytesText(memory)),
                percentText(memory, limit) + " of " + bytesText(limit));
    os << "</div>\n<p>Layout <code>" << escaped(text(plan, "text")) << "</code>: " << layoutText()
       << "</p>\n</header>\n";
  }

  std::string shapeText() const {
    if (!hasLayers())
      return "";
    const json::Object &shape = object(account, "model");
    std::string result = "<br>" + plain(number(shape, "layers")) + " layers: hidden " + plain(number(shape, "hidden")) +
                         ", heads " + plain(number(shape, "heads")) + ", feed-forward " +
                         plain(number(shape, "feed_forward"));
    if (number(shape, "experts") > 1)
      result += ", " + plain(number(shape, "top_experts")) + " of " + plain(number(shape, "experts")) + " experts";
    return result + "; sequence " + plain(number(shape, "sequence")) + ", vocabulary " +
           plain(number(shape, "vocabulary"));
  }

  /// The layout in words.
  std::string layoutText() const {
    auto count = [](double number, const char *one, const char *many) {
      return plain(number) + " " + (number == 1 ? one : many);
    };
    const json::Object &first = stages.empty() ? account : *stages.front().getAsObject();
    std::string result = count(static_cast<double>(stages.size()), "pipeline stage", "pipeline stages") + ", " +
                         count(number(plan, "microbatches"), "microbatch", "microbatches");
    if (hasLayers())
      result += " of " + count(number(first, "microbatch"), "sequence", "sequences") + " on each device";
    if (stages.size() > 1)
      result += ", schedule " + text(plan, "schedule");
    if (number(plan, "interleave") > 1)
      result += " with " + plain(number(plan, "interleave")) + " chunks of layers in each stage";
    return escaped(result + ", ZeRO level " + text(plan, "zero") + ".");
  }

  /// What a step is spent on, the rest being the program's own.
  void writeTimes() {
    double step = number(account, "seconds"), sum = 0;
    const Part *most = &kTimes[0];
    for (const Part &part : kTimes) {
      sum += number(plan, part.key);
      if (number(plan, part.key) > number(plan, most->key))
        most = &part;
    }
    openSection(os, "limits", "What the step is spent on");
    os << "<p>Most of it is <b>" << most->label
       << "</b>. <span class=\"note\">Passes are those of the busiest stage, with the traffic inside of them; "
          "what is recomputed is part of the backward ones.</span></p>\n<div class=\"bar\">";
    auto eachTime = [&](auto visit) {
      for (const Part &part : kTimes)
        if (double seconds = number(plan, part.key); seconds > 0)
          visit(part.key, part.label, part.style, seconds);
      if (double rest = step - sum; rest > 1e-9 * step)
        visit("program_seconds", "the training program, once a step", "other", rest);
    };
    eachTime([&](const char *, const char *label, const char *style, double seconds) {
      os << "<i class=\"" << kindClass(style) << "\" style=\"width:" << coordinate(100 * seconds / step)
         << "%\" title=\"" << label << "\"></i>";
    });
    os << "</div>\n<div class=\"legend\">";
    eachTime([&](const char *key, const char *label, const char *style, double seconds) {
      os << "<span class=\"" << kindClass(style) << "\">" << label << " " << figure(key, seconds, secondsText(seconds))
         << ", " << percentText(seconds, step) << "</span>";
    });
    os << "</div>\n</section>\n";
  }

  void writeStages() {
    double most = 0;
    for (const json::Value &stage : stages)
      most = std::max(most, number(*stage.getAsObject(), "busy_seconds"));
    openSection(os, "stages", "Stages");
    os << "<table><tr><th>stage</th><th>devices</th><th>" << (hasLayers() ? "layout</th><th>layers" : "blocks")
       << "</th>" << (hasLayers() ? "<th>recomputed</th>" : "")
       << "<th class=\"n\">busy</th><th></th><th class=\"n\">memory</th><th class=\"n\">of a device</th></tr>\n";
    for (auto [index, stage] : llvm::enumerate(stages))
      writeStage(*stage.getAsObject(), index, most);
    os << "</table>\n";
    if (!hasLayers())
      for (auto [index, stage] : llvm::enumerate(stages))
        writeBlocks(*stage.getAsObject(), index);
    os << "</section>\n";
  }

  void writeStage(const json::Object &stage, size_t index, double most) {
    double busy = number(stage, "busy_seconds"), memory = number(stage, "memory_bytes");
    os << "<tr><td>" << index << "</td><td class=\"op\">" << ranksOf(stage) << "</td><td>";
    if (hasLayers())
      os << waysText(stage) << "</td><td>" << layersText(stage) << "</td><td>" << recomputedText(stage);
    else
      os << list(stage, "blocks").size();
    os << "</td><td class=\"n\">" << figure("busy_seconds", busy, secondsText(busy))
       << "</td><td><span class=\"meter\"><i class=\"k-compute\" style=\"width:"
       << coordinate(most > 0 ? 100 * busy / most : 0) << "%\"></i></span></td><td class=\"n\">"
       << figure("stage_memory_bytes", memory, bytesText(memory)) << "</td><td class=\"n\">"
       << percentText(memory, number(account, "device_bytes")) << "</td></tr>\n";
  }

  static std::string waysText(const json::Object &stage) {
    std::string result = "tp " + plain(number(stage, "tp")) + ", dp " + plain(number(stage, "dp"));
    for (const char *key : {"cp", "ep"})
      if (number(stage, key) > 1)
        result += std::string(", ") + key + " " + plain(number(stage, key));
    return result;
  }

  /// "12: 0–5, 24–29".
  static std::string layersText(const json::Object &stage) {
    std::string ranges;
    double count = 0;
    for (const json::Value &value : list(stage, "layers")) {
      const json::Array &range = *value.getAsArray();
      double first = range[0].getAsNumber().value_or(0), layers = range[1].getAsNumber().value_or(0);
      count += layers;
      if (layers > 0)
        ranges += (ranges.empty() ? "" : ", ") + plain(first) + (layers > 1 ? "–" + plain(first + layers - 1) : "");
    }
    return plain(count) + ": " + ranges;
  }

  static std::string recomputedText(const json::Object &stage) {
    const json::Object &layers = object(stage, "recomputed");
    auto chunks = static_cast<double>(list(stage, "layers").size());
    std::string result;
    for (auto [key, words] : {std::pair("full", " whole"), std::pair("selective", " attention scores")})
      if (double count = number(layers, key) * chunks; count > 0)
        result += (result.empty() ? "" : ", ") + plain(count) + words;
    return result.empty() ? "none" : result;
  }

  /// The blocks of a stage in order, those that are split alike as one line.
  void writeBlocks(const json::Object &stage, size_t index) {
    const json::Array &blocks = list(stage, "blocks");
    os << "<h3>Stage " << index << "</h3>\n<table><tr><th>blocks</th><th>operators</th><th>spread</th></tr>\n";
    for (size_t i = 0, next = 0; i < blocks.size(); i = next) {
      const json::Object &first = *blocks[i].getAsObject();
      for (next = i + 1; next < blocks.size() && text(*blocks[next].getAsObject(), "split") == text(first, "split");)
        ++next;
      os << "<tr><td><code>" << escaped(text(first, "name")) << "</code>";
      if (next > i + 1)
        os << " to <code>" << escaped(text(*blocks[next - 1].getAsObject(), "name")) << "</code>";
      os << "</td><td>" << escaped(next > i + 1 ? std::to_string(next - i) + " blocks" : text(first, "operators"))
         << "</td><td>" << escaped(text(first, "split")) << "</td></tr>\n";
    }
    os << "</table>\n";
  }

  void writeOthers() {
    const json::Array &others = list(account, "runners_up");
    openSection(os, "alternatives", "Next best plans");
    if (others.empty()) {
      os << "<p>There is no other, with what was forced and with the memory of the devices.</p>\n</section>\n";
      return;
    }
    os << "<p class=\"note\">"
       << (hasLayers() ? "The best of each other way to share the devices out"
                       : "The best with other microbatches or numbers of stages");
    if (account.get("layouts"))
      os << "; " << plain(number(account, "layouts")) << " layouts were told apart, "
         << plain(number(account, "priced")) << " of them simulated";
    os << ".</p>\n<table><tr><th>layout</th><th class=\"n\">step</th><th class=\"n\">longer by</th><th "
          "class=\"n\">bubble</th><th class=\"n\">memory</th></tr>\n";
    writeOther(plan);
    for (const json::Value &other : others)
      writeOther(*other.getAsObject());
    os << "</table>\n</section>\n";
  }

  void writeOther(const json::Object &other) {
    double best = number(account, "seconds"), seconds = number(other, "seconds");
    os << "<tr><td><code>" << escaped(text(other, "text")) << "</code></td><td class=\"n\">"
       << figure("plan_seconds", seconds, secondsText(seconds)) << "</td><td class=\"n\">"
       << (&other == &plan ? "chosen" : percentText(seconds - best, best)) << "</td><td class=\"n\">"
       << percentText(number(other, "bubble_seconds"), seconds) << "</td><td class=\"n\">"
       << bytesText(number(other, "memory_bytes")) << "</td></tr>\n";
  }

  const json::Object &account, &plan;
  const json::Array &stages;
  StringRef model;
  raw_ostream &os;
};

} // namespace

std::string trainingPage(const json::Object &account, StringRef model) {
  std::string body;
  llvm::raw_string_ostream os(body);
  TrainingWriter(account, model, os).run();
  return page("Training " + model.str() + " on " + plain(number(account, "devices")) + " devices", body);
}

} // namespace mpopt::report
