#include "mpopt/Search/ContestFormat.h"

#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
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
  std::string text;
  std::vector<char> buffer(1 << 20);
  int count = 0;
  while ((count = gzread(file.get(), buffer.data(), unsigned(buffer.size()))) > 0)
    text.append(buffer.data(), size_t(count));
  if (count < 0)
    return error("'" + path + "' is not a whole gzip file");
  return text;
}

Status writeAll(const std::string &path, const std::string &text) {
  GzHandle file(gzopen(path.c_str(), path.ends_with(".gz") ? "wb" : "wbT"));
  bool good = file && gzwrite(file.get(), text.data(), unsigned(text.size())) == int(text.size());
  if (good && gzclose(file.release()) == Z_OK)
    return {};
  return error("cannot write '" + path + "'; check that its folder exists and can be written");
}

double costOf(const json &value) {
  double cost = value.get<double>();
  return cost >= kContestForbidden ? kForbidden : cost;
}

json jsonOf(double cost) {
  if (cost == kForbidden)
    return int64_t(1000000000000000000);
  // Integers stay integers, as the contest's own evaluator reads them.
  if (std::abs(cost) < 1e15 && cost == std::trunc(cost))
    return int64_t(cost);
  return cost;
}

void readNodes(const json &nodes, Problem &problem) {
  const json &costs = nodes.at("costs"), &usages = nodes.at("usages"), &intervals = nodes.at("intervals");
  for (size_t i = 0; i < costs.size(); ++i) {
    Node node;
    node.name = "node_" + std::to_string(i);
    for (const json &cost : costs.at(i))
      node.costs.push_back(costOf(cost));
    const json &interval = intervals.at(i);
    node.usages.push_back(
        {{interval.at(0).get<int64_t>(), interval.at(1).get<int64_t>()}, usages.at(i).get<std::vector<int64_t>>()});
    problem.nodes.push_back(std::move(node));
  }
}

void readEdges(const json &edges, Problem &problem) {
  std::map<std::pair<int32_t, std::vector<double>>, int32_t> known;
  const json &ends = edges.at("nodes"), &costs = edges.at("costs");
  for (size_t i = 0; i < ends.size(); ++i) {
    int32_t from = ends.at(i).at(0).get<int32_t>(), to = ends.at(i).at(1).get<int32_t>();
    int32_t rows = int32_t(problem.nodes.at(size_t(from)).costs.size());
    std::vector<double> values;
    for (const json &cost : costs.at(i))
      values.push_back(costOf(cost));
    int32_t cols = rows > 0 ? int32_t(values.size()) / rows : 0;
    auto [entry, fresh] = known.try_emplace({rows, std::move(values)}, int32_t(problem.matrices.size()));
    if (fresh)
      problem.matrices.push_back({rows, cols, entry->first.second});
    problem.edges.push_back({from, to, entry->second});
  }
}

/// The library throws on a missing key, a wrong type or an index out of range.
Result<Problem> parse(const std::string &text, const std::string &path) try {
  json document = json::parse(text);
  const json &body = document.at("problem");
  Problem problem;
  problem.name = body.value("name", "");
  readNodes(body.at("nodes"), problem);
  readEdges(body.at("edges"), problem);
  if (body.contains("usage_limit") && !body.at("usage_limit").is_null())
    problem.usageLimit = body.at("usage_limit").get<int64_t>();
  return problem;
} catch (const std::exception &exception) {
  return error("'" + path + "' is not a problem of the contest's format: " + exception.what());
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
