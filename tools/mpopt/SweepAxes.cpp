#include "SweepAxes.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <set>

using llvm::StringRef;

namespace mpopt {

static constexpr size_t kMostPoints = 1000;

/// Reads "devices=1,2,4".
static Result<Axis> parseAxis(StringRef text) {
  auto [name, list] = text.split('=');
  Axis axis{name.trim().str(), {}};
  llvm::SmallVector<StringRef> values;
  list.split(values, ',');
  for (StringRef value : values) {
    axis.values.push_back(value.trim().str());
    int64_t size = 0;
    bool good = axis.name == "machine" ? !value.trim().empty() : !value.trim().getAsInteger(10, size) && size >= 1;
    if (axis.name.empty() || !good)
      return error("--sweep " + text.str() +
                   ": write devices=1,2,4, machine=a100-80,h100, or a dimension's name with its sizes, batch=1,8");
  }
  if (axis.name != "machine")
    llvm::sort(axis.values, [](const std::string &a, const std::string &b) { return std::stoll(a) < std::stoll(b); });
  axis.values.erase(std::unique(axis.values.begin(), axis.values.end()), axis.values.end());
  return axis;
}

Result<std::vector<Axis>> parseAxes(const std::vector<std::string> &texts) {
  std::vector<Axis> axes;
  std::set<std::string> names;
  size_t points = 1;
  for (const std::string &text : texts) {
    auto axis = parseAxis(text);
    if (!axis)
      return tl::make_unexpected(axis.error());
    if (!names.insert(axis->name).second)
      return error("--sweep varies '" + axis->name + "' twice");
    points *= axis->values.size();
    if (points > kMostPoints)
      return error("--sweep asks for more than " + std::to_string(kMostPoints) + " plans; vary less at a time");
    axes.push_back(std::move(*axis));
  }
  // Devices are what charts go by.
  for (size_t i = 0; i < axes.size(); ++i)
    if (axes[i].name == "devices")
      std::rotate(axes.begin(), axes.begin() + i, axes.begin() + i + 1);
  return axes;
}

Result<PriceList> parsePrices(const std::vector<std::string> &texts) {
  PriceList prices;
  for (const std::string &text : texts) {
    auto [machine, value] =
        StringRef(text).contains('=') ? StringRef(text).rsplit('=') : std::pair(StringRef(), StringRef(text));
    double price = 0;
    if (value.trim().getAsDouble(price) || !(price >= 0))
      return error("--price " + text + ": write a price per device and hour, 2.5, or one for a machine, h100=2.5");
    prices[machine.trim().str()] = price;
  }
  return prices;
}

} // namespace mpopt
