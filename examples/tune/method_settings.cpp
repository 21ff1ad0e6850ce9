#include "method_settings.hpp"

#include <cmath>
#include <fstream>
#include <optional>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/round_options.hpp>

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

/// Which methods know a flag: names and traits of methods.hpp. Flags that every method knows are not here.
struct FlagRule {
  const char* flag;
  std::vector<std::string_view> known_to;
};
const std::vector<FlagRule>& flag_rules() {
  static const std::vector<FlagRule> rules = {
      {"--early-stop", {"drtune", "refl"}},
      {"--trained-steps", {"drtune", "draft", "alignprop", "lsrl"}},
      {"--noises", {"draft-lv"}},
      {"--horizon", {"alignprop"}},
      {"--gradient-stop", {"gradient"}},
      {"--loss", {"gradient"}},
      {"--loss-target", {"gradient"}},
      {"--loss-scale", {"gradient"}},
      {"--memory", {"gradient"}},
      {"--replay-batch", {"gradient"}},
      {"--samples-per-prompt", {"sampled"}},
      {"--epochs", {"sampled"}},
      {"--updates-per-epoch", {"sampled"}},
      {"--rows", {"sampled"}},
      {"--step-per-timestep", {"log-prob"}},
      {"--log-prob", {"log-prob"}},
      {"--clip-range", {"clip"}},
      {"--advantage", {"log-prob"}},
      {"--branches", {"log-prob"}},
      {"--branch-threshold", {"log-prob"}},
      {"--ratio-target", {"log-prob"}},
      {"--window-start", {"window"}},
      {"--beta", {"pairs"}},
      {"--preference-reference", {"pairs"}},
      {"--dpok-reward-weight", {"dpok"}},
      {"--dpok-kl-weight", {"dpok"}},
      {"--no-value-baseline", {"dpok"}},
      {"--weighting", {"reward-weighted"}},
      {"--temperature", {"reward-weighted"}},
      {"--best", {"denoising"}},
      {"--noisings", {"denoising"}},
      {"--tasks", {"lsrl"}},
  };
  return rules;
}

/// What a flag wants of the other settings.
struct FlagNeed {
  const char* flag;
  bool (*met)(const TuneSettings&, const MethodEntry&);
  const char* wanted;
};
const std::vector<FlagNeed>& flag_needs() {
  using S = const TuneSettings&;
  using M = const MethodEntry&;
  static constexpr auto guides = [](S s, M) { return s.explore == "guidance" || s.explore == "diffexp"; };
  static constexpr auto weighs = [](S s, M) { return s.explore == "prompt" || s.explore == "diffexp"; };
  static constexpr auto explores = [](S s, M) { return s.explore != "none"; };
  static constexpr auto pretrains = [](S s, M) { return s.regularizer == "pretraining"; };
  static const std::vector<FlagNeed> needs = {
      {"--trained-steps", [](S s, M m) { return m.name != "alignprop" || s.horizon == "fixed"; },
       "--horizon fixed with alignprop, which else draws how many"},
      {"--guidance-low", guides, "--explore guidance or diffexp"},
      {"--guidance-threshold", guides, "--explore guidance or diffexp"},
      {"--word-weight-low", weighs, "--explore prompt or diffexp"},
      {"--word-weight-high", weighs, "--explore prompt or diffexp"},
      {"--explore-share", explores, "--explore guidance, prompt or diffexp"},
      {"--ratio-target", explores, "--explore guidance, prompt or diffexp"},
      {"--planned-updates", [](S s, M m) { return s.explore != "none" || m.knows("window"); },
       "--explore, or a method of B2-DiffuRL"},
      {"--branch-threshold", [](S s, M m) { return s.branches.value_or(m.branches) > 1; }, "--branches of 2 or more"},
      {"--temperature", [](S s, M) { return s.weighting == "exponential"; }, "--weighting exponential"},
      {"--best", [](S s, M m) { return m.name == "raft" || s.weighting == "best"; }, "--weighting best"},
      {"--pretraining-data", pretrains, "--regularizer pretraining"},
      {"--pretraining-weight", pretrains, "--regularizer pretraining"},
      {"--pretraining-batch", pretrains, "--regularizer pretraining"},
      {"--pretraining-mode", pretrains, "--regularizer pretraining"},
  };
  return needs;
}

