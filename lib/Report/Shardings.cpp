#include "Sections.h"
#include "llvm/ADT/StringMap.h"

using llvm::raw_ostream;
using llvm::StringRef;

namespace mpopt::report {
namespace {

/// Blocks of more operators than that are closed at first.
constexpr double kManyOperators = 60;

class ShardingWriter {
public:
  ShardingWriter(const json::Object &account, raw_ostream &os) : account(account), os(os) {
    for (const json::Value &value : list(account, "axes"))
      sizes[keyOf(*value.getAsObject(), text(*value.getAsObject(), "name"))] = number(*value.getAsObject(), "size");
  }

  void run() {
    openSection(os, "shardings", "How every tensor is spread");
    writeAxes();
    writePorts("Inputs", list(account, "inputs"));
    writePorts("Outputs", list(account, "outputs"));
    const json::Array &blocks = list(account, "blocks");
    if (blocks.empty())
      writeOperators("All operators", 0, static_cast<double>(list(account, "tensors").size()));
    for (const json::Value &value : blocks) {
      const json::Object &block = *value.getAsObject();
      double count = number(block, "count");
      std::string name = escaped(text(block, "name"));
      if (count > 1)
        name += " … " + escaped(text(block, "last_name")) + " ×" + plain(count) + ", the first of them";
      writeOperators(name, number(block, "first_operator"), number(block, "operators"));
    }
    os << "</section>\n";
  }

private:
  void writeAxes() {
    if (sizes.empty())
      return;
    os << "<p>The devices " << (list(account, "axes").front().getAsObject()->get("stage") ? "of a stage " : "")
       << "form a mesh; device number = position along the axes, the first the most significant. ";
    std::optional<double> stage;
    for (const json::Value &value : list(account, "axes")) {
      const json::Object &axis = *value.getAsObject();
      if (axis.get("stage") && stage != number(axis, "stage"))
        os << "Stage " << plain(*(stage = number(axis, "stage"))) << ": ";
      os << "<code>" << escaped(text(axis, "name")) << "</code> joins " << plain(number(axis, "size")) << " over "
         << escaped(text(axis, "link")) << "; ";
    }
    os << "a tensor is whole on every device along the axes that its line does not name.</p>\n";
  }

  static std::string shapeText(const json::Array &shape) {
    std::string result;
    for (const json::Value &size : shape)
      result += (result.empty() ? "" : " × ") + plain(size.getAsNumber().value_or(0));
    return result.empty() ? "scalar" : result;
  }

  /// Where each stage has its own mesh, axes of one name are several.
  static std::string keyOf(const json::Object &owner, const std::string &axis) {
    return owner.get("stage") ? plain(number(owner, "stage")) + ":" + axis : axis;
  }

  /// "x1·x2 (4)".
  std::string axesText(const json::Object &owner, const json::Array &axes) const {
    std::string names;
    double ways = 1;
    for (const json::Value &axis : axes) {
      StringRef name = axis.getAsString().value_or("");
      names += (names.empty() ? "" : "·") + name.str();
      ways *= std::max(1.0, sizes.lookup(keyOf(owner, name.str())));
    }
    return names + " (" + plain(ways) + ")";
  }

  /// "dimension 0 over x0 (2), dimension 2 over x1·x2 (4); partial sum over x3 (2)".
  std::string shardingText(const json::Object &tensor) const {
    std::string result;
    for (auto [dim, axes] : llvm::enumerate(list(tensor, "sharding")))
      if (!axes.getAsArray()->empty())
        result += (result.empty() ? "" : ", ") + std::string("dimension ") + std::to_string(dim) + " over " +
                  axesText(tensor, *axes.getAsArray());
    if (const json::Array &partial = list(tensor, "partial"); !partial.empty())
      result += (result.empty() ? "" : "; ") + std::string("partial over ") + axesText(tensor, partial);
    return result.empty() ? "replicated" : result;
  }

  void openTable(StringRef first) {
    os << "<table><colgroup><col style=\"width:34%\"><col style=\"width:17%\"><col style=\"width:17%\"><col "
          "style=\"width:24%\"><col "
          "style=\"width:8%\"></colgroup><tr><th>"
       << first << "</th><th>shape</th><th>on one device</th><th>spread</th><th class=\"n\">bytes</th></tr>\n";
  }

  void writeTensor(const std::string &name, const json::Object &tensor) {
    os << "<tr><td>" << name << "</td><td>" << shapeText(list(tensor, "shape")) << " <span class=\"muted\">"
       << escaped(text(tensor, "type")) << "</span></td><td>" << shapeText(list(tensor, "local_shape")) << "</td><td>"
       << escaped(shardingText(tensor)) << "</td><td class=\"n\">" << bytesText(number(tensor, "local_bytes"))
       << "</td></tr>\n";
  }

  void writePorts(StringRef title, const json::Array &ports) {
    if (ports.empty())
      return;
    os << "<h3>" << title << "</h3>\n";
    openTable("name");
    for (const json::Value &value : ports) {
      const json::Object &port = *value.getAsObject();
      writeTensor("<code>" + escaped(text(port, "name")) + "</code>", port);
    }
    os << "</table>\n";
  }

  /// Weights and results of the operators [first, first + count).
  void writeOperators(const std::string &name, double first, double count) {
    os << "<details" << (count > kManyOperators ? "" : " open") << "><summary><h3>" << name
       << "</h3> <span class=\"muted\">" << operatorsText(count) << "</span></summary>\n";
    auto within = [&](const json::Object &entry) {
      double number = report::number(entry, "operator");
      return number >= first && number < first + count;
    };
    openTable("weight or operator");
    for (const json::Value &value : list(account, "weights"))
      if (const json::Object &weight = *value.getAsObject(); within(weight))
        writeTensor("weight <code>" + escaped(text(weight, "name")) + "</code>", weight);
    for (const json::Value &value : list(account, "tensors"))
      if (const json::Object &tensor = *value.getAsObject(); within(tensor))
        writeTensor(escaped(text(tensor, "op")) + " <code>" + escaped(text(tensor, "node")) + "</code>", tensor);
    os << "</table></details>\n";
  }

  const json::Object &account;
  raw_ostream &os;
  llvm::StringMap<double> sizes;
};

} // namespace

void writeShardings(const json::Object &account, raw_ostream &os) {
  if (account.getArray("tensors"))
    ShardingWriter(account, os).run();
}

} // namespace mpopt::report
