// rt-tune sample, evaluate and info: looking at a model.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <iomanip>
#include <iostream>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/models/scheduler_config.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/report/image_grid.hpp>
#include <reward_tuner/report/png.hpp>
#include <reward_tuner/run/evaluation.hpp>
#include <reward_tuner/run/prompt_file.hpp>
#include <reward_tuner/run/run_record.hpp>
#include <reward_tuner/samplers/any_sampler.hpp>
#include <reward_tuner/shapes/shape_evaluation.hpp>

#include <examples/shared/load_model.hpp>
#include <examples/shared/outputs.hpp>
#include <examples/shared/sampler_options.hpp>
#include <examples/shared/settings_table.hpp>

#include "commands.hpp"
#include "flags.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

void add_model_options(CLI::App& command, TuneSettings& s) {
  static const SettingsTable rows =
      rows_of(settings_table(), {"model",    "variant",    "tokenizer", "prediction",    "sampler",      "steps",
                                 "guidance", "eta",        "spacing",   "noise-levels",  "solver-order", "solver-type",
                                 "negative", "height",     "width",     "original-size", "crop",         "target-size",
                                 "lora",     "vae-tiling", "offload",   "device",        "dtype",        "threads"});
  add_flags(command, rows, s);
}

void add_prompt_field(CLI::App& command, TuneSettings& s) {
  static const SettingsTable rows = rows_of(settings_table(), {"prompt-field"});
  add_flags(command, rows, s);
}

struct SampleSettings : TuneSettings {
  std::vector<std::string> shown;  // --prompt
  std::filesystem::path latents, save_latents;
};

int sample(const SampleSettings& s) {
  const rt::AnySampler sampler = rt::AnySampler(sampler_options(s));
  std::vector<std::string> prompts = s.shown;
  if (!s.prompts.empty())
    for (auto& prompt : rt::read_prompts(s.prompts, {.field = s.prompt_field})) prompts.push_back(std::move(prompt));
  REWARD_TUNER_CHECK(!prompts.empty(), "[rt-tune] sample expected --prompt TEXT or --prompts FILE, got neither");
  rt::Tensor clean, images;  // [B,C,h,w], [B,3,H,W]
  Outputs outputs;
  outputs.add("--save-latents", s.save_latents, [&] { rt::save_safetensors(s.save_latents, {{"latents", clean}}); });
  outputs.add("--out", s.out, [&] {
    rt::write_png(s.out,
                  prompts.size() == 1 ? images[0] : rt::image_grid({images}, {.scale = 1, .column_labels = prompts}));
  });
  apply_threads(s.threads);
  auto [pipeline, loras] = load_model(s);
  CutPrompts cut(pipeline);
  for (const auto& prompt : prompts) cut.add(prompt);
  cut.note_each();
  const torch::NoGradGuard no_grad;
  const rt::SamplerSchedule schedule = sampler.schedule(pipeline.noise_schedule());
  rt::Tensor start;  // [B,C,h,w]
  if (!s.latents.empty()) start = rt::SafetensorsFile::open(s.latents).tensor("latents").to(pipeline.latent_options());
  if (start.defined()) start = schedule.start_scale * start;  // they are the start noise, as diffusers takes them
  std::vector<std::uint64_t> seeds;
  for (std::size_t i = 0; i < prompts.size(); ++i) seeds.push_back(s.seed + i);
  rt::SampleNoise noise(seeds);
  rt::NetworkCounts counts;
  const rt::RolloutSetup setup = rt::sampling_setup(schedule, pipeline.encode(prompts), sampler.guidance());
  clean = rt::rollout(pipeline, setup, noise, counts, {.start = start}).clean;
  images = pipeline.decode(clean);
  outputs.write();
  std::cout << s.out.string() << std::endl;
  return kDone;
}

struct EvaluateSettings : TuneSettings {
  std::filesystem::path json, grid, files;  // --json, --images, --image-files
  std::uint64_t first_seed = 1000;          // --seed
};

/// The name in --image-files of each pair's image: the number of its prompt, then its seed, so that in the order in
/// which `score` reads a folder the images of a prompt come one after another.
std::vector<std::string> file_names(const std::vector<rt::EvaluationPair>& pairs, std::size_t prompts) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < pairs.size(); ++i)
    names.push_back(std::to_string(i % prompts + 1) + "-" + std::to_string(pairs[i].seed) + ".png");
  return names;
}