/// "drtune, draft and lsrl".
std::string names_of(const FlagRule& rule) {
  std::vector<std::string_view> names;
  for (const auto& method : method_entries())
    for (const auto word : rule.known_to)
      if (method.knows(word)) {
        names.push_back(method.name);
        break;
      }
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i)
    text += (i == 0 ? "" : i + 1 == names.size() ? " and " : ", ") + std::string(names[i]);
  return text;
}

/// planned_updates of the run that is resumed, so that other --updates do not change its plan.
std::optional<std::int64_t> planned_before(const TuneSettings& s) {
  if (!s.resume) return std::nullopt;
  std::ifstream file(s.out / "config.json");
  const auto config = nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false);
  const nlohmann::json::json_pointer where("/options/planned_updates");
  if (!config.is_object() || !config.contains(where) || !config.at(where).is_number_integer()) return std::nullopt;
  return config.at(where).get<std::int64_t>();
}

}  // namespace

void check_flags(const TuneSettings& s, const MethodEntry& m) {
  for (const auto& rule : flag_rules()) {
    bool known = !s.given.contains(rule.flag);
    for (const auto word : rule.known_to) known = known || m.knows(word);
    REWARD_TUNER_CHECK(known, "[rt-tune] ", rule.flag, " cannot be combined with --method ", m.name, "; it belongs to ",
                       names_of(rule));
  }
  for (const auto& need : flag_needs())
    REWARD_TUNER_CHECK(!s.given.contains(need.flag) || need.met(s, m), "[rt-tune] ", need.flag, " wants ", need.wanted);
  REWARD_TUNER_CHECK(s.regularizer != "pretraining" || !s.pretraining_data.empty(),
                     "[rt-tune] --regularizer pretraining wants --pretraining-data, a folder of captioned images");
  REWARD_TUNER_CHECK(s.regularizer != "kl" || !m.knows("denoising"),
                     "[rt-tune] --regularizer kl cannot be combined with --method ", m.name,
                     ", which trains no sampler steps");
  REWARD_TUNER_CHECK(s.kl_weight >= 0, "[rt-tune] --kl-weight expected a number >= 0, got ", s.kl_weight);
  REWARD_TUNER_CHECK(s.planned_updates >= 0,
                     "[rt-tune] --planned-updates expected a number >= 0 (0: as --updates), got ", s.planned_updates);
  REWARD_TUNER_CHECK(s.branches.value_or(m.branches) >= (m.knows("pairs") ? 2 : 1),
                     "[rt-tune] --branches expected a number >= ", m.knows("pairs") ? 2 : 1, " with --method ", m.name,
                     ", got ", s.branches.value_or(m.branches));
  REWARD_TUNER_CHECK(
      !m.knows("log-prob") || s.sampling.sampler != "ddim" || s.sampling.eta.value_or(1) != 0, "[rt-tune] --method ",
      m.name,
      " learns from the noise of the sampler's steps, got --eta 0: leave --eta away, which means 1, or raise it");
  REWARD_TUNER_CHECK(s.tasks.empty() || !s.given.contains("--reward"),
                     "[rt-tune] --reward cannot be combined with --tasks, whose tables name the rewards");
}

