// rt-tune tune: the training run.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <limits>
#include <memory>
#include <utility>

#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include "commands.hpp"
#include "method_settings.hpp"
#include "methods.hpp"
#include "tasks.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

template <class Entries>
std::string table_text(const char* heading, const Entries& entries) {
  std::string text = std::string(heading) + "\n";
  std::size_t widest = 0;
  for (const auto& entry : entries) widest = std::max(widest, std::string(entry.name).size());
  for (const auto& entry : entries)
    text += "  " + std::string(entry.name) + std::string(widest + 2 - std::string(entry.name).size(), ' ') +
            std::string(entry.summary) + "\n";
  return text;
}

/// The table of methods in three parts.
std::string methods_text() {
  std::string text;
  for (const auto& [trait, heading] :
       {std::pair("gradient", "\nMethods that follow the reward's gradient:"),
        std::pair("log-prob", "\nMethods that learn from sampled images, any reward, on log-probabilities:"),
        std::pair("denoising", "\nMethods that denoise rewarded images, any reward:")}) {
    std::vector<MethodEntry> part;
    for (const auto& entry : method_entries())
      if (entry.knows(trait)) part.push_back(entry);
    text += table_text(heading, part);
  }
  return text;
}

/// Tells models apart without reading all of their weights.
std::string model_digest(rt::StableDiffusion& pipeline) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : rt::state_dict(pipeline.unet())) {
    const rt::Tensor few =
        value.flatten().narrow(0, 0, std::min<std::int64_t>(value.numel(), 16)).to(at::kCPU, at::kFloat).contiguous();
    lines.push_back(name + " " + std::to_string(value.numel()));
    lines.emplace_back(static_cast<const char*>(few.const_data_ptr()), few.nbytes());
  }
  return rt::digest(lines);
}

/// Tells aesthetic heads apart.
std::string head_digest(const rt::AestheticHead& head) {
  return rt::digest({std::string(static_cast<const char*>(head.weight().const_data_ptr()), head.weight().nbytes()),
                     std::to_string(head.bias())});
}

/// Every setting that decides the numbers.
nlohmann::json deciding_options(const TuneSettings& s, const MethodEntry& method, const AnyPrompts& prompts,
                                const std::vector<TuneTask>& tasks, rt::StableDiffusion& pipeline) {
  nlohmann::json options{{"model_digest", model_digest(pipeline)},
                         {"sampler", s.sampling.sampler},
                         {"steps", s.sampling.steps},
                         {"guidance", s.sampling.guidance},
                         {"eta", s.sampling.eta.value_or(0)},
                         {"trained_steps", s.trained_steps},
                         {"early_stop", nullptr},
                         {"gradient_stop", s.gradient_stop},
                         {"noises", s.noises},
                         {"horizon", s.horizon},
                         {"loss", s.loss},
                         {"loss_target", s.loss_target},
                         {"loss_scale", s.loss_scale},
                         {"memory", s.memory},
                         {"rollout_dtype", s.rollout_dtype},
                         {"autocast", s.autocast},
                         {"replay_batch", s.replay_batch},
                         {"decode_batch", s.decode_batch},
                         {"activation_checkpointing", s.activation_checkpointing},
                         {"adapters_apart", s.adapters_apart},
                         {"regularizer", s.regularizer},
                         {"symmetry_deviation", s.symmetry_deviation},
                         {"text_weight", s.text_weight},
                         {"full", s.full},
                         {"micro_batch", s.micro_batch},
                         {"beta1", s.beta1},
                         {"beta2", s.beta2},
                         {"weight_decay", s.weight_decay},
                         {"clip_gradient", s.clip_gradient}};
  options["jpeg_quality"] = s.jpeg_quality ? nlohmann::json(*s.jpeg_quality) : nlohmann::json(nullptr);
  if (!s.aesthetic_head.empty()) options["aesthetic_head"] = head_digest(rt::AestheticHead::load(s.aesthetic_head));
  if (s.early_stop) options["early_stop"] = *s.early_stop;
  if (s.regularizer == "kl") options["kl_weight"] = s.kl_weight;
  if (s.regularizer == "pretraining")
    options["pretraining"] = {{"data", s.pretraining_data.string()},
                              {"weight", s.pretraining_weight},
                              {"batch", s.pretraining_batch},
                              {"mode", s.pretraining_mode}};
  if (s.leave_one_out) options["leave_one_out"] = true;
  if (!s.full) options["rank"] = s.rank, options["alpha"] = s.alpha, options["targets"] = s.targets;
  options.update(deciding_method_options(s, method));
  if (prompts.streamed()) options["prompts_streamed"] = true;
  for (const auto& task : tasks)
    options["tasks"].push_back({{"name", task.name},
                                {"reward", task.reward.text},
                                {"prompts", rt::prompt_identity(task.prompts)},
                                {"streamed", task.prompts.streamed()},
                                {"batch", task.settings.batch},
                                {"samples_per_prompt", task.settings.samples_per_prompt},
                                {"advantage", task.settings.advantage}});
  return options;
}

