#include "Routes.h"
namespace mpopt::search {
Outcome searchWidely(const Model &model, Budget &budget, uint64_t seed) {
  return {};
}
} // namespace mpopt::search