int evaluate_model(const EvaluateSettings& s) {
  const rt::AnySampler sampler = rt::AnySampler(sampler_options(s));
  const std::vector<std::string> prompts = rt::read_prompts(s.prompts, {.field = s.prompt_field});
  std::vector<rt::EvaluationPair> pairs = rt::evaluation_pairs(prompts, s.eval_seeds, s.first_seed);
  std::optional<rt::Evaluation> result;
  Outputs outputs;
  outputs.add("--json", s.json, [&] {
    nlohmann::json report{{"model", s.model.string()},
                          {"pairs", pairs.size()},
                          {"first_seed", s.first_seed},
                          {"seeds", s.eval_seeds},
                          {"metrics", result->metrics},
                          {"sentinels", result->sentinels},
                          {"network_forwards", result->network.forwards},
                          {"seconds", result->seconds},
                          {"versions", rt::run_versions()}};
    for (const char* name : {"variant", "tokenizer", "prediction", "lora", "sampler", "steps", "guidance", "spacing",
                             "noise-levels", "solver-order", "solver-type", "negative", "height", "width",
                             "original-size", "crop", "target-size", "device", "dtype"}) {
      const Setting& row = setting(settings_table(), name);
      report[config_key(row)] = row.field.json(s);
    }
    report["eta"] = s.eta.value_or(0);
    rt::write_json(s.json, report);
  });
  outputs.add("--images", s.grid, [&] {
    constexpr std::int64_t kColumns = 8;
    std::vector<rt::Tensor> rows;
    for (std::int64_t i = 0; i < result->images.size(0); i += kColumns)
      rows.push_back(result->images.narrow(0, i, std::min(kColumns, result->images.size(0) - i)));
    rt::write_png(s.grid, rt::image_grid(rows));
  });
  if (!s.files.empty()) {
    std::error_code code;
    REWARD_TUNER_CHECK(!std::filesystem::exists(s.files, code) || std::filesystem::is_empty(s.files, code),
                       "[rt-tune] --image-files expected a folder that is new or empty, got ", s.files.string());
    const std::vector<std::string> names = file_names(pairs, prompts.size());
    outputs.add("--image-files", s.files / names.front(), [&result, &s, names] {
      for (std::size_t i = 0; i < names.size(); ++i)
        rt::write_png(s.files / names[i], result->images[static_cast<std::int64_t>(i)]);
    });
  }
  apply_threads(s.threads);
  auto [pipeline, loras] = load_model(s);
  CutPrompts cut(pipeline);
  for (const auto& prompt : prompts) cut.add(prompt);
  cut.note_each();
  auto rewards = rt::standard_evaluation_rewards(pipeline);
  for (auto& further : rt::shapes::shape_evaluation_rewards(prompts)) rewards.push_back(std::move(further));
  result = rt::evaluate(pipeline, sampler, pairs, rewards, {.batch = s.eval_batch});
  for (const auto* numbers : {&result->metrics, &result->sentinels}) {
    for (const auto& [name, value] : *numbers)
      std::cout << std::left << std::setw(22) << name << std::right << std::fixed << std::setprecision(4)
                << std::setw(10) << value << '\n';
    if (numbers == &result->metrics) std::cout << "-- sentinels\n";
  }
  outputs.write();
  return kDone;
}

struct InfoSettings {
  std::filesystem::path model, lora;
  std::string variant;
  std::optional<rt::PredictionType> prediction;
};

std::int64_t numbers_in(const torch::nn::Module& module) {
  std::int64_t total = 0;
  for (const auto& p : module.parameters()) total += p.numel();
  return total;
}

void print_part(const char* name, const torch::nn::Module& module, const std::string& facts) {
  std::cout << std::left << std::setw(14) << name << std::right << std::setw(13) << numbers_in(module)
            << " parameters   " << facts << '\n';
}