void complete(TuneSettings& s, const MethodEntry& m, std::int64_t latent_numbers, bool per_group) {
  if (s.planned_updates == 0) s.planned_updates = planned_before(s).value_or(s.updates);
  // Zhang et al. 2024, Alg. 1: an optimizer step a timestep, and pre-training with one of its own
  if (m.name == "lsrl") {
    if (!s.given.contains("--step-per-timestep")) s.step_per_timestep = true;
    if (!s.given.contains("--pretraining-mode")) s.pretraining_mode = "alternating";
  }
  if (m.name == "raft") s.weighting = "best";
  if (m.knows("log-prob")) {
    if (s.advantage == "default") s.advantage = m.advantage;
    if (!s.branches) s.branches = m.branches;
    if (!s.sampling.eta && s.sampling.sampler == "ddim") s.sampling.eta = 1;
    // 1.64 nats of the true ratio: what ddpo-pytorch's 1e-4 is of a mean over Stable Diffusion's D = 4*64*64 numbers
    constexpr double kNats = 1.64;
    if (!s.clip_range)
      s.clip_range = s.log_prob == "sum" ? 1 - std::exp(-kNats) : kNats / static_cast<double>(latent_numbers);
  }
  const bool equal_in_group = per_group && s.rewards.size() == 1 && !s.leave_one_out;  // parity alone
  if (m.knows("log-prob") && equal_in_group) {
    REWARD_TUNER_CHECK(s.advantage != "per-group",
                       "[rt-tune] --reward parity gives all images of a prompt one reward, of which --advantage "
                       "per-group learns nothing: choose per-batch, or --leave-one-out");
    REWARD_TUNER_CHECK(*s.branches == 1,
                       "[rt-tune] --reward parity gives all branches of an image one reward, so that none is best: "
                       "choose --branches 1, or --leave-one-out");
  }
  if (s.samples_per_prompt == 0 && m.knows("sampled")) {
    const bool compares = per_group || s.weighting == "best" || s.advantage == "per-group";
    // branches of an image are a group already
    s.samples_per_prompt = compares && s.branches.value_or(1) == 1 ? rt::kComparedImages : 1;
  }
}

bool needs_reference(const TuneSettings& s, const MethodEntry& m) {
  return s.regularizer == "kl" || m.name == "reward-weighted" || (m.knows("dpok") && s.dpok_kl_weight > 0) ||
         (m.knows("pairs") && s.preference_reference == "untuned");
}

nlohmann::json deciding_method_options(const TuneSettings& s, const MethodEntry& m) {
  nlohmann::json options = nlohmann::json::object();
  if (m.knows("sampled"))
    options["round"] = {{"samples_per_prompt", s.samples_per_prompt},
                        {"epochs", s.epochs},
                        {"updates_per_epoch", s.updates_per_epoch},
                        {"rows", s.rows}};
  if (m.knows("log-prob")) {
    options["round"].update(
        {{"step_per_timestep", s.step_per_timestep}, {"log_prob", s.log_prob}, {"ratio_target", s.ratio_target}});
    options["advantage"] = s.advantage;
    options["branching"] = {{"branches", *s.branches}};
    if (*s.branches > 1) options["branching"]["threshold"] = s.branch_threshold;
  }
  if (m.knows("clip")) options["clip_range"] = *s.clip_range;
  if (m.knows("window")) options["window_start"] = s.window_start;
  if (m.knows("window") || s.explore != "none") options["planned_updates"] = s.planned_updates;
  if (m.knows("pairs")) options["preference"] = {{"beta", s.beta}, {"reference", s.preference_reference}};
  if (m.knows("dpok"))
    options["dpok"] = {{"reward_weight", s.dpok_reward_weight},
                       {"kl_weight", s.dpok_kl_weight},
                       {"value_baseline", !s.no_value_baseline}};
  if (m.knows("denoising"))
    options["denoising"] = {
        {"weighting", s.weighting}, {"temperature", s.temperature}, {"best", s.best}, {"noisings", s.noisings}};
  if (s.explore != "none")
    options["exploration"] = {{"policy", s.explore},
                              {"share", s.explore_share},
                              {"guidance_low", s.guidance_low},
                              {"guidance_threshold", s.guidance_threshold},
                              {"word_weight_low", s.word_weight_low},
                              {"word_weight_high", s.word_weight_high}};
  return options;
}

}  // namespace rt_tune
