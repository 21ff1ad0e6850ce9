// Writes the README.md of a tiny-shapes folder from its report.json.
#pragma once
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include <nlohmann/json.hpp>

#include <reward_tuner/core/number_text.hpp>
#include <reward_tuner/files/atomic_file.hpp>
#include <reward_tuner/shapes/shape_vocabulary.hpp>

#include <examples/shared/markdown.hpp>

namespace reward_tuner::pretrain {

using namespace reward_tuner::shapes;

/// "Intel(R) Xeon(R) ..., 2 cores" from /proc/cpuinfo; the count alone where there is none.
inline std::string hardware_name() {
  std::string model = "unknown CPU";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      model = line.substr(line.find(':') + 2);
      break;
    }
  return model + ", " + std::to_string(std::thread::hardware_concurrency()) + " cores";
}

namespace detail {

template <class Table>
std::string word_list(const Table& table) {
  std::string text;
  for (const auto& entry : table) {
    if (!text.empty()) text += ", ";
    if constexpr (requires { entry.name; }) text += entry.name;
    else text += entry;
  }
  return text;
}

inline std::string sample_row(const char* name, const nlohmann::json& m) {
  const auto percent = [&](const char* key) { return number_text("%.0f%%", 100 * m.at(key).get<double>()); };
  return "| " + std::string(name) + " | " + std::to_string(m.at("images").get<int>()) + " | " +
         percent("shape_accuracy") + " | " + percent("color_accuracy") + " | " + percent("both_right") + " | " +
         percent("relation_accuracy") + " | " + number_text("%.2f", m.at("coverage").get<double>()) + " | " +
         number_text("%.2f", m.at("symmetry_error").get<double>()) + " |\n";
}

inline std::string stage_row(const char* name, const nlohmann::json& training, const char* key, const char* what) {
  const nlohmann::json& stage = training.at(key);
  return "| " + std::string(name) + " | " + what + " | " + std::to_string(stage.at("parameters").get<long long>()) +
         " | " + std::to_string(stage.at("steps").get<long long>()) + " | " +
         std::to_string(stage.at("batch").get<long long>()) + " | " +
         number_text("%.1f min", stage.at("seconds").get<double>() / 60) + " | " +
         number_text("%.4f", stage.at("loss").get<double>()) + " |\n";
}

}  // namespace detail

/// report: {"training": {...}, "evaluation": {...}} as main writes it.
inline void write_model_card(const std::filesystem::path& folder, const nlohmann::json& report) {
  const nlohmann::json &training = report.at("training"), &measured = report.at("evaluation");
  const auto note = training.value("note", std::string());
  std::string held_out;
  for (const auto& [shape, color] : kHeldOutPairs)
    held_out += (held_out.empty() ? "" : ", ") + std::string(kObjectColors[static_cast<std::size_t>(color)].name) +
                " " + std::string(kShapeNames[static_cast<std::size_t>(shape)]);
  std::string text =
      "# tiny-shapes: a Stable Diffusion of 3 million parameters\n\n"
      "A complete latent diffusion model (text encoder, UNet, VAE, DDIM scheduler) and a CLIP, trained from scratch on "
      "drawn images of\n"
      "colored shapes. It exists so that every method of RewardTuner can be tried in minutes on a laptop. It loads in "
      "this library, and\n"
      "in Python by `StableDiffusionPipeline.from_pretrained` and, for `clip/`, `CLIPModel.from_pretrained`.\n\n"
      "![one sample for each color and shape](samples.png)\n\n![longer prompts](captions.png)\n\n"
      "Samples: DDIM, " +
      std::to_string(measured.at("sampler").at("steps").get<int>()) + " steps, guidance " +
      number_text("%.1f", measured.at("sampler").at("guidance").get<double>()) +
      ", one fixed seed an image, none chosen.\n\n"
      "## What it knows\n\n"
      "64 x 64 images (latents 4 x 16 x 16) of one or two objects, prompts of up to 14 words:\n"
      "`[a picture of] object [relation object] [on a BACKGROUND background]`, an object being `a [small|large] COLOR "
      "SHAPE`.\n\n"
      "- shapes: " +
      detail::word_list(kShapeNames) + "\n- colors: " + detail::word_list(kObjectColors) +
      "\n- backgrounds: " + detail::word_list(kBackgroundColors) +
      "\n- relations: and, left of, right of, above, below\n\n"
      "Never shown in training, to measure new combinations: " +
      held_out +
      ".\n\n"
      "## Quality\n\n"
      "- VAE: " +
      number_text("%.1f", measured.at("vae").at("psnr_db").get<double>()) +
      " dB on new images.\n"
      "- CLIP: the right one of 48 captions for " +
      number_text("%.1f", 100 * measured.at("clip").at("zero_shot_accuracy").get<double>()) + "% of new images, " +
      number_text("%.1f", 100 * measured.at("clip").at("zero_shot_accuracy_held_out_pairs").get<double>()) +
      "% for the held-out pairs.\n"
      "- Samples, judged by the analytic detector (`ShapeReward`); its own accuracy is the first row:\n\n"
      "| images | number | shape right | color right | both | relation | coverage | symmetry error "
      "|\n|---|---|---|---|---|---|---|---|\n";
  text += detail::sample_row("drawn, one object", measured.at("real_images"));
  text += detail::sample_row("sampled, one object", measured.at("samples_single"));
  text += detail::sample_row("sampled, held-out pairs", measured.at("samples_held_out_pairs"));
  text += detail::sample_row("sampled, two objects", measured.at("samples_two_objects"));
  text +=
      "\n\"Relation\" is 1 if all objects are there and lie as the caption says. Coverage is the share of the image "
      "that objects cover.\n\n"
      "## Training\n\n```\n" +
      training.at("command").get<std::string>() + "\n```\n\n" + training.at("hardware").get<std::string>() + ", " +
      std::to_string(training.at("threads").get<int>()) + " thread(s), LibTorch " +
      training.at("libtorch").get<std::string>() + ", seed " + std::to_string(training.at("seed").get<long long>()) +
      ", " + std::to_string(training.at("images").get<long long>()) +
      " drawn images. Times include other work on the machine." + (note.empty() ? "" : " " + note) +
      "\n\n"
      "| stage | loss | parameters | steps | batch | time | last loss |\n|---|---|---|---|---|---|---|\n";
  text += detail::stage_row("VAE", training, "vae", "L1 + squared error, colors and color differences, objects 4x");
  text += detail::stage_row("CLIP", training, "clip", "contrastive, all true pairs of a batch");
  text += detail::stage_row("UNet + text encoder", training, "unet", "noise prediction, 10% empty prompts");
  text +=
      "\nAll numbers are in report.json. `rt-pretrain --evaluate --out FOLDER` measures again.\n\n"
      "## Limits\n\n"
      "It draws these shapes and nothing else; words outside the grammar mean nothing to it. Two objects and their "
      "relation come out less\n"
      "reliably than one. Most objects lie off the center, as in the training images: that is what symmetry tuning "
      "changes.\n";
  write_file_atomically(folder / "README.md", rt_shared::wrapped_markdown(text));
}

}  // namespace reward_tuner::pretrain
