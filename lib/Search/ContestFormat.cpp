#include "mpopt/Search/ContestFormat.h"
#include "JsonScanner.h"

#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <zlib.h>

namespace mpopt::search {

using nlohmann::json;

namespace {

constexpr double kContestForbidden = 1e18;

struct GzClose {
  void operator()(gzFile file) const { gzclose(file); }
};
using GzHandle = std::unique_ptr<gzFile_s, GzClose>;

/// zlib reads plain files through the same calls.
Result<std::string> readAll(const std::string &path) {
  GzHandle file(gzopen(path.c_str(), "rb"));
  if (!file)
    return error("cannot read '" + path + "'; check the path");
  gzbuffer(file.get(), 1 << 18);
  std::string text(1 << 20, '\0');
  size_t size = 0;
  int count = 0;
  while ((count = gzread(file.get(), text.data() + size, unsigned(std::min<size_t>(text.size() - size, 1 << 30)))) > 0)
    if ((size += size_t(count)) == text.size())
      text.resize(2 * text.size());
  int state = Z_OK;
  gzerror(file.get(), &state);
  if (count < 0 || state != Z_OK)
    return error("'" + path + "' is not a whole gzip file");
  text.resize(size);
  return text;
}

Status writeAll(const std::string &path, const std::string &text) {
  GzHandle file(gzopen(path.c_str(), path.ends_with(".gz") ? "wb" : "wbT"));
  bool good = file && gzwrite(file.get(), text.data(), unsigned(text.size())) == int(text.size());
  if (good && gzclose(file.release()) == Z_OK)
    return {};
  return error("cannot write '" + path + "'; check that its folder exists and can be written");
}

double costOf(double cost) { return cost >= kContestForbidden ? kForbidden : cost; }

json jsonOf(double cost) {
  if (cost == kForbidden)
    return int64_t(1000000000000000000);
  // Integers stay integers, as the contest's own evaluator reads them.
  if (std::abs(cost) < 1e15 && cost == std::trunc(cost))
    return int64_t(cost);
  return cost;
}

/// The file's members, in whatever order they come.
struct Contents {
  std::vector<std::vector<double>> costs;
  std::vector<std::vector<int64_t>> usages;
  std::vector<Interval> intervals;
  std::vector<std::pair<int32_t, int32_t>> ends;
  std::vector<int32_t> lists; ///< Per edge: which of the distinct lists.
  std::vector<std::string_view> distinct;
  std::string name;
  std::optional<int64_t> usageLimit;
  bool hasNodes = false, hasEdges = false;
};

std::vector<double> numbersOf(std::string_view list) {
  std::vector<double> values;
  JsonScanner scanner(list);
  scanner.array([&] { values.push_back(costOf(scanner.number())); });
  return values;
}

std::pair<int64_t, int64_t> pairOf(JsonScanner &scanner) {
  std::vector<int64_t> values;
  scanner.array([&] { values.push_back(scanner.integer()); });
  if (values.size() != 2)
    throw JsonScanner::ScanError("a list of " + std::to_string(values.size()) + " where a pair is wanted");
  return {values[0], values[1]};
}

void readNodes(JsonScanner &scanner, Contents &contents) {
  contents.hasNodes = true;
  scanner.object([&](const std::string &key) {
    if (key == "costs")
      scanner.array([&] { contents.costs.push_back(numbersOf(scanner.numberList())); });
    else if (key == "usages")
      scanner.array([&] {
        std::vector<int64_t> &usages = contents.usages.emplace_back();
        scanner.array([&] { usages.push_back(scanner.integer()); });
      });
    else if (key == "intervals")
      scanner.array([&] {
        auto [first, last] = pairOf(scanner);
        contents.intervals.push_back({first, last});
      });
    else
      scanner.skip();
  });
}

void readEdges(JsonScanner &scanner, Contents &contents) {
  contents.hasEdges = true;
  std::unordered_map<std::string_view, int32_t> known;
  scanner.object([&](const std::string &key) {
    if (key == "nodes")
      scanner.array([&] {
        auto [from, to] = pairOf(scanner);
        auto index = [](int64_t value) { return value == int32_t(value) ? int32_t(value) : -1; };
        contents.ends.emplace_back(index(from), index(to));
      });
    else if (key == "costs")
      scanner.array([&] {
        auto [entry, fresh] = known.try_emplace(scanner.numberList(), int32_t(contents.distinct.size()));
        if (fresh)
          contents.distinct.push_back(entry->first);
        contents.lists.push_back(entry->second);
      });
    else
      scanner.skip();
  });
}

Contents readContents(const std::string &text) {
  Contents contents;
  JsonScanner scanner(text);
  scanner.object([&](const std::string &outer) {
    if (outer != "problem")
      return scanner.skip();
    scanner.object([&](const std::string &key) {
      if (key == "name")
        contents.name = scanner.string();
      else if (key == "nodes")
        readNodes(scanner, contents);
      else if (key == "edges")
        readEdges(scanner, contents);
      else if (key == "usage_limit" && !scanner.null())
        contents.usageLimit = scanner.integer();
      else if (key != "usage_limit")
        scanner.skip();
    });
  });
  scanner.finish();
  if (!contents.hasNodes || !contents.hasEdges)
    throw JsonScanner::ScanError("\"problem\" must have \"nodes\" and \"edges\"");
  if (contents.costs.size() != contents.usages.size() || contents.costs.size() != contents.intervals.size())
    throw JsonScanner::ScanError("\"costs\", \"usages\" and \"intervals\" of the nodes differ in length");
  if (contents.ends.size() != contents.lists.size())
    throw JsonScanner::ScanError("\"nodes\" and \"costs\" of the edges differ in length");
  return contents;
}

Problem problemOf(Contents &contents) {
  Problem problem;
  problem.name = std::move(contents.name);
  problem.usageLimit = contents.usageLimit;
  for (size_t i = 0; i < contents.costs.size(); ++i)
    problem.nodes.push_back({"node_" + std::to_string(i),
                             std::move(contents.costs[i]),
                             {{contents.intervals[i], std::move(contents.usages[i])}}});
  std::map<std::pair<int32_t, int32_t>, int32_t> known; // (list, rows) -> matrix
  for (size_t i = 0; i < contents.ends.size(); ++i) {
    auto [from, to] = contents.ends[i];
    if (from < 0 || size_t(from) >= problem.nodes.size())
      throw JsonScanner::ScanError("edge " + std::to_string(i) + " names a node that does not exist");
    int32_t rows = int32_t(problem.nodes[size_t(from)].costs.size());
    auto [entry, fresh] = known.try_emplace({contents.lists[i], rows}, int32_t(problem.matrices.size()));
    if (fresh) {
      std::vector<double> values = numbersOf(contents.distinct[size_t(contents.lists[i])]);
      int32_t cols = rows > 0 ? int32_t(values.size()) / rows : 0;
      problem.matrices.push_back({rows, cols, std::move(values)});
    }
    problem.edges.push_back({from, to, entry->second});
  }
  return problem;
}

Result<Problem> parse(const std::string &text, const std::string &path) try {
  Contents contents = readContents(text);
  return problemOf(contents);
} catch (const JsonScanner::ScanError &scanError) {
  return error("'" + path + "' is not a problem of the contest's format: " + scanError.what());
}

} // namespace

Result<Problem> readContestFile(const std::string &path) {
  Result<std::string> text = readAll(path);
  if (!text)
    return tl::unexpected<Error>(text.error());
  Result<Problem> problem = parse(*text, path);
  if (!problem)
    return problem;
  if (Status status = check(*problem); !status)
    return error("'" + path + "': " + status.error().message);
  return problem;
}

Status writeContestFile(const Problem &problem, const std::string &path) {
  json costs = json::array(), usages = json::array(), intervals = json::array();
  for (const Node &node : problem.nodes) {
    if (node.usages.size() > 1)
      return error("node '" + node.name +
                   "' has several usage intervals, which the contest's format "
                   "cannot hold");
    json list = json::array();
    for (double cost : node.costs)
      list.push_back(jsonOf(cost));
    costs.push_back(std::move(list));
    UsageComponent usage =
        node.usages.empty() ? UsageComponent{{}, std::vector<int64_t>(node.costs.size())} : node.usages.front();
    usages.push_back(usage.usages);
    intervals.push_back({usage.interval.first, usage.interval.last});
  }
  json ends = json::array(), matrices = json::array();
  for (const Edge &edge : problem.edges) {
    ends.push_back({edge.from, edge.to});
    json list = json::array();
    for (double cost : problem.matrices[edge.matrix].values)
      list.push_back(jsonOf(cost));
    matrices.push_back(std::move(list));
  }
  json body = {{"name", problem.name},
               {"nodes", {{"costs", costs}, {"usages", usages}, {"intervals", intervals}}},
               {"edges", {{"nodes", ends}, {"costs", matrices}}}};
  if (problem.usageLimit)
    body["usage_limit"] = *problem.usageLimit;
  return writeAll(path, json{{"problem", body}}.dump());
}

} // namespace mpopt::search
