// The objects that a prompt names, out of a list of names.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace reward_tuner {

/// The 80 classes of COCO (Lin et al. 2014), which GenEval's prompts are made of.
std::vector<std::string> coco_objects();

/// Those of `objects` that the prompt names, each once, in the prompt's order: whole words in any case, also with an
/// s or es at the end, the longest name first ("hot dog" is no dog). Letters other than ASCII are compared as they are.
std::vector<std::string> named_objects(std::string_view prompt, const std::vector<std::string>& objects);

}  // namespace reward_tuner

#ifndef REWARD_TUNER_COMPILED
#include <reward_tuner/rewards/named_objects.ipp>
#endif
