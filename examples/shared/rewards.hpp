// Rewards by name: what --reward understands.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include <reward_tuner/rewards/any_reward.hpp>
#include <reward_tuner/run/judges.hpp>

#include "tune_settings.hpp"

namespace rt_shared {

/// One line of `rt-tune tune --help`.
struct RewardEntry {
  std::string_view name, summary;
};
const std::vector<RewardEntry>& reward_entries();

/// The reward that settings.rewards ("name" or "name:weight", several are added) describe.
struct ChosenReward {
  rt::AnyReward reward;
  std::string text;                        ///< "symmetry" or "symmetry:1 + clip_score:0.5"
  std::string black_box;                   ///< name of a part without gradient, or empty
  bool per_group = false;                  ///< a part scores groups of images
  std::vector<std::string> left_out = {};  ///< parts whose models were left out
};
/// What becomes of the models that --reward-model names.
enum class RewardModels {
  kLoaded,
  kLeftOut,  ///< for a plan, which loads nothing: a reward of the pixels stands for each
};
/// `shown` names the list in errors.
ChosenReward make_reward(const TuneSettings& settings, const std::string& shown = "--reward",
                         RewardModels models = RewardModels::kLoaded);

/// The rewards of these names, each by itself. Errors, in which `shown` names the list: an unknown name, a weight, a
/// name twice.
std::vector<rt::Judge> named_rewards(const TuneSettings& settings, const std::vector<std::string>& names,
                                     const std::string& shown);

/// Throws unless each of settings.judges is a reward's name and none of `trained`, lists of "name" or "name:weight".
void check_judges(const TuneSettings& settings, const std::vector<std::vector<std::string>>& trained);

/// The rewards that settings.judges name. `trained`: the lists of "name" or "name:weight" that the run trains.
/// Errors: those of named_rewards, a reward that is trained.
std::vector<rt::Judge> make_judges(const TuneSettings& settings, const std::vector<std::vector<std::string>>& trained);

/// The judges whose numbers decide what the run saves: the one that settings.keep_best names, or none.
std::vector<std::string> deciding_judges(const TuneSettings& settings);

/// What --reward-model says about a reward; empty if nothing. Errors: one that is not NAME=PATH, a path without
/// anything.
std::filesystem::path reward_model(const TuneSettings& settings, const std::string& name);

/// Throws unless each --reward-model is of a reward that has a model of its own and is among `rewards`, lists as above,
/// and names it once.
void check_reward_models(const TuneSettings& settings, const std::vector<std::vector<std::string>>& rewards);

/// Tells the models of rewards apart by what their files hold, wherever they are, and servers by what they are asked:
/// name -> digest. `deciding`: lists as above of the rewards that decide a run's numbers.
nlohmann::json reward_model_digests(const TuneSettings& settings,
                                    const std::vector<std::vector<std::string>>& deciding);

}  // namespace rt_shared
