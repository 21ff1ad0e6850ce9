// rt-tune tune: the training run.
#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/number_text.hpp>
#include <reward_tuner/files/weights.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/autoencoder_kl.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/rewards/aesthetic.hpp>
#include <reward_tuner/run/best_evaluation.hpp>
#include <reward_tuner/run/captioned_images.hpp>
#include <reward_tuner/run/interrupt_guard.hpp>
#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/run/run_fingerprint.hpp>
#include <reward_tuner/run/run_folder.hpp>
#include <reward_tuner/run/trainer_options.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include <examples/shared/defaults.hpp>
#include <examples/shared/load_model.hpp>
#include <examples/shared/ranks.hpp>
#include <examples/shared/run_options.hpp>
#include <examples/shared/settings_table.hpp>
#include <examples/shared/tune_session.hpp>

#include "commands.hpp"
#include "flags.hpp"
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

/// The methods that this program has, in three parts.
std::string methods_text() {
  std::string text;
  for (const auto& [trait, heading] :
       {std::pair("gradient", "\nMethods that follow the reward's gradient:"),
        std::pair("log-prob", "\nMethods that learn from sampled images, any reward, on log-probabilities:"),
        std::pair("denoising", "\nMethods that denoise rewarded images, any reward:")}) {
    std::vector<MethodEntry> part;
    for (const auto& entry : method_entries())
      if (entry.knows(trait) && built(entry)) part.push_back(entry);
    if (!part.empty()) text += table_text(heading, part);
  }
  std::vector<std::string> left_out;
  for (const auto& entry : method_entries())
    if (!built(entry)) left_out.emplace_back(entry.name);
  if (!left_out.empty())
    text += "\nThis program was built without " + listed(left_out) + "; the target rt-tune has them.\n";
  return text;
}

/// Tells models apart without reading all of their weights.
std::string model_digest(rt::StableDiffusion& pipeline) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& part, const torch::nn::Module& network) {
    for (const auto& [name, value] : rt::state_dict(network)) {
      const rt::Tensor few =
          value.flatten().narrow(0, 0, std::min<std::int64_t>(value.numel(), 16)).to(at::kCPU, at::kFloat).contiguous();
      lines.push_back(part + "." + name + " " + std::to_string(value.numel()));
      lines.emplace_back(static_cast<const char*>(few.const_data_ptr()), few.nbytes());
    }
  };
  add("unet", pipeline.unet());
  for (const auto& [name, model] : pipeline.text_encoders()) add(name, *model);
  add("vae", pipeline.vae());
  return rt::digest(lines);
}

/// Tells aesthetic heads apart.
std::string head_digest(const rt::AestheticHead& head) {
  return rt::digest({std::string(static_cast<const char*>(head.weight().const_data_ptr()), head.weight().nbytes()),
                     std::to_string(head.bias())});
}

/// Tells LoRAs apart, wherever their files are.
std::string lora_digest(const rt::Lora& lora) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : lora.named_parameters()) {
    const rt::Tensor factor = value.detach().to(at::kCPU).contiguous();
    lines.push_back(name);
    lines.emplace_back(static_cast<const char*>(factor.const_data_ptr()), factor.nbytes());
  }
  return rt::digest(lines);
}

/// Everything that decides the numbers: settings, and digests of what their files hold.
nlohmann::json fingerprint_options(const TuneSettings& s, const MethodEntry& method, const AnyPrompts& prompts,
                                   const std::vector<TuneTask>& tasks, LoadedModel& model) {
  TuneSettings deciding = s;
  deciding.judges = deciding_judges(s);  // nothing depends on the others: a resumed run may have different ones
  nlohmann::json options = deciding_options(settings_table(), deciding, method);
  options["model_digest"] = model_digest(model.pipeline);
  for (const auto& lora : model.loras)
    options["lora"].push_back({{"digest", lora_digest(lora)}, {"scale", lora.scale()}});
  const auto aesthetic = [](const std::vector<std::string>& judges) {
    return std::find(judges.begin(), judges.end(), "aesthetic") != judges.end();
  };
  if (!s.aesthetic_head.empty() && (!aesthetic(s.judges) || aesthetic(deciding.judges)))
    options["aesthetic_head_digest"] = head_digest(rt::AestheticHead::load(s.aesthetic_head));
  if (prompts.streamed()) options["prompts_streamed"] = true;
  for (const auto& task : tasks) {
    nlohmann::json own{{"name", task.name},
                       {"reward", task.reward.text},
                       {"prompts", rt::prompt_identity(task.prompts)},
                       {"streamed", task.prompts.streamed()},
                       {"batch", task.settings.batch}};
    for (const Setting& row : settings_table())
      if (row.of_task && row.role == SettingRole::kDecides) own[config_key(row)] = row.field.json(task.settings);
    options["tasks"].push_back(std::move(own));
  }
  return options;
}