int info(const InfoSettings& s) {
  REWARD_TUNER_CHECK(!s.model.empty() || !s.lora.empty(),
                     "[rt-tune] info expected --model DIR or --lora FILE, got neither");
  if (!s.model.empty()) {
    auto pipeline = rt::StableDiffusion::load(s.model, {.variant = s.variant, .prediction = s.prediction});
    const auto& unet = pipeline.unet().config();
    const auto& vae = pipeline.vae().config();
    const auto levels = [](const std::vector<std::int64_t>& widths) {
      std::string out;
      for (const auto width : widths) out += (out.empty() ? "" : "-") + std::to_string(width);
      return out;
    };
    std::cout << s.model.string() << '\n';
    print_part("unet", pipeline.unet(),
               "levels " + levels(unet.block_out_channels) + ", latents " + levels(pipeline.latent_shape(1)) +
                   ", condition " + std::to_string(unet.cross_attention_dim.front()));
    print_part(
        "vae", pipeline.vae(),
        "levels " + levels(vae.block_out_channels) + ", scaling factor " + nlohmann::json(vae.scaling_factor).dump());
    for (const auto& [name, model] : pipeline.text_encoders()) {
      const auto& text = model->config();
      print_part(name.c_str(), *model,
                 "width " + std::to_string(text.hidden_size) + ", " + std::to_string(text.max_position_embeddings) +
                     " tokens, vocabulary " + std::to_string(text.vocab_size));
    }
    if (std::filesystem::is_directory(s.model / "clip"))
      print_part("clip", *pipeline.clip(), "joint space " + std::to_string(pipeline.clip()->config().projection_dim));
    std::cout << "scheduler     " << rt::to_json(pipeline.noise_schedule().config()).dump() << std::endl;
  }
  if (!s.lora.empty()) {
    const auto path = rt::find_lora_file(s.lora);
    const auto file = rt::SafetensorsFile::open(path);
    std::int64_t numbers = 0;
    std::set<std::string> layers;
    std::set<std::int64_t> ranks;
    for (const auto& name : file.names()) {
      const rt::Tensor tensor = file.tensor(name);
      numbers += tensor.numel();
      if (const auto key = rt::detail::split_lora_key(name)) {
        layers.insert(key->stem);
        if (key->part == rt::detail::LoraPart::kDown) ranks.insert(tensor.size(0));
      }
    }
    std::cout << path.string() << '\n' << layers.size() << " adapted layers, " << numbers << " numbers, rank";
    for (const auto rank : ranks) std::cout << ' ' << rank;
    std::cout << '\n';
    for (const auto& layer : layers) std::cout << "  " << layer << '\n';
  }
  return kDone;
}

void add_sample_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<SampleSettings>();
  SampleSettings& s = *settings;
  auto* c = app.add_subcommand("sample", "Draw images");
  add_model_options(*c, s);
  const CLI::callback_t take = [&s](const CLI::results_t& words) {  // as they were typed: "[a, b]" is one
    s.shown = words;
    return true;
  };
  c->add_option("--prompt", take, "what to draw; several prompts make a grid (repeat the flag)")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("TEXT");
  c->add_option("--prompts", s.prompts, "more of them: a file as `rt-tune tune --prompts` takes it")->type_name("FILE");
  add_prompt_field(*c, s);
  c->add_option("--seed", s.seed, "of the first image; the next has the next seed")->capture_default_str();
  c->add_option("--latents", s.latents,
                "start noise instead of the seed's: a safetensors file with one tensor `latents` [B,C,h,w]")
      ->type_name("FILE");
  c->add_option("--save-latents", s.save_latents, "write the clean latents before the decoder: one tensor `latents`")
      ->type_name("FILE");
  c->add_option("--out", s.out, "PNG file to write")->required()->type_name("FILE");
  c->callback([settings, &chosen] { chosen = [settings] { return sample(*settings); }; });
}

void add_evaluate_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<EvaluateSettings>();
  EvaluateSettings& s = *settings;
  auto* c = app.add_subcommand("evaluate", "Measure a model on prompts: every metric and sentinel");
  add_model_options(*c, s);
  c->add_option("--prompts", s.prompts, "a file as `rt-tune tune --prompts` takes it")->required()->type_name("FILE");
  add_prompt_field(*c, s);
  c->add_option("--seeds", s.eval_seeds, "images of each prompt")->capture_default_str();
  c->add_option("--seed", s.first_seed, "the first seed")->capture_default_str();
  c->add_option("--batch", s.eval_batch, "images at a time")->capture_default_str();
  c->add_option("--json", s.json, "also write the numbers to this file")->type_name("FILE");
  c->add_option("--images", s.grid, "also write all images as one grid to this PNG file")->type_name("FILE");
  c->add_option("--image-files", s.files,
                "also write each image to this folder, as NUMBER-SEED.png by the number of its prompt: what `score "
                "--images-per-prompt` takes")
      ->type_name("DIR");
  c->callback([settings, &chosen] { chosen = [settings] { return evaluate_model(*settings); }; });
}

void add_info_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<InfoSettings>();
  auto* c = app.add_subcommand("info", "Tell what a model folder or a LoRA file holds");
  c->add_option("--model", settings->model, "a model folder, or one file in the original layout")
      ->type_name("DIR|FILE");
  c->add_option("--variant", settings->variant, "of the model's weights, such as fp16")->type_name("NAME");
  add_prediction_option(*c, settings->prediction);
  c->add_option("--lora", settings->lora, "a LoRA folder or file")->type_name("DIR|FILE");
  c->callback([settings, &chosen] { chosen = [settings] { return info(*settings); }; });
}

const RegisteredCommand registered_sample(1, add_sample_command), registered_evaluate(2, add_evaluate_command),
    registered_info(3, add_info_command);

}  // namespace
}  // namespace rt_tune
