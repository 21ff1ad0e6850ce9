// The small OWL-ViT of tests/golden, for the tests of the rewards that ask it.
#pragma once
#include <torch/types.h>

#include <memory>

#include <reward_tuner/models/owl_vit.hpp>

#include <tests/reference/golden_reward_models.hpp>

namespace reward_checks {

inline std::shared_ptr<const reward_tuner::OwlVitModel> golden_owl_vit(at::ScalarType type = at::kFloat) {
  const golden::OwlVitFolder folder;
  auto owl = reward_tuner::OwlVitModel::load(folder.path);
  owl->to(type);
  return owl;
}

}  // namespace reward_checks
