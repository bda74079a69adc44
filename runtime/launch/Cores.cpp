#include "launch/Cores.h"

#include <sched.h>

namespace mpopt::runtime {

std::vector<int> coresFor(size_t ranks) {
  cpu_set_t usable;
  if (sched_getaffinity(0, sizeof usable, &usable) != 0)
    return {};
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &usable))
      cores.push_back(core);
  if (ranks < 2 || ranks > cores.size() || 2 * ranks <= cores.size())
    return {};
  cores.resize(ranks);
  return cores;
}

void stayOn(int core) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  sched_setaffinity(0, sizeof only, &only);
}

} // namespace mpopt::runtime