/// The run's own options beside those of the settings.
rt::TrainerOptions run_options(const TuneSettings& s) {
  rt::TrainerOptions options = trainer_options(s);
  options.progress = s.quiet ? nullptr : &std::cerr;
  options.interrupted = [] { return rt::InterruptGuard::interrupted(); };
  return options;
}

nlohmann::json run_notes(const TuneSettings& s, const std::string& command_line) {
  nlohmann::json notes = noted_options(settings_table(), s);
  notes["threads"] = at::get_num_threads();  // 0 has left it to LibTorch
  notes["command"] = command_line;
  return notes;
}

void print_outcome(const TuneSettings& s, const TuneResult& result) {
  const auto& evaluations = result.progress.evaluations;
  const auto& before = evaluations.front().metrics;
  const auto& after = rt::outcome_evaluation(evaluations, result.kept).metrics;
  std::cout << to_string(result.end) << " after " << result.progress.done() << " updates\n";
  if (result.kept)
    std::cout << "kept the weights after update " << result.kept->update << ", whose "
              << (result.kept->by == rt::kTrainedReward ? "held-out reward" : "judge " + result.kept->by)
              << " is the best: " << result.kept->value << '\n';
  const auto line = [](const std::string& name, const std::string& then, double now) {
    std::cout << "  " << std::left << std::setw(20) << name << ' ' << then << rt::number_text(" -> %9.4f\n", now);
  };
  for (const auto& [name, value] : before)
    if (after.contains(name))  // not of a judge that a resumed run has not any more
      line(name, rt::number_text("%9.4f", value), after.at(name));
  for (const auto& [name, value] : after)
    if (!before.contains(name)) line(name, "        -", value);  // of a judge that a resumed run got
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

/// A line for each file with prompts that the text encoder does not read to their end.
void note_cut_prompts(const TuneSettings& s, const AnyPrompts& prompts, const std::vector<std::string>& held_out,
                      const std::vector<TuneTask>& tasks, rt::StableDiffusion& pipeline) {
  std::set<std::filesystem::path> seen;
  const auto tell = [&](const std::filesystem::path& file, const auto& each) {
    if (file.empty() || !seen.insert(file).second) return;
    CutPrompts cut(pipeline);
    each([&](const std::string& prompt) { cut.add(prompt); });
    cut.note_number("prompts in " + file.string());
  };
  tell(s.prompts, [&](auto f) { prompts.each(f); });
  for (const auto& task : tasks) tell(task.settings.prompts, [&](auto f) { task.prompts.each(f); });
  tell(s.eval_prompts, [&](auto f) { std::for_each(held_out.begin(), held_out.end(), f); });
}

/// What a run of several tasks is called.
ChosenReward joined_reward(const std::vector<TuneTask>& tasks) {
  ChosenReward all = tasks.front().reward;
  all.text.clear();
  for (const auto& task : tasks) all.text += (all.text.empty() ? "" : "; ") + task.name + ": " + task.reward.text;
  return all;
}

/// The text encoders that --train-text-encoder names. Errors: a second one of a model that has none.
std::map<std::string, rt::ClipTextModel*> trained_text_encoders(const TuneSettings& s, rt::StableDiffusion& pipeline) {
  const auto which = s.train_text_encoder;
  std::map<std::string, rt::ClipTextModel*> trained;
  if (which == TextEncoders::kFirst || which == TextEncoders::kBoth) trained["text_encoder"] = &pipeline.text_encoder();
  if (which != TextEncoders::kSecond && which != TextEncoders::kBoth) return trained;
  REWARD_TUNER_CHECK(pipeline.text_encoders().size() == 2, "[rt-tune] --train-text-encoder expected first, for ",
                     s.model.string(), " has one text encoder, got ", which == TextEncoders::kBoth ? "both" : "second");
  trained["text_encoder_2"] = &pipeline.text_encoder_2();
  return trained;
}

/// The LoRAs that the run trains, the UNet's first, and the part of --init-lora that stays as it is.
std::vector<rt::Lora> trained_loras(const TuneSettings& s, rt::StableDiffusion& pipeline) {
  std::vector<rt::Lora> loras;
  auto texts = trained_text_encoders(s, pipeline);
  if (s.init_lora.empty()) {
    loras.push_back(
        rt::Lora::attach(pipeline.unet(), {.rank = s.rank, .alpha = s.alpha, .targets = s.targets, .seed = s.seed}));
  } else {
    loras = rt::load_lora(pipeline, s.init_lora);
    REWARD_TUNER_CHECK(!loras.empty() && loras.front().prefix() == "unet",
                       "[rt-tune] --init-lora expected a LoRA of the UNet, got one without at ", s.init_lora.string());
    for (auto& lora : loras)
      if (lora.prefix() != "unet" && !texts.contains(lora.prefix())) lora.freeze();
      else if (s.reference == ReferenceName::kInit) lora.keep_reference();
  }
  for (const auto& lora : loras) texts.erase(lora.prefix());
  const rt::LoraOptions like = loras.front().options();
  for (const auto& [name, model] : texts)
    loras.push_back(rt::Lora::attach(*model,
                                     {.rank = like.rank,
                                      .alpha = like.alpha,
                                      .targets = {"q_proj", "k_proj", "v_proj", "out_proj"},
                                      .seed = s.seed + (name == "text_encoder" ? 1 : 2)},
                                     name));
  return loras;
}

/// They must outlive the result. All of them are saved, what stays as it is too.
rt::TrainedWeights weights_of(const std::vector<rt::Lora>& loras, double saved_strength) {
  if (loras.size() == 1) return rt::trained_weights(loras.front(), saved_strength);
  std::vector<const rt::Lora*> all;
  for (const auto& lora : loras) all.push_back(&lora);
  return rt::trained_weights(all, saved_strength);
}

/// Before the run's folder is made.
void check_random_shift(const TuneSettings& s, const std::vector<TuneTask>& tasks, rt::StableDiffusion& pipeline) {
  const std::vector<std::int64_t> latent = pipeline.latent_shape(1);  // 1, C, h, w
  const std::int64_t side = std::min(latent[2], latent[3]) * pipeline.vae().config().reduction();
  std::int64_t shift = s.random_shift;
  for (const auto& task : tasks) shift = std::max(shift, task.settings.random_shift);
  REWARD_TUNER_CHECK(shift < side, "[rt-tune] --random-shift expected less than the images' ", side, " pixels, got ",
                     shift);
}

/// Without --micro-batch each of several ranks gets an equal share of an update's images. The settings are complete.
void share_images(TuneSettings& s, std::vector<TuneTask>& tasks, const rt::Ranks& ranks) {
  if (ranks.alone() || s.micro_batch != 0) return;
  std::vector<TuneSettings> all;
  for (const auto& task : tasks) all.push_back(task.settings);
  s.micro_batch = equal_share(tasks.empty() ? std::vector{s} : all, ranks.size());
  for (auto& task : tasks) task.settings.micro_batch = s.micro_batch;
  if (!s.quiet)
    std::cerr << "note: --micro-batch " << s.micro_batch << ", an equal share for each of " << ranks.size()
              << " ranks; it decides the last bits of the numbers: give it to resume with another number of ranks\n";
}

int tune(const TuneSettings& typed, const std::string& command_line) {
  apply_threads(typed.threads);
  const rt::InterruptGuard guard;
  TuneSettings s = typed;
  const MethodEntry& method = method_entry(s.method);
  require_built(method, s);
  check_settings(s, method);
  const rt::Ranks ranks = started_ranks(s);
  std::vector<TuneTask> tasks = s.tasks.empty() ? std::vector<TuneTask>() : read_tasks(s);
  std::vector<std::vector<std::string>> trained;
  if (tasks.empty()) trained.push_back(s.rewards);
  for (const auto& task : tasks) trained.push_back(task.settings.rewards);
  std::vector<std::vector<std::string>> rewards = trained, deciding = trained;
  rewards.push_back(s.judges);
  deciding.push_back(deciding_judges(s));
  check_reward_models(s, rewards);
  const ChosenReward reward = tasks.empty() ? make_reward(s) : joined_reward(tasks);
  rt::TrainerOptions trainer = run_options(s);
  trainer.judges = make_judges(s, trained);
  rt::check_options(trainer);
  const AnyPrompts prompts = s.prompts.empty()
                                 ? tasks.front().prompts
                                 : AnyPrompts::from_file(s.prompts, s.stream_prompts, s.seed, s.prompt_field);
  const std::vector<std::string> held_out = !s.eval_prompts.empty()
                                                ? rt::read_prompts(s.eval_prompts, {.field = s.prompt_field})
                                            : tasks.empty() ? prompts.some(kHeldOutOfStream)
                                                            : prompts_of(tasks);
  if (!s.resume && ranks.first()) rt::RunFolder::check_new(s.out);
  LoadedModel model = load_model(s);
  auto& pipeline = model.pipeline;
  check_random_shift(s, tasks, pipeline);
  if (ranks.first()) note_cut_prompts(s, prompts, held_out, tasks, pipeline);
  for (auto& task : tasks) {
    complete(task.settings, method, task.reward.per_group);
    if (s.regularizer == RegularizerName::kPretraining)
      task.settings.regularizer = RegularizerName::kNone;  // once an update, after all tasks
  }
  complete(s, method, tasks.empty() && reward.per_group);
  share_images(s, tasks, ranks);
  nlohmann::json options = fingerprint_options(s, method, prompts, tasks, model);
  if (nlohmann::json digests = reward_model_digests(s, deciding); !digests.empty())
    options["reward_model_digests"] = std::move(digests);
  std::shared_ptr<const rt::CaptionedImages> pretraining_images;
  if (s.regularizer == RegularizerName::kPretraining) {
    pretraining_images =
        std::make_shared<const rt::CaptionedImages>(rt::CaptionedImages::from_folder(s.pretraining_data));
    CutPrompts cut(pipeline);
    for (const auto& caption : pretraining_images->captions()) cut.add(caption);
    cut.note_number("captions in " + s.pretraining_data.string());
  }
  std::vector<rt::Lora> loras;
  if (s.full) pipeline.train_unet(needs_reference(s, method));
  else loras = trained_loras(s, pipeline);
  if (!s.init_lora.empty())
    for (const auto& lora : loras) options["init_lora"].push_back(lora_digest(lora));
  rt::TrainedWeights weights = s.full ? rt::trained_unet(pipeline) : weights_of(loras, s.saved_strength);
  rt::ShardedOptimizer<rt::AdamW8bit> optimizer(s.shard_optimizer ? ranks : rt::Ranks(), weights.tensors(),
                                                optimizer_options(s));
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
                      .pretraining_images = pretraining_images,
                      .description = {.method = s.method,
                                      .reward = reward.text,
                                      .model = s.model.string(),
                                      .options = options,
                                      .notes = run_notes(s, command_line)},
                      .trainer = std::move(trainer),
                      .ranks = ranks};
  session.trainer.evaluation_rewards = rt::shapes::shape_evaluation_rewards(held_out);
  const TuneResult result = run_method(session);
  if (result.end == rt::RunEnd::kInterrupted) {
    if (!ranks.first()) return kInterrupted;
    std::cerr << "interrupted after " << result.progress.done() << " updates; to go on: " << command_line
              << (s.resume ? "" : " --resume") << std::endl;
    return kInterrupted;
  }
  if (ranks.first()) print_outcome(s, result);
  return kDone;
}

