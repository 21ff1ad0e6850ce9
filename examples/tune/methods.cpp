// The table of methods that rt-tune knows by name. A new method is one line here and one file tune_<name>.cpp.
#include "methods.hpp"

namespace rt_tune {

const std::vector<MethodEntry>& method_entries() {
  static const std::vector<MethodEntry> table = {
      {"drtune", "spread steps, gradient stopped at the network's input, early stop (Wu et al. 2024)", tune_drtune},
      {"draft", "full gradient through the last K steps (Clark et al. 2024)", tune_draft},
  };
  return table;
}

}  // namespace rt_tune
