// The table of methods that rt-tune knows by name. A new method is one line here and one file tune_<name>.cpp.
#include "methods.hpp"

namespace rt_tune {

const std::vector<MethodEntry>& method_entries() {
  static const std::vector<MethodEntry> table = {
      {"drtune", "spread steps, gradient stopped at the network's input, early stop (Wu et al. 2024)", tune_drtune},
      {"draft", "full gradient through the last K steps (Clark et al. 2024)", tune_draft},
      {"draft-lv", "the last step, at several noises of the result (Clark et al. 2024)", tune_draft_lv},
      {"refl", "one random late step that jumps to the clean picture (Xu et al. 2023)", tune_refl},
      {"alignprop", "full gradient, cut at a random depth (Prabhudesai et al. 2023)", tune_alignprop},
  };
  return table;
}

}  // namespace rt_tune
