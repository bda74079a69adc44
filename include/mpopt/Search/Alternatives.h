#ifndef MPOPT_SEARCH_ALTERNATIVES_H
#define MPOPT_SEARCH_ALTERNATIVES_H

#include "mpopt/Search/Problem.h"

#include <memory>
#include <span>

namespace mpopt::search {

/// Per node, the group of each strategy; a node without entries has one group.
using Groups = std::vector<std::vector<int32_t>>;

/// Strategies of one group of one node that must not be chosen.
struct Ban {
  int32_t node = 0;
  int32_t group = 0;
};

/// Answers what the best plan would cost without some strategies, many times for one problem. The problem is reduced once, keeping what
/// any ban may ask for, and one elimination serves all questions; each then takes as long as that elimination. A problem that is too wide
/// for that is searched near its best plan.
class Alternatives {
public:
  /// `best` is a plan for the problem. Errors as for solve().
  static Result<Alternatives> make(const Problem &problem, const Groups &groups, const Solution &best);
  Alternatives(Alternatives &&) noexcept;
  Alternatives &operator=(Alternatives &&) noexcept;
  ~Alternatives();

  /// Additions that one answer takes where memory does not bind, about; and at most about twice `solveWork` more where it does.
  double work() const;
  /// Additions that all answers together have taken.
  double spent() const;
  /// A cheapest plan without the banned strategies; it is exact wherever `optimal` is set. Where the memory limit stands against it, a
  /// plan is searched for with `solveWork` additions. Error: no plan is left, or none was found.
  Result<Solution> without(std::span<const Ban> bans, double solveWork) const;

private:
  struct State;
  explicit Alternatives(std::unique_ptr<State> state);
  std::unique_ptr<State> state;
};

} // namespace mpopt::search

#endif // MPOPT_SEARCH_ALTERNATIVES_H
