#ifndef MPOPT_SUPPORT_BLOCKNAMES_H
#define MPOPT_SUPPORT_BLOCKNAMES_H

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace mpopt {

/// What all names begin with, up to a separator ('/', '.' or ':'): "/encoder/layer.0".
inline std::string_view commonPath(std::span<const std::string> names) {
  if (names.empty())
    return {};
  std::string_view common = names[0];
  for (std::string_view name : names.subspan(1)) {
    size_t length = std::mismatch(common.begin(), common.end(), name.begin(), name.end()).first - common.begin();
    if (length < common.size())
      common = common.substr(0, common.substr(0, length).find_last_of("/.:") + 1);
  }
  while (!common.empty() && std::string_view("/.:").find(common.back()) != std::string_view::npos)
    common.remove_suffix(1);
  return common;
}

/// What to call the operators with these names: their common path where it tells something, otherwise the first and the last of them.
inline std::string blockName(std::span<const std::string> names) {
  std::string_view path = commonPath(names);
  if (path.size() > 1)
    return std::string(path);
  return names.empty() ? "" : names.size() == 1 ? names[0] : names.front() + " ... " + names.back();
}

} // namespace mpopt

#endif // MPOPT_SUPPORT_BLOCKNAMES_H
