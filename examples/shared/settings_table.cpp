#include "settings_table.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>

#include <reward_tuner/core/byte_size.hpp>
#include <reward_tuner/run/best_evaluation.hpp>

namespace rt_shared {

namespace {

using S = TuneSettings;
using M = MethodEntry;
using enum SettingRole;

bool solves(const S& s, const M&) { return s.sampler == SamplerName::kDpm || s.sampler == SamplerName::kSdeDpm; }
bool spreads_levels(const S& s, const M&) { return s.sampler != SamplerName::kDdim && s.sampler != SamplerName::kDdpm; }
bool guides(const S& s, const M&) {
  return s.explore == ExplorationName::kGuidance || s.explore == ExplorationName::kDiffexp;
}
bool weighs_words(const S& s, const M&) {
  return s.explore == ExplorationName::kPrompt || s.explore == ExplorationName::kDiffexp;
}
bool explores(const S& s, const M&) { return s.explore != ExplorationName::kNone; }
bool falls(const S& s, const M&) { return s.lr_schedule != rt::LearningRateDecay::kConstant; }
bool plans_updates(const S& s, const M& m) { return explores(s, m) || m.knows("window") || falls(s, m); }
bool counts_steps(const S& s, const M& m) { return m.name != "alignprop" || s.horizon == rt::HorizonDraw::kFixed; }
bool branches(const S& s, const M& m) { return s.branches.value_or(m.branches) > 1; }
bool compares_in_groups(const S& s, const M& m) {
  if (!s.tasks.empty()) return true;  // each has an advantage of its own
  return s.advantage == AdvantageName::kPerGroup ||
         (s.advantage == AdvantageName::kOwn && m.advantage == AdvantageName::kPerGroup);
}
bool softens(const S& s, const M&) { return s.weighting == rt::RewardWeighting::kExponential; }
bool keeps_best(const S& s, const M& m) { return m.name == "raft" || s.weighting == rt::RewardWeighting::kBest; }
bool pulls_back(const S& s, const M&) { return s.regularizer == RegularizerName::kKl; }
bool pretrains(const S& s, const M&) { return s.regularizer == RegularizerName::kPretraining; }
bool keeps_digits(const S& s, const M&) { return !s.full || s.dtype == at::kFloat; }
bool casts_float32(const S& s, const M&) { return !s.autocast || s.dtype == at::kFloat; }
bool scales_gradients(const S& s, const M&) { return s.dtype == at::kHalf; }
bool adapts(const S& s, const M&) { return !s.full; }
bool adapts_text(const S& s, const M&) { return !s.full || s.train_text_encoder == TextEncoders::kNone; }
bool adapts_anew(const S& s, const M&) { return !s.full && s.init_lora.empty(); }
bool goes_on(const S& s, const M&) { return !s.init_lora.empty(); }
bool judges(const S& s, const M&) { return !s.judges.empty(); }
/// Whether one of these is among the rewards or the judges, or tasks have rewards of their own.
bool rewards_by(const S& s, std::initializer_list<std::string_view> names) {
  const auto has = [&](const std::vector<std::string>& rewards) {
    return std::any_of(rewards.begin(), rewards.end(), [&](const std::string& reward) {
      return std::find(names.begin(), names.end(), std::string_view(reward).substr(0, reward.rfind(':'))) !=
             names.end();
    });
  };
  return !s.tasks.empty() || has(s.rewards) || has(s.judges);
}
bool by_symmetry(const S& s, const M&) { return rewards_by(s, {"symmetry"}); }
bool by_jpeg(const S& s, const M&) {
  return rewards_by(s, {"jpeg_error", "jpeg_incompressible", "jpeg_size", "jpeg_size_incompressible"});
}
bool by_aesthetic(const S& s, const M&) { return rewards_by(s, {"aesthetic"}); }
bool by_parity(const S& s, const M&) { return rewards_by(s, {"parity"}); }

std::vector<std::pair<std::string, std::string>> method_names() {
  std::vector<std::pair<std::string, std::string>> names;
  for (const auto& method : method_entries()) names.emplace_back(method.name, method.name);
  return names;
}

/// A row whose last step is made by the methods of Setting.
Setting row(std::string name, const char* group, std::string help, SettingField field) {
  return {.name = std::move(name), .group = group, .help = std::move(help), .field = std::move(field)};
}

/// A way to have the gradients of trained steps, or a budget of bytes.
SettingField memory_field() {
  SettingField f = field(&S::memory, {{"replay", rt::Memory::kReplay}, {"retain", rt::Memory::kRetain}});
  f.names.clear();
  f.expected = "replay, retain or a size with its unit (4GB, 512MiB)";
  f.read = [named = std::move(f.read)](S& s, const std::vector<std::string>& words) {
    if (named(s, words)) return true;
    const auto bytes = words.size() == 1 ? rt::parse_byte_size(words[0]) : std::nullopt;
    if (bytes) s.memory = rt::Memory::budget(*bytes);
    return bytes.has_value();
  };
  f.json = [named = std::move(f.json)](const S& s) {
    return s.memory.way() == rt::Memory::kBudget ? nlohmann::json(rt::byte_size_text(s.memory.bytes())) : named(s);
  };
  return f;
}

void what(SettingsTable& t) {
  const char* group = "What";
  t.push_back(
      row("model", group,
          "Stable Diffusion 1, 2 or XL: a folder as diffusers saves it, or one .safetensors file in the original "
          "layout",
          field(&S::model))
          .with(kRun)
          .shown_as("DIR|FILE")
          .must_be_given());
  t.push_back(row("variant", group,
                  "of the model's weights, such as fp16, where a part has several; default: the plain files, or the "
                  "only variant",
                  field(&S::variant))
                  .with(kNote)
                  .shown_as("NAME"));
  t.push_back(row("tokenizer", group,
                  "a tokenizer folder in place of the model's own; default: that, of one file without config/ CLIP's",
                  field(&S::tokenizer))
                  .shown_as("DIR"));
  t.push_back(row("prediction", group,
                  "what the network of one file predicts, where neither config/ beside it nor the file says; default: "
                  "epsilon, of Stable Diffusion 2 none",
                  field(&S::prediction, {{"epsilon", rt::PredictionType::kEpsilon},
                                         {"v_prediction", rt::PredictionType::kVPrediction}})));
  t.push_back(row("method", group, "the estimator, see below", field(&S::method, method_names())).with(kRun));
  t.push_back(
      row("reward", group, "NAME or NAME:WEIGHT, see below; several are added (repeat the flag)", field(&S::rewards))
          .with(kRun)
          .shown_as("NAME[:W]")
          .in_tasks());
  t.push_back(row("random-shift", group,
                  "training rewards see the image moved left and up by 0 to this many pixels; see docs/rewards.md",
                  field(&S::random_shift))
                  .in_tasks());
  // what decides is what the files hold: tune_command.cpp adds digests to the options
  t.push_back(row("reward-model", group,
                  "the folder or file of a reward's own model, or a server's address, of a --reward or a --judge "
                  "(repeat the flag)",
                  words_field(&S::reward_models))
                  .with(kNote)
                  .shown_as("NAME=PATH"));
  t.push_back(
      row("prompts", group,
          "training prompts: one a line, # begins a comment line; or by the file's ending .json (a list), .jsonl "
          "(an object a line, which is streamed), .csv or .tsv. Required unless every table of --tasks has its "
          "own",
          field(&S::prompts))
          .with(kNote)
          .shown_as("FILE")
          .in_tasks());
  t.push_back(row("prompt-field", group,
                  "key of a prompt's text in .json and .jsonl, name of its column in .csv and .tsv files",
                  field(&S::prompt_field))
                  .with(kNote)
                  .shown_as("NAME")
                  .in_tasks());
  t.push_back(row("stream-prompts", group,
                  "read training prompts as they are drawn, each once an epoch: for files larger than memory",
                  field(&S::stream_prompts))
                  .with(kRun));
  t.push_back(row("eval-prompts", group,
                  "held-out prompts for evaluation; default: the training prompts, of a stream 64",
                  field(&S::eval_prompts))
                  .with(kNote)
                  .shown_as("FILE"));
  t.push_back(row("tasks", group,
                  "lsrl: several tasks on one model, tables [task.NAME] of a TOML file with reward, prompts, batch, "
                  "samples-per-prompt and advantage, and settings as in --config (see examples/tune/lsrl_tasks.toml)",
                  field(&S::tasks))
                  .with(kNote)
                  .of("lsrl")
                  .shown_as("FILE"));
  t.push_back(row("out", group, "run folder to write; must be new or empty unless --resume", field(&S::out))
                  .with(kRun)
                  .shown_as("DIR")
                  .must_be_given());
  t.push_back(row("resume", group, "go on from the newest checkpoint in --out; all deciding options must be as before",
                  field(&S::resume))
                  .with(kRun));
}

void sampling(SettingsTable& t) {
  const char* group = "How images are made";
  t.push_back(row("sampler", group,
                  "of an image. dpm++ is DPM-Solver++ 2M, sde-dpm++ the same with noise; methods on log-probabilities "
                  "need noise: not dpm++ and not euler",
                  field(&S::sampler, {{"ddim", SamplerName::kDdim},
                                      {"ddpm", SamplerName::kDdpm},
                                      {"dpm++", SamplerName::kDpm},
                                      {"sde-dpm++", SamplerName::kSdeDpm},
                                      {"euler", SamplerName::kEuler},
                                      {"euler-ancestral", SamplerName::kEulerAncestral}})));
  t.push_back(row("steps", group, "sampler steps T of an image", field(&S::steps)));
  t.push_back(
      row("guidance", group, "classifier-free guidance scale; 1 or less: the prompt alone", field(&S::guidance)));
  t.push_back(row("eta", group,
                  "ddim: share of noise in a step, 0 (none) to 1 (as ddpm); default: 0, with methods on "
                  "log-probabilities 1",
                  field(&S::eta)));
  t.push_back(row("spacing", group,
                  "spread of the steps over the training steps; default: the model's, or leading for ddim and ddpm, "
                  "linspace for others",
                  field(&S::spacing, {{"default", std::nullopt},
                                      {"leading", rt::TimestepSpacing::kLeading},
                                      {"trailing", rt::TimestepSpacing::kTrailing},
                                      {"linspace", rt::TimestepSpacing::kLinspace}})));
  t.push_back(row("noise-levels", group, "spread of the noise levels; default: the model's, or those of the timesteps",
                  field(&S::noise_levels, {{"default", std::nullopt},
                                           {"timesteps", rt::LevelSpacing::kTimesteps},
                                           {"karras", rt::LevelSpacing::kKarras},
                                           {"exponential", rt::LevelSpacing::kExponential},
                                           {"beta", rt::LevelSpacing::kBeta}}))
                  .wants(spreads_levels, "sampler", "dpm++, sde-dpm++, euler or euler-ancestral"));
  t.push_back(row("solver-order", group,
                  "1 or 2; default: the model's, or 2; of sde-dpm++ with methods on log-probabilities 1",
                  field(&S::solver_order))
                  .wants(solves, "sampler", "dpm++ or sde-dpm++"));
  t.push_back(
      row("solver-type", group, "form of order 2; default: the model's, or midpoint",
          field(&S::solver_type,
                {{"default", std::nullopt}, {"midpoint", rt::SolverType::kMidpoint}, {"heun", rt::SolverType::kHeun}}))
          .wants(solves, "sampler", "dpm++ or sde-dpm++"));
  t.push_back(
      row("negative", group,
          "what guidance pushes away from; default: the empty prompt, or zeros where an SDXL model asks for them",
          field(&S::negative)));
  t.push_back(row("height", group, "of images, in pixels; default: the model's own", field(&S::height)));
  t.push_back(row("width", group, "of images, in pixels; default: the model's own", field(&S::width)));
  t.push_back(row("original-size", group,
                  "what an SDXL model is told of an image's size before it was cropped; default: the images' own",
                  field(&S::original_size))
                  .shown_as("HEIGHTxWIDTH"));
  t.push_back(row("crop", group, "what an SDXL model is told of where the crop began; default: 0x0", field(&S::crop))
                  .shown_as("TOPxLEFT"));
  t.push_back(row("target-size", group, "what an SDXL model is told of the size after it; default: the images' own",
                  field(&S::target_size))
                  .shown_as("HEIGHTxWIDTH"));
  // what decides is what the files hold: tune_command.cpp adds digests to the options
  t.push_back(row("lora", group,
                  "folder or file of a LoRA that is a part of the model, at strength SCALE (default 1); several add up "
                  "(repeat the flag)",
                  words_field(&S::loras))
                  .with(kNote)
                  .shown_as("PATH[:SCALE]"));
}

void gradient(SettingsTable& t) {
  const char* group = "Methods that follow the reward's gradient";
  t.push_back(
      row("trained-steps", group,
          "K, sampler steps that are trained; 0: the method's default (drtune 5, draft 1, lsrl 5), or T if that "
          "is less",
          field(&S::trained_steps))
          .of("drtune draft alignprop lsrl")
          .wants(counts_steps, "horizon", "fixed"));
  t.push_back(row("early-stop", group,
                  "drtune: m, stop up to so many steps early; 0 never; default: 0.4 T. refl: jump from up to so many "
                  "steps before the end; default: 10, or T if that is less",
                  field(&S::early_stop))
                  .of("drtune refl"));
  t.push_back(
      row("gradient-stop", group,
          "stop: no gradient enters the network's input; pass: all of it; default: the method's own (drtune "
          "stop, others pass)",
          field(&S::gradient_stop, {{"default", StopName::kOwn}, {"stop", StopName::kStop}, {"pass", StopName::kPass}}))
          .of("gradient"));
  t.push_back(row("noises", group, "draft-lv: fresh noisings of each image", field(&S::noises)).of("draft-lv"));
  t.push_back(row("horizon", group, "alignprop: how the trained steps are drawn; fixed takes --trained-steps",
                  field(&S::horizon, {{"per-step", rt::HorizonDraw::kPerStep},
                                      {"per-rollout", rt::HorizonDraw::kPerRollout},
                                      {"contiguous", rt::HorizonDraw::kContiguous},
                                      {"fixed", rt::HorizonDraw::kFixed}}))
                  .of("alignprop"));
  t.push_back(row("loss", group, "of the reward r: negative is -r, hinge max(target - r, 0), distance |target - r|",
                  field(&S::loss, {{"negative", rt::RewardLoss::kNegative},
                                   {"hinge", rt::RewardLoss::kHinge},
                                   {"distance", rt::RewardLoss::kDistance}}))
                  .of("gradient"));
  t.push_back(row("loss-target", group, "target of hinge and distance", field(&S::loss_target)).of("gradient"));
  t.push_back(row("loss-scale", group, "factor on the loss", field(&S::loss_scale)).of("gradient"));
}

void sampled(SettingsTable& t) {
  const char* group = "Methods that learn from sampled images";
  t.push_back(
      row("samples-per-prompt", group,
          "images of each prompt an update, reward queries; 0: 1, or 8 where they are compared with one another "
          "(grpo, raft, parity)",
          field(&S::samples_per_prompt))
          .of("sampled")
          .in_tasks());
  t.push_back(row("epochs", group, "passes over an update's images", field(&S::epochs)).of("sampled"));
  t.push_back(
      row("updates-per-epoch", group,
          "optimizer steps a pass, each on an equal share of the images; 0: the method's own, 4 of ddpo, grpo and "
          "b2-ddpo, 5 of dpok and b2-dpok, 1 of others",
          field(&S::updates_per_epoch))
          .of("sampled"));
  t.push_back(row("step-weights", group,
                  "how much each trained sampler step weighs: noise, by c/|b|, so that quiet steps do not drown the "
                  "others; noise-squared; equal, as in the papers (docs/methods.md)",
                  field(&S::step_weights, {{"equal", rt::StepWeights::kEqual},
                                           {"noise", rt::StepWeights::kNoise},
                                           {"noise-squared", rt::StepWeights::kNoiseSquared}}))
                  .of("log-prob"));
  t.push_back(row("skip-last", group, "last sampler steps that are not trained", field(&S::skip_last)).of("log-prob"));
  t.push_back(row("step-per-timestep", group,
                  "one optimizer step for each trained sampler step instead; lsrl does so unless =false or "
                  "--updates-per-epoch says otherwise",
                  field(&S::step_per_timestep))
                  .of("log-prob"));
  t.push_back(row("rows", group,
                  "pairs of image and sampler step in one network call of the training; 0: the images of a micro-batch",
                  field(&S::rows))
                  .of("sampled"));
  t.push_back(row("log-prob", group,
                  "of the D numbers of a latent: mean, as public code has it, or sum, the true log-probability",
                  field(&S::log_prob, {{"mean", rt::LogProbReduction::kMean}, {"sum", rt::LogProbReduction::kSum}}))
                  .of("log-prob"));
  t.push_back(
      row("clip-range", group,
          "how far the ratio of new to old probability may leave 1, of the mean over D numbers the D-th root of the "
          "true ratio; default: as --clip-nats says",
          field(&S::clip_range))
          .of("clip"));
  t.push_back(
      row("clip-nats", group,
          "the same in nats of the true ratio, for a model of any size; default: 1.64, the usual 1e-4 at Stable "
          "Diffusion's D = 16384 (docs/methods.md, \"What 1e-4 means\")",
          field(&S::clip_nats))
          .of("clip"));
  t.push_back(
      row("advantage", group,
          "what a reward is compared with: this update's (per-batch), the prompt's latest 32 (per-prompt), those "
          "of this update's images of the prompt (per-group), the same for each of several rewards before they are "
          "added (per-reward, GDPO), the prompt's in this and the 8 updates before (history); default: the method's "
          "own",
          field(&S::advantage, {{"default", AdvantageName::kOwn},
                                {"per-batch", AdvantageName::kPerBatch},
                                {"per-prompt", AdvantageName::kPerPrompt},
                                {"per-group", AdvantageName::kPerGroup},
                                {"per-reward", AdvantageName::kPerReward},
                                {"history", AdvantageName::kHistory}}))
          .of("log-prob")
          .in_tasks());
  t.push_back(
      row("group-scale", group,
          "whose deviation divides the advantages of per-group: the images' of the prompt, or all of the update",
          field(&S::group_scale, {{"group", rt::GroupScale::kGroup}, {"batch", rt::GroupScale::kBatch}}))
          .of("log-prob")
          .wants(compares_in_groups, "advantage", "per-group"));
  t.push_back(
      row("branches", group,
          "copies of an image from the first trained step on, of which the best and the worst are trained; 1: no "
          "branches; default: 3 with dpo and b2-, else 1",
          field(&S::branches))
          .of("log-prob"));
  t.push_back(row("branch-threshold", group, "advantage, in deviations, from which on they are trained",
                  field(&S::branch_threshold))
                  .of("log-prob")
                  .wants(branches, "branches", "of 2 or more"));
  t.push_back(row("window-start", group,
                  "b2-: last sampler steps trained in the first update, from where the window grows to all; 0: 0.7 T",
                  field(&S::window_start))
                  .of("window"));
  t.push_back(row("beta", group, "dpo, b2-dpo: how strongly the reference holds", field(&S::beta)).of("pairs"));
  t.push_back(row("preference-reference", group, "dpo, b2-dpo: the sampling network, or the untuned one",
                  field(&S::preference_reference, {{"sampling", rt::PreferenceReference::kSampling},
                                                   {"untuned", rt::PreferenceReference::kUntuned}}))
                  .of("pairs"));
  t.push_back(
      row("dpok-reward-weight", group, "dpok, b2-dpok: factor on the policy loss", field(&S::dpok_reward_weight))
          .of("dpok"));
  t.push_back(row("dpok-kl-weight", group, "dpok, b2-dpok: factor on the divergence from the untuned network",
                  field(&S::dpok_kl_weight))
                  .of("dpok"));
  t.push_back(row("value-baseline", group,
                  "dpok, b2-dpok: learn a baseline, true or false; default: true, with branches false",
                  field(&S::value_baseline))
                  .of("dpok"));
  t.push_back(row("weighting", group, "reward-weighted: by what an image weighs; exponential takes --temperature",
                  field(&S::weighting, {{"min-max", rt::RewardWeighting::kMinMax},
                                        {"exponential", rt::RewardWeighting::kExponential},
                                        {"best", rt::RewardWeighting::kBest}}))
                  .of("reward-weighted"));
  t.push_back(row("temperature", group,
                  "reward-weighted with exponential: so much more reward weighs an image e times as much",
                  field(&S::temperature))
                  .of("reward-weighted")
                  .wants(softens, "weighting", "exponential"));
  t.push_back(row("best", group, "raft, reward-weighted: images kept of each prompt", field(&S::best))
                  .of("denoising")
                  .wants(keeps_best, "weighting", "best"));
  t.push_back(row("noisings", group, "raft, reward-weighted: noise levels at which each kept image is denoised, a pass",
                  field(&S::noisings))
                  .of("denoising"));
}

void exploration(SettingsTable& t) {
  const char* group = "Exploration in training rollouts, with any method (DiffExp)";
  const std::string any = "guidance, prompt or diffexp";
  t.push_back(row("explore", group,
                  "none; guidance: a low scale in the noisiest steps; prompt: a random word weighs more; diffexp: both",
                  field(&S::explore, {{"none", ExplorationName::kNone},
                                      {"guidance", ExplorationName::kGuidance},
                                      {"prompt", ExplorationName::kPrompt},
                                      {"diffexp", ExplorationName::kDiffexp}})));
  t.push_back(row("explore-share", group, "share of the planned updates that explore", field(&S::explore_share))
                  .wants(explores, "explore", any));
  t.push_back(row("guidance-low", group, "the low scale; 1 is the prompt alone", field(&S::guidance_low))
                  .wants(guides, "explore", "guidance or diffexp"));
  t.push_back(row("guidance-threshold", group, "steps above this share of T have it", field(&S::guidance_threshold))
                  .wants(guides, "explore", "guidance or diffexp"));
  t.push_back(row("word-weight-low", group, "smallest weight of the word", field(&S::word_weight_low))
                  .wants(weighs_words, "explore", "prompt or diffexp"));
  t.push_back(row("word-weight-high", group, "largest weight of the word", field(&S::word_weight_high))
                  .wants(weighs_words, "explore", "prompt or diffexp"));
  t.push_back(
      row("ratio-target", group,
          "log-probabilities of an explored rollout are taken as it was (explored) or without the exploration "
          "(plain)",
          field(&S::ratio_target, {{"explored", rt::RatioTarget::kExplored}, {"plain", rt::RatioTarget::kPlain}}))
          .of("log-prob")
          .wants(explores, "explore", any));
  t.push_back(row("planned-updates", group,
                  "updates that --explore-share is a share of, in which the window of b2- grows to all steps and over "
                  "which --lr-schedule falls; 0: --updates, or what the resumed run has",
                  field(&S::planned_updates))
                  .with(kRun)
                  .wants(plans_updates, "explore", any + ", a method of B2-DiffuRL or a --lr-schedule that falls"));
}

void regularizer(SettingsTable& t) {
  const char* group = "Regularizer";
  t.push_back(row("regularizer", group,
                  "none; kl: stay near the untuned network; pretraining: go on denoising captioned images",
                  field(&S::regularizer, {{"none", RegularizerName::kNone},
                                          {"kl", RegularizerName::kKl},
                                          {"pretraining", RegularizerName::kPretraining}})));
  t.push_back(row("kl-weight", group, "factor of the kl regularizer beside the reward", field(&S::kl_weight))
                  .wants(pulls_back, "regularizer", "kl"));
  t.push_back(row("pretraining-data", group,
                  "folder of PNG or JPEG images with metadata.jsonl, or with a .txt beside each",
                  field(&S::pretraining_data))
                  .shown_as("DIR")
                  .wants(pretrains, "regularizer", "pretraining"));
  t.push_back(row("pretraining-weight", group, "factor of that loss beside the reward's", field(&S::pretraining_weight))
                  .wants(pretrains, "regularizer", "pretraining"));
  t.push_back(row("pretraining-batch", group, "captioned images an update", field(&S::pretraining_batch))
                  .wants(pretrains, "regularizer", "pretraining"));
  t.push_back(row("pretraining-mode", group, "alternating: a step on each loss; joint: one step on both",
                  field(&S::pretraining_mode,
                        {{"joint", rt::PretrainingMode::kJoint}, {"alternating", rt::PretrainingMode::kAlternating}}))
                  .wants(pretrains, "regularizer", "pretraining"));
  t.push_back(row("pretraining-dropout", group,
                  "share of captions that are left out, so that the unconditional half of guidance stays trained",
                  field(&S::pretraining_dropout))
                  .wants(pretrains, "regularizer", "pretraining"));
}

void rewards(SettingsTable& t) {
  const char* group = "Rewards";
  t.push_back(row("symmetry-deviation", group, "symmetry: spatial, or literal as the paper's equation 6",
                  field(&S::symmetry_deviation,
                        {{"spatial", rt::SymmetryDeviation::kSpatial}, {"literal", rt::SymmetryDeviation::kLiteral}}))
                  .wants(by_symmetry, "reward", "symmetry"));
  t.push_back(row("text-weight", group, "symmetry: weight of a CLIPScore term (needs clip/ in the model folder)",
                  field(&S::text_weight))
                  .wants(by_symmetry, "reward", "symmetry"));
  t.push_back(row("jpeg-quality", group,
                  "jpeg rewards: quality of the JPEG, 1 to 100; default: 50 for jpeg_error and jpeg_incompressible, 95 "
                  "for the sizes",
                  field(&S::jpeg_quality))
                  .wants(by_jpeg, "reward", "of JPEG"));
  // what decides is what the file holds: tune_command.cpp adds a digest to the options
  t.push_back(
      row("aesthetic-head", group, "aesthetic: safetensors with layers.<n>.weight and .bias", field(&S::aesthetic_head))
          .with(kNote)
          .wants(by_aesthetic, "reward", "aesthetic")
          .shown_as("FILE"));
  t.push_back(row("leave-one-out", group,
                  "parity: an image's reward is what it adds to its group's, which else all of them get",
                  field(&S::leave_one_out))
                  .wants(by_parity, "reward", "parity"));
}

void trained(SettingsTable& t) {
  const char* group = "What is trained";
  t.push_back(row("rank", group, "rank of the LoRA", field(&S::rank)).wants(adapts_anew, "full", "false"));
  t.push_back(row("alpha", group, "scale of the LoRA is alpha / rank; 0: alpha = rank", field(&S::alpha))
                  .wants(adapts_anew, "full", "false"));
  t.push_back(
      row("targets", group, "layers with a LoRA: ends of their names, or all-linear, or all", field(&S::targets))
          .wants(adapts_anew, "full", "false"));
  t.push_back(row("train-text-encoder", group,
                  "train a LoRA on a text encoder's attention as well, of the rank and alpha of the UNet's; SDXL has a "
                  "second one; default: none; alone: the first",
                  or_alone(field(&S::train_text_encoder, {{"none", TextEncoders::kNone},
                                                          {"first", TextEncoders::kFirst},
                                                          {"second", TextEncoders::kSecond},
                                                          {"both", TextEncoders::kBoth}}),
                           "first"))
                  .wants(adapts_text, "full", "false"));
  t.push_back(row("saved-strength", group, "strength of the LoRA in the saved file; it trains and is evaluated at 1",
                  field(&S::saved_strength))
                  .with(kNote)
                  .wants(adapts, "full", "false"));
  t.push_back(row("full", group, "train every weight of the UNet instead of a LoRA", field(&S::full))
                  .wants(keeps_digits, "dtype", "float32"));
  t.push_back(row("init-lora", group, "folder or file of a LoRA to train on, with its rank, alpha and targets",
                  field(&S::init_lora))
                  .with(kNote)
                  .wants(adapts, "full", "false")
                  .shown_as("PATH"));
  t.push_back(row("reference", group,
                  "what the untuned network is: the model without that LoRA (base), or with it as it was given (init)",
                  field(&S::reference, {{"base", ReferenceName::kBase}, {"init", ReferenceName::kInit}}))
                  .wants(goes_on, "init-lora", "PATH"));
}

void optimization(SettingsTable& t) {
  const char* group = "Optimization";
  t.push_back(row("updates", group, "updates of the run in all", field(&S::updates)).with(kRun));
  t.push_back(row("minutes", group, "stop tuning after so many minutes; 0: no limit", field(&S::minutes)).with(kRun));
  t.push_back(row("batch", group,
                  "prompts an update; sampled methods draw --samples-per-prompt times --branches images of each",
                  field(&S::batch))
                  .with(kRun)
                  .in_tasks());
  t.push_back(row("micro-batch", group, "prompts at a time, gradients add up; 0: all", field(&S::micro_batch)));
  t.push_back(
      row("optimizer", group,
          "adamw, or adamw8bit, whose moments take 2 bytes a number instead of 8 in tensors of 4096 numbers and "
          "more: for --full",
          field(&S::optimizer, {{"adamw", OptimizerName::kAdamW}, {"adamw8bit", OptimizerName::kAdamW8bit}})));
  t.push_back(row("learning-rate", group, "of AdamW", field(&S::learning_rate)).with(kRun));
  t.push_back(row("lr-schedule", group,
                  "how the learning rate falls after the warm-up, on a line or half a cosine; over --planned-updates",
                  field(&S::lr_schedule, {{"constant", rt::LearningRateDecay::kConstant},
                                          {"linear", rt::LearningRateDecay::kLinear},
                                          {"cosine", rt::LearningRateDecay::kCosine}}))
                  .with(kRun));
  t.push_back(row("lr-floor", group, "share of the learning rate at which the fall ends", field(&S::lr_floor))
                  .with(kRun)
                  .wants(falls, "lr-schedule", "linear or cosine"));
  t.push_back(row("lr-warmup", group, "first updates, over which it rises", field(&S::lr_warmup)).with(kRun));
  t.push_back(row("beta1", group, "decay of AdamW's first moment", field(&S::beta1)));
  t.push_back(row("beta2", group, "decay of AdamW's second moment", field(&S::beta2)));
  t.push_back(row("weight-decay", group, "decoupled decay of AdamW", field(&S::weight_decay)));
  t.push_back(
      row("clip-gradient", group,
          "largest norm of the gradient; 0 switches clipping off; default: 0.1 with methods that follow the reward's "
          "gradient, 1 with those that learn from samples",
          field(&S::clip_gradient)));
  t.push_back(row("ema", group,
                  "decay of an average of the weights, which is then what is evaluated and saved; 0: none",
                  field(&S::ema))
                  .with(kRun));
  t.push_back(
      row("plateau", group, "stop when so many updates are no better than as many before; 0: never", field(&S::plateau))
          .with(kRun));
  t.push_back(
      row("divergence", group, "stop when the reward falls so much below its best; 0: never", field(&S::divergence))
          .with(kRun));
  t.push_back(row("max-idle", group,
                  "fail after so many updates in a row that kept no image, of which nothing is learned; 0: never",
                  field(&S::max_idle))
                  .with(kRun));
  t.push_back(row("seed", group, "of prompts, noise, step selection and the LoRA's start", field(&S::seed)).with(kRun));
}

void engine(SettingsTable& t) {
  const char* group = "How an update is computed (docs/engine.md)";
  t.push_back(row("memory", group,
                  "replay: trained steps are evaluated again, least memory; retain: their graphs are kept, faster; a "
                  "size: the graphs of as many are kept as an update fits into it, weights and optimizer apart",
                  memory_field())
                  .of("gradient")
                  .shown_as("replay|retain|SIZE"));
  t.push_back(row("replay-batch", group, "replay with a stopped gradient: trained steps in one network call",
                  field(&S::replay_batch))
                  .of("gradient"));
  t.push_back(row("decode-batch", group, "images decoded at a time; 0: all of a micro-batch", field(&S::decode_batch)));
  t.push_back(
      row("rollout-dtype", group, "of steps without gradient: bfloat16, float16, or the same as of trained ones",
          field(&S::rollout_dtype, {{"same", std::nullopt}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}})));
  t.push_back(row("capture-rollout", group,
                  "record the network's calls of a rollout once and replay them, which saves launches: CUDA graphs, "
                  "on a card in a build with REWARDTUNER_CUDA",
                  field(&S::capture_rollout)));
  t.push_back(row("autocast", group, "run network and decoder in mixed precision",
                  field(&S::autocast, {{"off", std::nullopt}, {"bfloat16", at::kBFloat16}}))
                  .wants(casts_float32, "dtype", "float32"));
  t.push_back(row("gradient-scale", group,
                  "first factor on gradients inside networks of --dtype float16, whose small numbers are 0 without: "
                  "it is halved when they overflow, and the update skipped",
                  field(&S::gradient_scale))
                  .wants(scales_gradients, "dtype", "float16"));
  t.push_back(row("gradient-scale-growth", group,
                  "optimizer steps in a row without overflow that double it; 0: it never grows",
                  field(&S::gradient_scale_growth))
                  .wants(scales_gradients, "dtype", "float16"));
  t.push_back(row("activation-checkpointing", group,
                  "keep only the inputs of the UNet's blocks: less memory, one more forward a trained step",
                  field(&S::activation_checkpointing)));
  t.push_back(
      row("vae-tiling", group,
          "the VAE works in strips of rows: half the memory of a decode and its backward, the same images up to "
          "rounding",
          field(&S::vae_tiling)));
  t.push_back(row("offload", group,
                  "text encoders, VAE and CLIP lie in the CPU's memory while they are not in use; of no use on the CPU",
                  field(&S::offload))
                  .with(kNote));
  t.push_back(
      row("adapters-apart", group, "do not merge the LoRA into the weights in rollouts", field(&S::adapters_apart))
          .wants(adapts, "full", "false"));
}

/// cpu, cuda or cuda:N; whether the machine has it, loading says.
SettingField device_field() {
  SettingField f;
  f.expected = "cpu, cuda or cuda:N";
  f.read = [](S& s, const std::vector<std::string>& words) {
    if (words.size() != 1) return false;
    const bool gpu = words[0].starts_with("cuda");
    int index = -1;
    if (words[0].starts_with("cuda:") && !(detail::read_value(words[0].substr(5), index) && index >= 0 && index < 128))
      return false;
    if (index < 0 && words[0] != "cpu" && words[0] != "cuda") return false;
    s.device = at::Device(gpu ? at::kCUDA : at::kCPU, static_cast<at::DeviceIndex>(index));
    return true;
  };
  f.json = [](const S& s) { return nlohmann::json(s.device.str()); };
  return f;
}

void evaluation(SettingsTable& t) {
  const char* group = "Evaluation and logs";
  t.push_back(
      row("evaluate-every", group, "updates between evaluations; 0: before and after only", field(&S::evaluate_every))
          .with(kRun));
  t.push_back(row("eval-seeds", group, "images of each held-out prompt", field(&S::eval_seeds)).with(kRun));
  t.push_back(row("eval-batch", group, "images at a time in an evaluation", field(&S::eval_batch)).with(kRun));
  t.push_back(
      row("judge", group,
          "a reward by its NAME that is not trained: evaluations judge the held-out images by it, in report.json "
          "and reward.svg beside the trained one (repeat the flag)",
          field(&S::judges))
          .with(kRun)
          .shown_as("NAME"));
  t.push_back(
      row("stop-when-judges-fall", group,
          "stop after so many evaluations in a row in which the trained reward rose and most judges fell; alone: "
          "2; 0: never. Needs --evaluate-every",
          or_alone(field(&S::stop_when_judges_fall), "2"))
          .with(kRun)
          .wants(judges, "judge", "NAME")
          .shown_as("N"));
  t.push_back(
      row("keep-best", group,
          "save the weights of the evaluation in which the held-out reward was highest, or a --judge by its NAME, "
          "instead of the last ones. Needs --evaluate-every",
          or_alone(field(&S::keep_best), rt::kTrainedReward))
          .with(kRun)
          .shown_as("NAME"));
  t.push_back(row("images", group, "images shown in images/ and before_after.png", field(&S::images)).with(kRun));
  t.push_back(row("checkpoint-every", group, "updates between checkpoints; 0: at the end and when interrupted",
                  field(&S::checkpoint_every))
                  .with(kRun));
  t.push_back(row("keep-checkpoints", group, "newest checkpoints that stay", field(&S::keep_checkpoints)).with(kRun));
  t.push_back(
      row("trace", group,
          "write a trace of the first two updates, their stages and network calls, which chrome://tracing reads",
          field(&S::trace))
          .with(kRun)
          .shown_as("FILE"));
  t.push_back(row("no-tensorboard", group, "write no TensorBoard events", field(&S::no_tensorboard)).with(kRun));
  t.push_back(row("quiet", group, "no progress bar", field(&S::quiet)).with(kRun));
  t.push_back(row("device", "The machine", "where the model is: cpu, or a CUDA card, cuda or cuda:N", device_field())
                  .with(kNote)
                  .shown_as("NAME"));
  t.push_back(row("dtype", "The machine",
                  "of the frozen weights; the LoRA and its gradients are float32, and so is the VAE where the model "
                  "asks for it. With float16 gradients are scaled (--gradient-scale)",
                  field(&S::dtype, {{"float32", at::kFloat}, {"bfloat16", at::kBFloat16}, {"float16", at::kHalf}})));
  t.push_back(row("threads", "The machine",
                  "threads of a tensor operation; 0 leaves the choice to LibTorch (OMP_NUM_THREADS)",
                  field(&S::threads))
                  .with(kNote));
  t.push_back(row("rank-seconds", "The machine",
                  "of several processes that torchrun started: those that wait for another one so long end with an "
                  "error; more than the longest pause of one, as of saving a checkpoint",
                  field(&S::rank_seconds))
                  .with(kNote));
  t.push_back(
      row("shard-optimizer", "The machine",
          "of several processes that torchrun started each keeps the moments of its own part of the weights and "
          "sends what it stepped to the others; equal bits, less memory: for --full",
          field(&S::shard_optimizer))
          .with(kNote));
  t.push_back(row("peak-tflops", "The machine",
                  "1e12 multiplications and additions a second that the machine can do; logs and the progress bar then "
                  "say which share of it the networks' calls reach; 0: unknown",
                  field(&S::peak_tflops))
                  .with(kNote));
}

}  // namespace

const SettingsTable& settings_table() {
  static const SettingsTable table = [] {
    SettingsTable t;
    for (const auto part : {what, sampling, gradient, sampled, exploration, regularizer, rewards, trained, optimization,
                            engine, evaluation})
      part(t);
    return t;
  }();
  return table;
}

}  // namespace rt_shared
