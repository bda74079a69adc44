#ifndef MPOPT_LIB_SEARCH_METER_H
#define MPOPT_LIB_SEARCH_METER_H

#include <atomic>
#include <chrono>

namespace mpopt::search {

/// Additions per nominal second of one core.
inline constexpr double kWorkPerSecond = 2e9;

/// How much effort was made and how much may be. Counted in additions, so that the same problem gets the same effort on any
/// host; or, for those who want the best answer by some time, read off the clock in units of the same size.
class Meter {
public:
  explicit Meter(double work) : limit(work) {}
  Meter(double seconds, const std::atomic<bool> *stop)
      : limit(seconds * kWorkPerSecond), timed(true), stop(stop), start(std::chrono::steady_clock::now()) {}

  void spend(double work) { done += work; }
  double now() const {
    if (!timed)
      return done;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() * kWorkPerSecond;
  }
  double end() const { return limit; }
  /// The point at which `share` of what is left will be gone.
  double until(double share) const { return now() + share * (limit - now()); }
  bool over() const { return stopped() || now() >= limit; }
  bool past(double point) const { return over() || now() >= point; }

private:
  bool stopped() const { return stop && stop->load(std::memory_order_relaxed); }

  double limit, done = 0;
  bool timed = false;
  const std::atomic<bool> *stop = nullptr;
  std::chrono::steady_clock::time_point start;
};

} // namespace mpopt::search

#endif // MPOPT_LIB_SEARCH_METER_H
