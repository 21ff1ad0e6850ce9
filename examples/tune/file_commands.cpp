// rt-tune merge and convert: models and LoRAs in the files and forms of other programs.
#include <filesystem>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/files/output_path.hpp>
#include <reward_tuner/lora/lora_files.hpp>
#include <reward_tuner/models/known_layers.hpp>
#include <reward_tuner/models/merged_weights.hpp>
#include <reward_tuner/models/model_files.hpp>
#include <reward_tuner/models/model_writer.hpp>
#include <reward_tuner/models/pipeline_lora.hpp>

#include "commands.hpp"
#include "flags.hpp"

namespace rt_tune {

namespace rt = reward_tuner;

namespace {

bool is_file_name(const std::filesystem::path& path) { return path.extension() == ".safetensors"; }

/// Errors: a folder with something in it, or a place where none can be made.
void check_new_folder(const std::filesystem::path& folder) {
  std::error_code code;
  REWARD_TUNER_CHECK(!std::filesystem::is_directory(folder, code) || std::filesystem::is_empty(folder, code),
                     "[rt-tune] --out expected a new or empty folder, got ", folder.string());
  rt::check_output_folder(folder);
}

struct MergeSettings {
  std::filesystem::path model, tokenizer, out;
  std::string variant;
  std::optional<rt::PredictionType> prediction;
  std::vector<std::string> loras;
};

int merge(const MergeSettings& s) {
  const rt::ModelFiles model =
      rt::ModelFiles::open(s.model, {.variant = s.variant, .tokenizer = s.tokenizer, .prediction = s.prediction});
  std::vector<rt::LoraSource> loras;
  for (const std::string& word : s.loras) loras.push_back(rt::lora_source(word));
  const bool one_file = is_file_name(s.out);
  if (one_file) rt::check_model_file(s.out, model);
  else check_new_folder(s.out);
  const rt::PartWeights merged = rt::merged_weights(model, loras);
  if (one_file) rt::write_model_file(s.out, model, merged);
  else rt::write_model_folder(s.out, model, merged);
  std::cout << s.out.string() << std::endl;
  return kDone;
}

struct ConvertSettings {
  std::filesystem::path lora, model, out;
  std::string variant, form;
};

int convert(const ConvertSettings& s) {
  const bool kohya = s.form == "kohya";
  REWARD_TUNER_CHECK(!kohya || is_file_name(s.out), "[rt-tune] --out expected a .safetensors file for --to kohya, got ",
                     s.out.string());
  const auto source = rt::find_lora_file(s.lora);
  const auto target = is_file_name(s.out) ? s.out : s.out / rt::kLoraFileName;
  std::error_code code;
  REWARD_TUNER_CHECK(!std::filesystem::equivalent(source, target, code),
                     "[rt-tune] --out expected another file than that of --lora, got ", target.string());
  rt::prepare_output_file(target);
  const rt::LoraParts layers = s.model.empty() ? rt::known_layers(source)
                                               : rt::lora_parts(rt::ModelFiles::open(s.model, {.variant = s.variant}));
  const auto adapters = rt::read_lora(s.lora, layers);
  if (kohya) rt::write_lora_kohya(target, adapters, rt::kohya_names(layers));
  else rt::write_lora(target, adapters, {}, rt::LoraAlpha::kStated);
  std::size_t count = 0;
  for (const auto& [part, paths] : adapters) count += paths.size();
  std::cout << target.string() << ": " << count << " layers" << std::endl;
  return kDone;
}

void add_merge_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<MergeSettings>();
  MergeSettings& s = *settings;
  auto* c = app.add_subcommand("merge", "Make LoRAs a part of a model's weights for good");
  c->add_option("--model", s.model, "a model folder, or one file in the original layout")
      ->required()
      ->type_name("DIR|FILE");
  c->add_option("--variant", s.variant, "of a folder's weights, such as fp16")->type_name("NAME");
  add_prediction_option(*c, s.prediction);
  c->add_option("--tokenizer", s.tokenizer, "a tokenizer folder for --out DIR, in place of the model's own")
      ->type_name("DIR");
  c->add_option("--lora", s.loras, "a LoRA and its strength, 1 if not given; several add up (repeat the flag)")
      ->required()
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("PATH[:SCALE]");
  c->add_option("--out", s.out,
                "a name that ends in .safetensors: one file in the original layout, as web interfaces read it; another "
                "name: a new folder as diffusers reads it. Weights keep the model's dtype")
      ->required()
      ->type_name("DIR|FILE");
  c->callback([settings, &chosen] { chosen = [settings] { return merge(*settings); }; });
}

void add_convert_command(CLI::App& app, Command& chosen, const std::string&) {
  auto settings = std::make_shared<ConvertSettings>();
  ConvertSettings& s = *settings;
  auto* c = app.add_subcommand("convert", "Write a LoRA in the form of other programs");
  c->add_option("--lora", s.lora, "a LoRA file or folder in any form that is read, see docs/models.md")
      ->required()
      ->type_name("PATH");
  c->add_option("--to", s.form,
                "diffusers: names and metadata as diffusers and peft have them; kohya: as Kohya's scripts, web "
                "interfaces and stable-diffusion.cpp have them. Factors and alpha keep every bit")
      ->required()
      ->check(CLI::IsMember({"diffusers", "kohya"}))
      ->type_name("FORM");
  c->add_option("--model", s.model,
                "the model whose layers the LoRA names; default: Stable Diffusion 1, 2 or XL, whichever fits")
      ->type_name("DIR|FILE");
  c->add_option("--variant", s.variant, "of the model's weights, such as fp16")->type_name("NAME");
  c->add_option("--out", s.out, "a .safetensors file to write, or for --to diffusers also a folder")
      ->required()
      ->type_name("FILE|DIR");
  c->callback([settings, &chosen] { chosen = [settings] { return convert(*settings); }; });
}

const RegisteredCommand registered_merge(4, add_merge_command), registered_convert(5, add_convert_command);

}  // namespace
}  // namespace rt_tune
