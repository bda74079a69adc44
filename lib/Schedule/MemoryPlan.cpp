#include "mpopt/Schedule/MemoryPlan.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

namespace mpopt::schedule {
namespace {

int64_t aligned(int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

bool overlap(const LiveBuffer &a, const LiveBuffer &b) { return a.first <= b.last && b.first <= a.last; }

int64_t endOf(const LiveBuffer &buffer) { return buffer.offset + aligned(buffer.bytes); }

/// Rounds of moving what lies highest to the front of the order.
constexpr int kRounds = 40;

/// Places buffers one after the other and remembers the best placement.
class Placer {
public:
  explicit Placer(std::vector<LiveBuffer> &buffers)
      : buffers(buffers), bound(livenessBound(buffers)), neighbours(buffers.size()) {
    for (size_t a = 0; a < buffers.size(); ++a)
      for (size_t b = 0; b < a; ++b)
        if (overlap(buffers[a], buffers[b])) {
          neighbours[a].push_back(b);
          neighbours[b].push_back(a);
        }
  }

  int64_t run() {
    using Key = std::function<int64_t(const LiveBuffer &)>;
    const Key bytes = [](const LiveBuffer &b) { return -b.bytes; };
    const Key area = [](const LiveBuffer &b) { return -b.bytes * (b.last - b.first + 1); };
    const Key length = [](const LiveBuffer &b) { return b.first - b.last; };
    const Key start = [](const LiveBuffer &b) { return b.first; };
    for (const auto &[first, second] : {std::pair(bytes, start), std::pair(area, start), std::pair(length, bytes),
                                        std::pair(start, length), std::pair(start, bytes)})
      for (bool bestFit : {false, true})
        if (!done())
          improve(ordered(first, second), bestFit);
    for (size_t i = 0; i < buffers.size(); ++i)
      buffers[i].offset = bestOffsets[i];
    return best;
  }

private:
  bool done() const { return best == bound; }

  std::vector<size_t> ordered(const std::function<int64_t(const LiveBuffer &)> &first,
                              const std::function<int64_t(const LiveBuffer &)> &second) const {
    std::vector<size_t> order(buffers.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::pair(first(buffers[a]), second(buffers[a])) < std::pair(first(buffers[b]), second(buffers[b]));
    });
    return order;
  }

  /// Tries an order, then again with the buffers that end highest first, as long as rounds are left.
  void improve(std::vector<size_t> order, bool bestFit) {
    for (int round = 0; round < kRounds && !done(); ++round) {
      int64_t size = place(order, bestFit);
      if (best < 0 || size < best) {
        best = size;
        bestOffsets.clear();
        for (const LiveBuffer &buffer : buffers)
          bestOffsets.push_back(buffer.offset);
      }
      auto ends = std::stable_partition(order.begin(), order.end(),
                                        [&](size_t index) { return endOf(buffers[index]) == size; });
      if (ends == order.end())
        return;
    }
  }

  /// Each buffer at the lowest gap that holds it, or at the smallest one.
  int64_t place(const std::vector<size_t> &order, bool bestFit) {
    std::vector<bool> isPlaced(buffers.size(), false);
    int64_t size = 0;
    for (size_t index : order) {
      std::vector<std::pair<int64_t, int64_t>> taken;
      for (size_t other : neighbours[index])
        if (isPlaced[other])
          taken.push_back({buffers[other].offset, endOf(buffers[other])});
      std::sort(taken.begin(), taken.end());
      buffers[index].offset = gap(taken, aligned(buffers[index].bytes), bestFit);
      isPlaced[index] = true;
      size = std::max(size, endOf(buffers[index]));
    }
    return size;
  }

  static int64_t gap(const std::vector<std::pair<int64_t, int64_t>> &taken, int64_t need, bool bestFit) {
    int64_t offset = 0, found = -1, foundSize = 0;
    for (auto [begin, end] : taken) {
      int64_t room = begin - offset;
      if (room >= need && (found < 0 || room < foundSize)) {
        found = offset;
        foundSize = room;
        if (!bestFit)
          return found;
      }
      offset = std::max(offset, end);
    }
    return found < 0 ? offset : found;
  }

  std::vector<LiveBuffer> &buffers;
  const int64_t bound;
  std::vector<std::vector<size_t>> neighbours;
  int64_t best = -1;
  std::vector<int64_t> bestOffsets;
};

} // namespace

int64_t planMemory(std::vector<LiveBuffer> &buffers) { return buffers.empty() ? 0 : Placer(buffers).run(); }

int64_t livenessBound(const std::vector<LiveBuffer> &buffers) {
  std::map<int64_t, int64_t> change;
  for (const LiveBuffer &buffer : buffers) {
    change[buffer.first] += aligned(buffer.bytes);
    change[buffer.last + 1] -= aligned(buffer.bytes);
  }
  int64_t live = 0, most = 0;
  for (auto [time, delta] : change)
    most = std::max(most, live += delta);
  return most;
}

} // namespace mpopt::schedule
