// The tasks of the lsrl study.
#include "lsrl_tasks.hpp"

#include <vector>

#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/shapes/composition.hpp>
#include <reward_tuner/shapes/hue_parity.hpp>

#include "../pretrain/shape_images.hpp"

namespace rt_reproduce {

namespace rt = reward_tuner;

std::shared_ptr<const rt::CaptionedImages> pretraining_images(int count) {
  rt::Rng rng(7);  // the same images in every cell
  const auto set = rt::pretrain::draw_images(count, rt::Rng(8));
  std::vector<std::string> captions;
  for (const auto& scene : set.scenes)
    captions.push_back(rt::pretrain::caption_text(rt::pretrain::describe(scene, rng), rng));
  return std::make_shared<const rt::CaptionedImages>(set.images, std::move(captions));
}

rt::AnyReward lsrl_reward(std::string_view task, bool leave_one_out, const std::shared_ptr<const rt::ClipModel>& clip) {
  if (task == "clip") return rt::AnyReward(rt::ClipScoreReward(clip));
  if (task == "composition") return rt::AnyReward(rt::shapes::CompositionReward());
  REWARD_TUNER_CHECK(task == "parity", "[rt-reproduce] there is no task named '", task, "'");
  return rt::AnyReward(rt::shapes::HueParityReward({.leave_one_out = leave_one_out}));
}

}  // namespace rt_reproduce