rt::TrainerOptions trainer_options(const TuneSettings& s) {
  return {.updates = s.updates,
          .batch = s.batch,
          .seed = s.seed,
          .warm_up_updates = s.warm_up,
          .ema_decay = s.ema,
          .evaluate_every = s.evaluate_every,
          .evaluation_batch = s.eval_batch,
          .images = s.images,
          .checkpoint_every = s.checkpoint_every,
          .keep_checkpoints = s.keep_checkpoints,
          .minutes = s.minutes,
          .plateau_updates = s.plateau,
          .divergence_drop = s.divergence,
          .tensorboard = !s.no_tensorboard,
          .resume = s.resume,
          .progress = s.quiet ? nullptr : &std::cerr,
          .interrupted = [] { return rt::InterruptGuard::interrupted(); }};
}

void print_outcome(const TuneSettings& s, const TuneResult& result) {
  const auto& before = result.progress.evaluations.front().metrics;
  const auto& after = result.progress.evaluations.back().metrics;
  std::cout << to_string(result.end) << " after " << result.progress.done() << " updates\n";
  for (const auto& [name, value] : before) {
    char line[160];
    const auto found = after.find(name);
    std::snprintf(line, sizeof line, "  %-20s %9.4f -> %9.4f\n", name.c_str(), value,
                  found == after.end() ? value : found->second);
    std::cout << line;
  }
  std::cout << "reward queries: " << result.progress.images << '\n';
  std::cout << "images: " << (s.out / "before_after.png").string() << "\nreport:   " << (s.out / "report.json").string()
            << "\nweights:  " << (s.out / (s.full ? "model" : "lora")).string() << std::endl;
}

constexpr int kHeldOutOfStream = 64;  // prompts of a stream that evaluations use if no others are given

/// The prompts of all tasks, each once.
std::vector<std::string> prompts_of(const std::vector<TuneTask>& tasks) {
  std::vector<std::string> all;
  for (const auto& task : tasks)
    for (const auto& prompt : task.prompts.some(kHeldOutOfStream))
      if (std::find(all.begin(), all.end(), prompt) == all.end()) all.push_back(prompt);
  return all;
}

/// What a run of several tasks is called.
ChosenReward joined_reward(const std::vector<TuneTask>& tasks) {
  ChosenReward all = tasks.front().reward;
  all.text.clear();
  for (const auto& task : tasks) all.text += (all.text.empty() ? "" : "; ") + task.name + ": " + task.reward.text;
  return all;
}