void add_tune_command(CLI::App& app, Command& chosen, const std::string& command_line) {
  auto settings = std::make_shared<TuneSettings>();
  auto* c = app.add_subcommand("tune", "Tune a model on a reward and write a run folder");
  c->add_option("--config",
                "take settings from a TOML file, `name = value` by the names below without dashes; flags win over it")
      ->type_name("FILE");

  add_flags(*c, settings_table(), *settings);
  c->footer(
      methods_text() + table_text("\nRewards:", reward_entries()) +
      "\nThe run folder holds config.json, metrics.jsonl (a line an update), evaluations.jsonl, timings.jsonl, "
      "TensorBoard events, images/,\n"
      "before_after.png, reward.svg, report.json, lora/pytorch_lora_weights.safetensors (or model/) and checkpoints/.\n"
      "Ctrl-C finishes the update, saves a checkpoint and says how to resume; a second Ctrl-C ends at once.\n"
      "Several processes divide the images: torchrun --nproc-per-node N --no-python rt-tune tune ... (docs/scale.md).\n"
      "\nExample:\n  rt-tune tune --model examples/models/tiny-shapes --prompts examples/tune/prompts_train.txt "
      "--config examples/tune/demo.toml --out runs/mine");
  c->callback([settings, &chosen, command_line] {
    if (settings->prompts.empty() && settings->tasks.empty()) throw CLI::RequiredError("--prompts");
    chosen = [settings, command_line] { return tune(*settings, command_line); };
  });
}

const RegisteredCommand registered_tune(0, add_tune_command);

}  // namespace
}  // namespace rt_tune
