// The files of examples/recipes say what the functions of recipes/ say, field by field, read as rt-tune reads them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <cstdint>
#include <fstream>
#include <limits>
#include <set>
#include <string>
#include <type_traits>
#include <variant>
#include <vector>

#include <CLI/CLI.hpp>

#include <reward_tuner/recipes/b2_diffurl.hpp>
#include <reward_tuner/recipes/ddpo.hpp>
#include <reward_tuner/recipes/diffexp.hpp>
#include <reward_tuner/recipes/dpok.hpp>
#include <reward_tuner/recipes/drtune.hpp>
#include <reward_tuner/recipes/lsrl.hpp>
#include <reward_tuner/run/options_json.hpp>

#include <examples/shared/defaults.hpp>
#include <examples/shared/direct_method.hpp>
#include <examples/shared/run_options.hpp>
#include <examples/shared/sampled_method.hpp>
#include <examples/shared/settings_table.hpp>
#include <examples/tune/config_file.hpp>
#include <examples/tune/flags.hpp>

namespace recipe_files_test {
namespace {

using namespace rt_shared;
namespace recipes = rt::recipes;

std::filesystem::path folder() { return std::filesystem::path(REWARD_TUNER_SOURCE_DIR) / "examples" / "recipes"; }

/// The settings of a file as rt-tune has them at the start of a run.
TuneSettings read(const std::string& name) {
  const std::filesystem::path file = folder() / (name + ".toml");
  std::ifstream text(file);
  REQUIRE(text.good());
  std::vector<std::string> flags = rt_tune::flags_from_settings(text, {}, file.string());
  flags.insert(flags.end(), {"--model=m", "--out=o"});
  if (std::find(flags.begin(), flags.end(), "--regularizer=pretraining") != flags.end())
    flags.emplace_back("--pretraining-data=d");
  TuneSettings s;
  CLI::App app;
  rt_tune::add_flags(app, settings_table(), s);
  std::reverse(flags.begin(), flags.end());
  app.parse(flags);
  check_settings(s, method_entry(s.method));
  complete(s, method_entry(s.method), false);
  return s;
}

/// Options of one type: every field, by the list that a resume compares too.
template <class Options>
void same(const Options& file, const Options& own) {
  CHECK(rt::options_json(file) == rt::options_json(own));
}

void same(const rt::AnySamplerOptions& file, const rt::DdimOptions& own) {
  CHECK(file.name == rt::Ddim::kName);
  CHECK(file.num_steps == own.num_steps);
  CHECK(file.guidance == own.guidance);
  CHECK(file.eta == own.eta);
  // what AnySampler leaves to the model
  CHECK(own.spacing == rt::DdimOptions{}.spacing);
  CHECK(own.final_alpha_one == rt::DdimOptions{}.final_alpha_one);
  CHECK(own.clipping.has_value() == rt::DdimOptions{}.clipping.has_value());
  CHECK(own.use_clipped_output == rt::DdimOptions{}.use_clipped_output);
}
void same(const rt::AnySamplerOptions& file, const rt::DdpmOptions& own) {
  CHECK(file.name == rt::Ddpm::kName);
  CHECK(file.num_steps == own.num_steps);
  CHECK(file.guidance == own.guidance);
  CHECK(own.spacing == rt::DdpmOptions{}.spacing);
  CHECK(own.variance == rt::DdpmOptions{}.variance);
  CHECK(own.clipping.has_value() == rt::DdpmOptions{}.clipping.has_value());
}

void same(const rt::AnySamplerOptions& file, const rt::DpmSolverOptions& own) {
  CHECK(file.name == (own.noise.value_or(false) ? rt::AnySampler::kSdeName : rt::DpmSolver::kName));
  rt::DpmSolverOptions said{.num_steps = file.num_steps,
                            .guidance = file.guidance,
                            .noise = own.noise,
                            .order = file.order,
                            .type = file.type,
                            .spacing = file.spacing,
                            .levels = file.levels};
  CHECK(rt::options_json(said) == rt::options_json(own));
}

void same_objective(const TuneSettings& s, const rt::DirectGradientOptions& own) {
  CHECK(s.loss_scale == own.scale);
  CHECK(s.loss == own.loss);
  CHECK(s.loss_target == own.target);
}
void same_objective(const TuneSettings& s, const rt::ClippedRatioOptions& own) {
  CHECK(s.clip_range == own.clip);
  CHECK(s.clip_nats == own.clip_nats);
}
void same_objective(const TuneSettings&, const rt::ReinforceOptions& own) { CHECK(own.importance_weighted); }
void same_objective(const TuneSettings& s, const rt::KlRegularizedOptions& own) {
  CHECK(s.dpok_reward_weight == own.reward_weight);
  CHECK(s.dpok_kl_weight == own.kl_weight);
  CHECK(s.clip_range == own.clip);
  CHECK(s.clip_nats == own.clip_nats);
  CHECK(s.value_baseline == own.value.enabled);
  CHECK(own.value.learning_rate == rt::ValueBaselineOptions{}.learning_rate);
  CHECK(own.value.steps == rt::ValueBaselineOptions{}.steps);
  CHECK(own.value.batch == rt::ValueBaselineOptions{}.batch);
  CHECK_FALSE(own.pessimistic);
}
void same_objective(const TuneSettings& s, const rt::PreferenceOptions& own) {
  CHECK(s.beta == own.beta);
  CHECK(s.preference_reference == own.reference);
}
void same_objective(const TuneSettings& s, const rt::RewardWeightedOptions& own) {
  CHECK(s.weighting == own.weighting);
  CHECK(s.temperature == own.temperature);
  CHECK(s.best == own.best);
  CHECK((s.method == "reward-weighted") == own.frozen);
  CHECK(s.noisings == own.noisings);
}

void same(const TuneSettings& s, const rt::NoRegularizerOptions&) { CHECK(s.regularizer == RegularizerName::kNone); }
void same(const TuneSettings& s, const rt::PretrainingLossOptions& own) {
  CHECK(s.regularizer == RegularizerName::kPretraining);
  CHECK(s.pretraining_weight == own.weight);
  CHECK(s.pretraining_batch == own.batch);
  CHECK(s.pretraining_mode == own.mode);
  CHECK(s.pretraining_dropout == own.dropout);
}

template <class Recipe>
void same_run(const TuneSettings& s, const Recipe& own) {
  const rt::AdamW8bitOptions adamw = optimizer_options(s);
  CHECK(adamw.smallest == std::numeric_limits<std::int64_t>::max());  // AdamW
  CHECK(adamw.learning_rate == own.adamw.learning_rate);
  CHECK(adamw.beta1 == own.adamw.beta1);
  CHECK(adamw.beta2 == own.adamw.beta2);
  CHECK(adamw.epsilon == own.adamw.epsilon);
  CHECK(adamw.weight_decay == own.adamw.weight_decay);
  CHECK(s.full == !own.lora.has_value());
  if (own.lora) {
    CHECK(s.rank == own.lora->rank);
    CHECK(s.alpha == own.lora->alpha);
    CHECK(s.targets == own.lora->targets);
  }
  CHECK(s.batch == own.batch);
  CHECK(s.random_shift == own.random_shift);
  CHECK(s.saved_strength == own.saved_strength);
  CHECK(s.was_given("updates") == own.updates.has_value());
  if (own.updates) CHECK(s.updates == *own.updates);
}

std::set<std::string>& compared() {
  static std::set<std::string> names;
  return names;
}

/// What any recipe has. `method` is rt-tune's name.
template <class Recipe>
TuneSettings check_common(const std::string& name, const std::string& method, const Recipe& own) {
  CAPTURE(name);
  compared().insert(name);
  TuneSettings s = read(name);
  CHECK(s.method == method);
  same(sampler_options(s), own.sampler);
  same(std::get<std::remove_cvref_t<decltype(own.exploration)>>(exploration_options(s)), own.exploration);
  same_objective(s, own.objective);
  same(s, own.regularizer);
  same(engine_options(s), own.engine);
  same_run(s, own);
  return s;
}

template <class Recipe>
void check_direct(const std::string& name, const std::string& method, const Recipe& own) {
  const TuneSettings s = check_common(name, method, own);
  CHECK(s.gradient_stop == StopName::kOwn);
  same(std::get<std::remove_cvref_t<decltype(own.steps)>>(direct_steps(s, method_entry(method))), own.steps);
}
template <class Recipe>
void check_log_prob(const std::string& name, const std::string& method, const Recipe& own) {
  const TuneSettings s = check_common(name, method, own);
  same(round_options(s), own.objective.round);
  same(std::get<std::remove_cvref_t<decltype(own.steps)>>(sampled_steps(s, method_entry(method))), own.steps);
  same(std::get<std::remove_cvref_t<decltype(own.advantage)>>(advantage_options(s)), own.advantage);
  same(std::get<std::remove_cvref_t<decltype(own.branching)>>(branching_options(s)), own.branching);
}
template <class Recipe>
void check_denoising(const std::string& name, const std::string& method, const Recipe& own) {
  const TuneSettings s = check_common(name, method, own);
  same(round_options(s), own.objective.round);
}

TEST_CASE("recipes: the file of rt-tune says what the function says") {
  check_direct("drtune_sd15", "drtune", recipes::drtune_sd15());
  check_direct("drtune_sd21", "drtune", recipes::drtune_sd21());
  check_direct("drtune_fdxl", "drtune", recipes::drtune_fdxl());
  check_direct("draft_sd15", "draft", recipes::draft_sd15());
  check_direct("draft_lv_sd15", "draft-lv", recipes::draft_lv_sd15());
  check_direct("refl_sd15", "refl", recipes::refl_sd15());
  check_direct("alignprop_sd15", "alignprop", recipes::alignprop_sd15());
  check_direct("diffexp_alignprop", "alignprop", recipes::diffexp_alignprop());
  check_direct("refl", "refl", recipes::refl());
  check_direct("draft_lv_sd2", "draft-lv", recipes::draft_lv_sd2());
  check_log_prob("ddpo", "ddpo", recipes::ddpo());
  check_log_prob("dpok", "dpok", recipes::dpok());
  check_log_prob("b2_diffurl", "b2-ddpo", recipes::b2_diffurl());
  check_log_prob("b2_pg", "b2-pg", recipes::b2_pg());
  check_log_prob("b2_dpok", "b2-dpok", recipes::b2_dpok());
  check_log_prob("b2_dpo", "b2-dpo", recipes::b2_dpo());
  check_log_prob("diffexp_ddpo", "ddpo", recipes::diffexp_ddpo());
  check_log_prob("lsrl", "lsrl", recipes::lsrl());
  check_denoising("raft", "raft", recipes::raft());
  check_denoising("reward_weighted", "reward-weighted", recipes::reward_weighted());
  for (const auto& file : std::filesystem::directory_iterator(folder()))
    if (file.path().extension() == ".toml")  // tiny/ has none of a paper
      CHECK_MESSAGE(compared().contains(file.path().stem().string()), file.path().string(), " is no recipe's");
}

}  // namespace
}  // namespace recipe_files_test