int tune(const TuneSettings& typed, const std::string& command_line) {
  apply_threads(typed.threads);
  const rt::InterruptGuard guard;
  TuneSettings s = typed;
  const MethodEntry& method = method_entry(s.method);
  check_flags(s, method);
  std::vector<TuneTask> tasks = s.tasks.empty() ? std::vector<TuneTask>() : read_tasks(s);
  const ChosenReward reward = tasks.empty() ? make_reward(s) : joined_reward(tasks);
  const AnyPrompts prompts =
      s.prompts.empty() ? tasks.front().prompts : AnyPrompts::from_file(s.prompts, s.stream_prompts, s.seed);
  const std::vector<std::string> held_out =
      !s.eval_prompts.empty() ? AnyPrompts::from_file(s.eval_prompts, false, 0).some(std::numeric_limits<int>::max())
      : tasks.empty()         ? prompts.some(kHeldOutOfStream)
                              : prompts_of(tasks);
  auto pipeline = rt::StableDiffusion::load(s.model);
  std::int64_t latent_numbers = 1;
  for (const auto size : pipeline.latent_shape(1)) latent_numbers *= size;
  for (auto& task : tasks) {
    complete(task.settings, method, latent_numbers, task.reward.per_group);
    if (s.regularizer == "pretraining") task.settings.regularizer = "none";  // once an update, after all tasks
  }
  complete(s, method, latent_numbers, tasks.empty() && reward.per_group);
  const nlohmann::json options = deciding_options(s, method, prompts, tasks, pipeline);
  std::unique_ptr<rt::Lora> lora;
  if (s.full) pipeline.train_unet(needs_reference(s, method));
  else
    lora = std::make_unique<rt::Lora>(
        rt::Lora::attach(pipeline.unet(), {.rank = s.rank, .alpha = s.alpha, .targets = s.targets, .seed = s.seed}));
  rt::TrainedWeights weights = s.full ? rt::trained_unet(pipeline) : rt::trained_weights(*lora);
  rt::AdamW optimizer(
      weights.tensors(),
      {.learning_rate = s.learning_rate, .beta1 = s.beta1, .beta2 = s.beta2, .weight_decay = s.weight_decay});
  constexpr std::uint64_t kFirstEvaluationSeed = 1000;
  TuneSession session{.settings = s,
                      .method = method,
                      .pipeline = pipeline,
                      .optimizer = optimizer,
                      .weights = std::move(weights),
                      .prompts = prompts,
                      .held_out = rt::evaluation_pairs(held_out, s.eval_seeds, kFirstEvaluationSeed),
                      .reward = reward,
                      .tasks = tasks,
                      .description = {.method = s.method,
                                      .reward = reward.text,
                                      .model = s.model.string(),
                                      .options = options,
                                      .notes = {{"threads", at::get_num_threads()},
                                                {"prompts", s.prompts.string()},
                                                {"eval_prompts", s.eval_prompts.string()},
                                                {"tasks", s.tasks.string()},
                                                {"command", command_line}}},
                      .trainer = trainer_options(s)};
  session.trainer.evaluation_rewards = rt::shapes::shape_evaluation_rewards(held_out);
  const TuneResult result = tasks.empty() ? method.tune(session) : tune_tasks(session);
  if (result.end == rt::RunEnd::kInterrupted) {
    std::cerr << "interrupted after " << result.progress.done() << " updates; to go on: " << command_line
              << (s.resume ? "" : " --resume") << std::endl;
    return kInterrupted;
  }
  print_outcome(s, result);
  return kDone;
}

}  // namespace

