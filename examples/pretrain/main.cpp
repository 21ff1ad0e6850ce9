// rt-pretrain: draws captioned images of shapes and trains the tiny Stable Diffusion of examples/models on them, from
// nothing.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>
#include <torch/headeronly/version.h>

#include <climits>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <examples/pretrain/bpe_trainer.hpp>
#include <examples/pretrain/evaluation.hpp>
#include <examples/pretrain/model_card.hpp>
#include <examples/pretrain/model_folder.hpp>
#include <examples/pretrain/train_clip.hpp>
#include <examples/pretrain/train_unet.hpp>
#include <examples/pretrain/train_vae.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/output_path.hpp>

namespace {

namespace fs = std::filesystem;
using namespace reward_tuner;
using namespace reward_tuner::shapes;
using namespace reward_tuner::pretrain;

struct Options {
  fs::path out = "examples/models/tiny-shapes", work = "runs/pretrain";
  std::uint64_t seed = 0;
  int threads = 1;
  std::int64_t images = 20000, vae_steps = 1200, clip_steps = 3000, unet_steps = 6000, preview_every = 500;
  std::string note;
  int repeats = 4;
  bool evaluate_only = false;
};

constexpr std::int64_t kVaeBatch = 8, kClipBatch = 64, kUnetBatch = 32;

BpeVocabulary caption_vocabulary() {
  std::map<std::string, std::int64_t> words;
  for (const std::string& word : caption_words()) words[word] = 1;
  return train_bpe(words);
}

nlohmann::json stage_json(const StageReport& report, std::int64_t batch,
                          std::initializer_list<const torch::nn::Module*> networks) {
  std::int64_t parameters = 0;
  for (const auto* network : networks)
    for (const auto& parameter : network->parameters()) parameters += parameter.numel();
  return {{"steps", report.steps},
          {"batch", batch},
          {"seconds", report.seconds},
          {"loss", report.loss},
          {"parameters", parameters}};
}

std::string command(const Options& o) {
  const auto option = [](const char* name, auto value) {
    return std::string(" --") + name + " " + std::to_string(value);
  };
  return "rt-pretrain --out examples/models/tiny-shapes" + option("seed", o.seed) + option("threads", o.threads) +
         option("images", o.images) + option("vae-steps", o.vae_steps) + option("clip-steps", o.clip_steps) +
         option("unet-steps", o.unet_steps);
}

/// Trains every stage that is not finished yet and writes the folder; returns the "training" part of the report.
nlohmann::json pretrain_all(const Options& o) {
  fs::create_directories(o.work);
  const ImageSet images = draw_images(o.images, Rng::derive(o.seed, 100)),
                 held_out = draw_images(200, Rng::derive(o.seed, 101));
  std::printf("%lld images drawn\n", static_cast<long long>(o.images));
  const BpeVocabulary vocabulary = caption_vocabulary();
  write_tokenizer(vocabulary, o.work / "tokenizer", kPromptTokens);
  const ClipTokenizer tokenizer = ClipTokenizer::load(o.work / "tokenizer");

  const auto vae =
      train_vae(images, held_out, o.work, {.steps = o.vae_steps, .average = 0.995, .seed = 10 * o.seed}, kVaeBatch);
  const auto clip = train_clip(tokenizer, images, held_out, o.work,
                               {.steps = o.clip_steps,
                                .warm_up = 200,
                                .beta2 = 0.98,
                                .weight_decay = 0.01,
                                .average = 0.995,
                                .seed = 10 * o.seed + 1},
                               kClipBatch);
  const Tensor latents = encode_images(*vae.network, images, at::arange(o.images));
  const auto preview = [&](std::int64_t step, const Denoiser& denoiser) {
    write_model_folder(o.work / "preview", {vae.network, denoiser.unet, denoiser.text, nullptr}, vocabulary);
    StableDiffusion pipeline = StableDiffusion::load(o.work / "preview");
    write_png(o.work / ("samples_" + std::to_string(step) + ".png"),
              image_grid({sample_images(pipeline, long_prompts(), 100)}));
  };
  const auto denoiser =
      train_denoiser(tokenizer, latents, images.scenes, o.work,
                     {.steps = o.unet_steps, .warm_up = 200, .average = 0.999, .seed = 10 * o.seed + 2}, kUnetBatch,
                     o.preview_every, preview);
  write_model_folder(o.out, {vae.network, denoiser.network.unet, denoiser.network.text, clip.network}, vocabulary);
  return {
      {"command", command(o)},
      {"seed", o.seed},
      {"threads", o.threads},
      {"images", o.images},
      {"hardware", hardware_name()},
      {"libtorch", TORCH_VERSION},
      {"note", o.note},
      {"vae", stage_json(vae.report, kVaeBatch, {vae.network.get()})},
      {"clip", stage_json(clip.report, kClipBatch, {clip.network.get()})},
      {"unet", stage_json(denoiser.report, kUnetBatch, {denoiser.network.unet.get(), denoiser.network.text.get()})}};
}

int run(int argc, char** argv) {
  Options o;
  CLI::App app(
      "Trains the tiny Stable Diffusion of examples/models from scratch on drawn images of colored shapes.\n"
      "Every stage saves its state in the work folder each minute: start the same command again to continue a stopped "
      "run.");
  app.option_defaults()->always_capture_default();
  app.add_option("--out", o.out, "Model folder to write, in diffusers layout");
  app.add_option("--work", o.work, "Folder of checkpoints, logs and previews");
  app.add_option("--seed", o.seed, "Decides images, captions, initial weights and noise");
  app.add_option("--threads", o.threads, "Threads of LibTorch; on a busy machine one is fastest")
      ->check(CLI::PositiveNumber);
  app.add_option("--images", o.images, "Images of the training set")->check(CLI::PositiveNumber);
  app.add_option("--vae-steps", o.vae_steps, "Steps of the autoencoder")->check(CLI::PositiveNumber);
  app.add_option("--clip-steps", o.clip_steps, "Steps of the CLIP")->check(CLI::PositiveNumber);
  app.add_option("--unet-steps", o.unet_steps, "Steps of the UNet and its text encoder")->check(CLI::PositiveNumber);
  app.add_option("--preview-every", o.preview_every,
                 "UNet steps between two images of samples in the work folder, a multiple of 50")
      ->check(CLI::PositiveNumber);
  app.add_option("--repeats", o.repeats, "Samples for each color and shape in the evaluation")
      ->check(CLI::PositiveNumber);
  app.add_option("--note", o.note, "A remark on this training for the model card");
  app.add_flag("--evaluate", o.evaluate_only,
               "Train nothing: measure the folder --out again and rewrite its report and README");
  CLI11_PARSE(app, argc, argv);

  at::set_num_threads(o.threads);
  at::globalContext().setFlushDenormal(true);  // young moments of AdamW are denormal and slow
  if (!o.evaluate_only) {                      // hours before anything is written there
    prepare_output_folder(o.out);
    prepare_output_folder(o.work);
  }
  nlohmann::json report;
  report["training"] = o.evaluate_only ? read_json(o.out / "report.json").at("training") : pretrain_all(o);
  write_sample_grids(o.out);
  report["evaluation"] = evaluate(o.out, o.seed, o.repeats);
  write_json(o.out / "report.json", report);
  write_model_card(o.out, report);
  std::printf("%s\n", report["evaluation"].dump(2).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);  // keep big blocks: giving them back to the kernel costs a quarter of the time
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "rt-pretrain: %s\n", problem.what());
    return 1;
  }
}
