// A learned reward at its published size, on a case of make_reward.py: the answers, and what they cost.
//   reward_cost CASE_FOLDER ANSWER.safetensors
// Printed as JSON: seconds to load, those of score and gradient (the second of two), and the process's peak, weights
// and one image's graph.
#include <sys/resource.h>
#include <torch/autograd.h>
#include <torch/types.h>

#include <ATen/Parallel.h>

#include <chrono>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_config.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/models/clip.hpp>
#include <reward_tuner/models/owl_vit.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/rewards/clip_score.hpp>
#include <reward_tuner/rewards/hps.hpp>
#include <reward_tuner/rewards/image_reward.hpp>
#include <reward_tuner/rewards/objectness.hpp>
#include <reward_tuner/rewards/pick_score.hpp>
#include <reward_tuner/rewards/reward_result.hpp>

namespace {

using namespace reward_tuner;

AnyReward load(const std::string& name, const std::filesystem::path& folder) {
  if (name == "image_reward") return AnyReward(ImageReward::load(folder));
  if (name == "objectness") return AnyReward(ObjectnessReward(OwlVitModel::load(folder)));
  const auto clip = ClipModel::load(folder);
  if (name == "aesthetic") return AnyReward(AestheticReward(AestheticHead::load(folder / "head.safetensors"), clip));
  if (name == "pickscore") return AnyReward(PickScoreReward(clip));
  if (name == "hps_v2.1") return AnyReward(HpsReward(clip));
  REWARD_TUNER_CHECK(name.starts_with("clip_score"), "[reward_cost] expected a case of make_reward.py, got ", name);
  return AnyReward(ClipScoreReward(clip));
}

class Watch {
 public:
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count(); }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

void run(const std::filesystem::path& folder, const std::filesystem::path& answer) {
  at::set_num_threads(2);
  const nlohmann::json settings = read_json(folder / "case.json");
  const Watch loading;
  const AnyReward reward = load(settings.at("reward").get<std::string>(), folder / "model");
  const double load_seconds = loading.seconds();
  const Tensor images =
      SafetensorsFile::open(folder / "inputs.safetensors").tensor("images").clone().requires_grad_();  // [1,3,H,W]
  Tensor values, gradient;
  double seconds = 0;
  for (int i = 0; i < 2; ++i) {  // the first also prepares kernels
    const Watch scoring;
    values = reward.score({images, settings.at("prompts").get<std::vector<std::string>>()}).values;  // [1]
    gradient = torch::autograd::grad({values.sum()}, {images})[0];                                   // [1,3,H,W]
    seconds = scoring.seconds();
  }
  save_safetensors(answer, {{"score", values.detach()}, {"grad.images", gradient}});
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::cout << nlohmann::json{{"load_seconds", load_seconds},
                              {"seconds", seconds},
                              {"peak_bytes", usage.ru_maxrss * 1024}}
            << '\n';
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "reward_cost CASE_FOLDER ANSWER.safetensors\n";
    return 2;
  }
  try {
    run(arguments[1], arguments[2]);
  } catch (const std::exception& e) {
    std::cerr << "error: " << e.what() << '\n';
    return 1;
  }
  return 0;
}