void add_tune_command(CLI::App& app, Command& chosen, const std::string& command_line) {
  auto settings = std::make_shared<TuneSettings>();
  TuneSettings& s = *settings;
  auto* c = app.add_subcommand("tune", "Tune a model on a reward and write a run folder");
  const auto group = [](CLI::Option* option, const char* name) { return option->group(name); };
  c->add_option("--config",
                "take settings from a TOML file, `name = value` by the names below without dashes; flags win over it")
      ->type_name("FILE");

  const char* what = "What";
  group(c->add_option("--model", s.model, "folder of a Stable Diffusion model as diffusers saves it")
            ->required()
            ->type_name("DIR"),
        what);
  std::vector<std::string> methods;
  for (const auto& entry : method_entries()) methods.emplace_back(entry.name);
  group(c->add_option("--method", s.method, "the estimator, see below")
            ->check(CLI::IsMember(methods))
            ->capture_default_str(),
        what);
  group(c->add_option("--reward", s.rewards, "NAME or NAME:WEIGHT, see below; several are added (repeat the flag)")
            ->type_name("NAME[:W]")
            ->take_all()
            ->capture_default_str(),
        what);
  group(c->add_option("--prompts", s.prompts,
                      "training prompts, one a line; # begins a comment line. A .jsonl file, one object a line with "
                      "the text in \"prompt\", is streamed. Required unless every table of --tasks has its own")
            ->type_name("FILE"),
        what);
  group(c->add_flag("--stream-prompts", s.stream_prompts,
                    "read training prompts as they are drawn, each once an epoch: for files larger than memory"),
        what);
  group(c->add_option("--eval-prompts", s.eval_prompts,
                      "held-out prompts for evaluation; default: the training prompts, of a stream 64")
            ->type_name("FILE"),
        what);
  group(
      c->add_option("--tasks", s.tasks,
                    "lsrl: several tasks on one model, tables [task.NAME] of a TOML file with reward, prompts, batch, "
                    "samples-per-prompt and advantage, and settings as in --config (see examples/tune/lsrl_tasks.toml)")
          ->type_name("FILE"),
      what);
  group(c->add_option("--out", s.out, "run folder to write; must be new or empty unless --resume")
            ->required()
            ->type_name("DIR"),
        what);
  group(c->add_flag("--resume", s.resume,
                    "go on from the newest checkpoint in --out; all deciding options must be as before"),
        what);

  add_sampling_options(*c, s.sampling);

  const char* gradient = "Methods that follow the reward's gradient";
  group(c->add_option("--trained-steps", s.trained_steps,
                      "K, sampler steps that are trained; 0: the method's default (drtune 5, draft 1, lsrl 5)")
            ->capture_default_str(),
        gradient);
  group(c->add_option("--early-stop", s.early_stop,
                      "drtune: m, stop up to so many steps early; 0 never; default: 0.4 T. refl: jump from up to so "
                      "many steps before the end; default: 10"),
        gradient);
  group(c->add_option("--gradient-stop", s.gradient_stop,
                      "stop: no gradient enters the network's input; pass: all of it; default: the method's own "
                      "(drtune stop, others pass)")
            ->check(CLI::IsMember({"default", "stop", "pass"}))
            ->capture_default_str(),
        gradient);
  group(c->add_option("--noises", s.noises, "draft-lv: fresh noisings of each image")->capture_default_str(), gradient);
  group(c->add_option("--horizon", s.horizon,
                      "alignprop: per-step, per-rollout, contiguous, or fixed with --trained-steps")
            ->check(CLI::IsMember({"per-step", "per-rollout", "contiguous", "fixed"}))
            ->capture_default_str(),
        gradient);
  group(c->add_option("--loss", s.loss,
                      "of the reward r: negative is -r, hinge max(target - r, 0), distance |target - r|")
            ->check(CLI::IsMember({"negative", "hinge", "distance"}))
            ->capture_default_str(),
        gradient);
  group(c->add_option("--loss-target", s.loss_target, "target of hinge and distance")->capture_default_str(), gradient);
  group(c->add_option("--loss-scale", s.loss_scale, "factor on the loss")->capture_default_str(), gradient);

  const char* sampled = "Methods that learn from sampled images";
  group(c->add_option("--samples-per-prompt", s.samples_per_prompt,
                      "images of each prompt an update, reward queries; 0: 1, or 8 where they are compared with one "
                      "another (grpo, raft, parity)")
            ->capture_default_str(),
        sampled);
  group(c->add_option("--epochs", s.epochs, "passes over an update's images")->capture_default_str(), sampled);
  group(c->add_option("--updates-per-epoch", s.updates_per_epoch,
                      "optimizer steps a pass, each on an equal share of the images")
            ->capture_default_str(),
        sampled);
  group(c->add_flag("--step-per-timestep", s.step_per_timestep,
                    "one optimizer step for each trained sampler step instead; lsrl does so unless =false"),
        sampled);
  group(c->add_option(
             "--rows", s.rows,
             "pairs of image and sampler step in one network call of the training; 0: the images of a micro-batch")
            ->capture_default_str(),
        sampled);
  group(c->add_option("--log-prob", s.log_prob,
                      "of the D numbers of a latent: mean, as public code has it, or sum, the true log-probability")
            ->check(CLI::IsMember({"mean", "sum"}))
            ->capture_default_str(),
        sampled);
  group(c->add_option("--clip-range", s.clip_range,
                      "ddpo, grpo, dpok, lsrl, b2-: how far the ratio of new to old probability may leave 1. Of the "
                      "mean over D numbers a ratio of 1 + r is r*D nats of the true one: the usual "
                      "1e-4 at Stable Diffusion's D = 16384 is 1.64 nats. Default: the same at this model's D, 1.64 / "
                      "D; with --log-prob sum 1 - exp(-1.64) = 0.81 (docs/methods.md, \"What 1e-4 means\")"),
        sampled);
  group(c->add_option("--advantage", s.advantage,
                      "what a reward is compared with: this update's (per-batch), the prompt's latest 32 (per-prompt), "
                      "those of this update's images of the prompt (per-group), "
                      "the prompt's in this and the 8 updates before (history); default: the method's own")
            ->check(CLI::IsMember({"default", "per-batch", "per-prompt", "per-group", "history"}))
            ->capture_default_str(),
        sampled);
  group(c->add_option("--branches", s.branches,
                      "copies of an image from the first trained step on, of which the best and the worst are "
                      "trained; 1: no branches; default: 3 with dpo and b2-, else 1"),
        sampled);
  group(c->add_option("--branch-threshold", s.branch_threshold,
                      "advantage, in deviations, from which on they are trained")
            ->capture_default_str(),
        sampled);
  group(
      c->add_option("--window-start", s.window_start,
                    "b2-: last sampler steps trained in the first update, from where the window grows to all; 0: 0.7 T")
          ->capture_default_str(),
      sampled);
  group(c->add_option("--beta", s.beta, "dpo, b2-dpo: how strongly the reference holds")->capture_default_str(),
        sampled);
  group(c->add_option("--preference-reference", s.preference_reference,
                      "dpo, b2-dpo: the sampling network, or the untuned one")
            ->check(CLI::IsMember({"sampling", "untuned"}))
            ->capture_default_str(),
        sampled);
  group(c->add_option("--dpok-reward-weight", s.dpok_reward_weight, "dpok, b2-dpok: factor on the policy loss")
            ->capture_default_str(),
        sampled);
  group(c->add_option("--dpok-kl-weight", s.dpok_kl_weight,
                      "dpok, b2-dpok: factor on the divergence from the untuned network")
            ->capture_default_str(),
        sampled);
  group(c->add_flag("--no-value-baseline", s.no_value_baseline, "dpok, b2-dpok: learn no baseline"), sampled);
  group(c->add_option("--weighting", s.weighting, "reward-weighted: min-max, exponential with --temperature, or best")
            ->check(CLI::IsMember({"min-max", "exponential", "best"}))
            ->capture_default_str(),
        sampled);
  group(c->add_option("--temperature", s.temperature,
                      "reward-weighted with exponential: so much more reward weighs an image e times as much")
            ->capture_default_str(),
        sampled);
  group(c->add_option("--best", s.best, "raft, reward-weighted: images kept of each prompt")->capture_default_str(),
        sampled);
  group(c->add_option("--noisings", s.noisings,
                      "raft, reward-weighted: noise levels at which each kept image is denoised, a pass")
            ->capture_default_str(),
        sampled);

  const char* exploration = "Exploration in training rollouts, with any method (DiffExp)";
  group(c->add_option(
             "--explore", s.explore,
             "none; guidance: a low scale in the noisiest steps; prompt: a random word weighs more; diffexp: both")
            ->check(CLI::IsMember({"none", "guidance", "prompt", "diffexp"}))
            ->capture_default_str(),
        exploration);
  group(c->add_option("--explore-share", s.explore_share, "share of the planned updates that explore")
            ->capture_default_str(),
        exploration);
  group(c->add_option("--guidance-low", s.guidance_low, "the low scale; 1 is the prompt alone")->capture_default_str(),
        exploration);
  group(c->add_option("--guidance-threshold", s.guidance_threshold, "steps above this share of T have it")
            ->capture_default_str(),
        exploration);
  group(c->add_option("--word-weight-low", s.word_weight_low, "smallest weight of the word")->capture_default_str(),
        exploration);
  group(c->add_option("--word-weight-high", s.word_weight_high, "largest weight of the word")->capture_default_str(),
        exploration);
  group(
      c->add_option(
           "--ratio-target", s.ratio_target,
           "log-probabilities of an explored rollout are taken as it was (explored) or without the exploration (plain)")
          ->check(CLI::IsMember({"explored", "plain"}))
          ->capture_default_str(),
      exploration);
  group(c->add_option("--planned-updates", s.planned_updates,
                      "updates that --explore-share is a share of, and in which the window of b2- grows to all steps; "
                      "0: --updates, or what the resumed run has")
            ->capture_default_str(),
        exploration);

  const char* regularizer = "Regularizer";
  group(c->add_option("--regularizer", s.regularizer,
                      "none; kl: stay near the untuned network; pretraining: go on denoising captioned images")
            ->check(CLI::IsMember({"none", "kl", "pretraining"}))
            ->capture_default_str(),
        regularizer);
  group(c->add_option("--kl-weight", s.kl_weight, "factor of the kl regularizer beside the reward")
            ->capture_default_str(),
        regularizer);
  group(c->add_option("--pretraining-data", s.pretraining_data,
                      "folder of PNG images with metadata.jsonl, or with a .txt beside each")
            ->type_name("DIR"),
        regularizer);
  group(c->add_option("--pretraining-weight", s.pretraining_weight, "factor of that loss beside the reward's")
            ->capture_default_str(),
        regularizer);
  group(c->add_option("--pretraining-batch", s.pretraining_batch, "captioned images an update")->capture_default_str(),
        regularizer);
  group(c->add_option("--pretraining-mode", s.pretraining_mode,
                      "joint: one step on both losses; alternating: a step each (lsrl's default)")
            ->check(CLI::IsMember({"joint", "alternating"}))
            ->capture_default_str(),
        regularizer);

  const char* rewards = "Rewards";
  group(c->add_option("--symmetry-deviation", s.symmetry_deviation,
                      "symmetry: spatial, or literal as the paper's equation 6")
            ->check(CLI::IsMember({"spatial", "literal"}))
            ->capture_default_str(),
        rewards);
  group(c->add_option("--text-weight", s.text_weight,
                      "symmetry: weight of a CLIPScore term (needs clip/ in the model folder)")
            ->capture_default_str(),
        rewards);
  group(c->add_option("--jpeg-quality", s.jpeg_quality,
                      "jpeg rewards: quality of the JPEG, 1 to 100; default: 50 for jpeg_error and "
                      "jpeg_incompressible, 95 for the sizes"),
        rewards);
  group(c->add_option("--aesthetic-head", s.aesthetic_head, "aesthetic: safetensors with layers.<n>.weight and .bias")
            ->type_name("FILE"),
        rewards);
  group(c->add_flag("--leave-one-out", s.leave_one_out,
                    "parity: an image's reward is what it adds to its group's, which else all of them get"),
        rewards);

  const char* trained = "What is trained";
  group(c->add_option("--rank", s.rank, "rank of the LoRA")->capture_default_str(), trained);
  group(c->add_option("--alpha", s.alpha, "scale of the LoRA is alpha / rank; 0: alpha = rank")->capture_default_str(),
        trained);
  group(c->add_option("--targets", s.targets, "layers with a LoRA: ends of their names, or all-linear, or all")
            ->delimiter(',')
            ->take_all()
            ->capture_default_str(),
        trained);
  group(c->add_flag("--full", s.full, "train every weight of the UNet instead of a LoRA"), trained);

  const char* optimization = "Optimization";
  group(c->add_option("--updates", s.updates, "updates of the run in all")->capture_default_str(), optimization);
  group(c->add_option("--minutes", s.minutes, "stop tuning after so many minutes; 0: no limit")->capture_default_str(),
        optimization);
  group(c->add_option("--batch", s.batch,
                      "prompts an update; sampled methods draw --samples-per-prompt times --branches images of each")
            ->capture_default_str(),
        optimization);
  group(c->add_option("--micro-batch", s.micro_batch, "prompts at a time, gradients add up; 0: all")
            ->capture_default_str(),
        optimization);
  group(c->add_option("--learning-rate", s.learning_rate, "of AdamW")->capture_default_str(), optimization);
  group(c->add_option("--warm-up", s.warm_up, "updates over which the learning rate rises")->capture_default_str(),
        optimization);
  group(c->add_option("--beta1", s.beta1, "decay of AdamW's first moment")->capture_default_str(), optimization);
  group(c->add_option("--beta2", s.beta2, "decay of AdamW's second moment")->capture_default_str(), optimization);
  group(c->add_option("--weight-decay", s.weight_decay, "decoupled decay of AdamW")->capture_default_str(),
        optimization);
  group(c->add_option("--clip-gradient", s.clip_gradient, "largest norm of the gradient; 0 switches clipping off")
            ->capture_default_str(),
        optimization);
  group(c->add_option("--ema", s.ema,
                      "decay of an average of the weights, which is then what is evaluated and saved; 0: none")
            ->capture_default_str(),
        optimization);
  group(c->add_option("--plateau", s.plateau, "stop when so many updates are no better than as many before; 0: never")
            ->capture_default_str(),
        optimization);
  group(c->add_option("--divergence", s.divergence, "stop when the reward falls so much below its best; 0: never")
            ->capture_default_str(),
        optimization);
  group(
      c->add_option("--seed", s.seed, "of prompts, noise, step selection and the LoRA's start")->capture_default_str(),
      optimization);

  const char* engine = "How an update is computed (docs/engine.md)";
  group(c->add_option("--memory", s.memory,
                      "replay: trained steps are evaluated again, least memory; retain: their graphs are kept, faster")
            ->check(CLI::IsMember({"replay", "retain"}))
            ->capture_default_str(),
        engine);
  group(c->add_option("--replay-batch", s.replay_batch,
                      "replay with a stopped gradient: trained steps in one network call")
            ->capture_default_str(),
        engine);
  group(c->add_option("--decode-batch", s.decode_batch, "images decoded at a time; 0: all of a micro-batch")
            ->capture_default_str(),
        engine);
  group(c->add_option("--rollout-dtype", s.rollout_dtype,
                      "of steps without gradient: bfloat16, float16, or the same as of trained ones")
            ->check(CLI::IsMember({"same", "bfloat16", "float16"}))
            ->capture_default_str(),
        engine);
  group(c->add_option("--autocast", s.autocast, "run network and decoder in mixed precision: off or bfloat16")
            ->check(CLI::IsMember({"off", "bfloat16"}))
            ->capture_default_str(),
        engine);
  group(c->add_flag("--activation-checkpointing", s.activation_checkpointing,
                    "keep only the inputs of the UNet's blocks: less memory, one more forward a trained step"),
        engine);
  group(c->add_flag("--adapters-apart", s.adapters_apart, "do not merge the LoRA into the weights in rollouts"),
        engine);

  const char* evaluation = "Evaluation and logs";
  group(c->add_option("--evaluate-every", s.evaluate_every, "updates between evaluations; 0: before and after only")
            ->capture_default_str(),
        evaluation);
  group(c->add_option("--eval-seeds", s.eval_seeds, "images of each held-out prompt")->capture_default_str(),
        evaluation);
  group(c->add_option("--eval-batch", s.eval_batch, "images at a time in an evaluation")->capture_default_str(),
        evaluation);
  group(c->add_option("--images", s.images, "images shown in images/ and before_after.png")->capture_default_str(),
        evaluation);
  group(c->add_option("--checkpoint-every", s.checkpoint_every,
                      "updates between checkpoints; 0: at the end and when interrupted")
            ->capture_default_str(),
        evaluation);
  group(c->add_option("--keep-checkpoints", s.keep_checkpoints, "newest checkpoints that stay")->capture_default_str(),
        evaluation);
  group(c->add_flag("--no-tensorboard", s.no_tensorboard, "write no TensorBoard events"), evaluation);
  group(c->add_flag("--quiet", s.quiet, "no progress bar"), evaluation);
  add_thread_option(*c, s.threads);

  c->footer(
      methods_text() + table_text("\nRewards:", reward_entries()) +
      "\nThe run folder holds config.json, metrics.jsonl (a line an update), evaluations.jsonl, timings.jsonl, "
      "TensorBoard events, images/,\n"
      "before_after.png, reward.svg, report.json, lora/pytorch_lora_weights.safetensors (or model/) and checkpoints/.\n"
      "Ctrl-C finishes the update, saves a checkpoint and says how to resume; a second Ctrl-C ends at once.\n"
      "\nExample:\n  rt-tune tune --model examples/models/tiny-shapes --prompts examples/tune/prompts_train.txt "
      "--config examples/tune/demo.toml --out runs/mine");
  c->callback([settings, c, &chosen, command_line] {
    for (const auto* option : c->get_options())
      if (option->count() > 0) settings->given.insert(option->get_name());
    if (settings->prompts.empty() && settings->tasks.empty()) throw CLI::RequiredError("--prompts");
    chosen = [settings, command_line] { return tune(*settings, command_line); };
  });
}

}  // namespace rt_tune
