// The pipeline on the shipped model: loading, what the engine asks, the reference network, saving, and errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <unistd.h>

#include <reward_tuner/core/check.hpp>
#include <reward_tuner/core/note.hpp>
#include <reward_tuner/engine/pipeline.hpp>
#include <reward_tuner/files/json_file.hpp>
#include <reward_tuner/files/safetensors.hpp>
#include <reward_tuner/files/weights_folder.hpp>
#include <reward_tuner/layers/attention_choice.hpp>
#include <reward_tuner/lora/lora.hpp>
#include <reward_tuner/models/stable_diffusion.hpp>
#include <reward_tuner/tensor/rng.hpp>

#include <tests/reference/tiny_folder.hpp>

namespace stable_diffusion_test {

namespace fs = std::filesystem;
using namespace reward_tuner;

const fs::path kModel = fs::path(REWARD_TUNER_SOURCE_DIR) / "examples" / "models" / "tiny-shapes";

/// A folder of this process that goes away with it.
struct Scratch {
  fs::path path = fs::temp_directory_path() / ("stable_diffusion_test_" + std::to_string(::getpid()));
  Scratch() { fs::create_directories(path); }
  ~Scratch() { fs::remove_all(path); }
};

/// One network call on fixed inputs.
Tensor call(StableDiffusion& pipeline) {
  Rng rng(3);
  const Tensor latents = rng.normal(pipeline.latent_shape(2), pipeline.latent_options());  // [2,4,16,16]
  return pipeline.predict(latents, at::full({2}, 500, at::kLong),
                          pipeline.encode({"a red circle", "a blue star"}).positive);
}

static_assert(DiffusionPipeline<StableDiffusion> && ConditionTraining<StableDiffusion>);

TEST_CASE("a folder loads frozen and answers with the promised shapes") {
  auto pipeline = StableDiffusion::load(kModel);
  for (const Tensor& p : pipeline.unet().parameters()) CHECK_FALSE(p.requires_grad());
  const Condition condition = pipeline.encode({"a red circle", "a blue star", "a green ring"});
  CHECK(condition.size() == 3);
  CHECK(condition.positive.embeddings.sizes() == condition.negative.embeddings.sizes());
  CHECK_FALSE(condition.positive.embeddings[0].equal(condition.positive.embeddings[1]));
  CHECK(condition.negative.embeddings[0].equal(condition.negative.embeddings[2]));
  CHECK(condition.narrow(1, 1).positive.embeddings.equal(condition.positive.embeddings.narrow(0, 1, 1)));
  CHECK(pipeline.latent_shape(5) == std::vector<std::int64_t>{5, 4, 16, 16});
  CHECK(call(pipeline).sizes() == at::IntArrayRef({2, 4, 16, 16}));
  const Tensor latents = at::zeros({1, 4, 16, 16}).requires_grad_();
  const Tensor image = pipeline.decode(latents);  // [1,3,64,64]
  CHECK(image.sizes() == at::IntArrayRef({1, 3, 64, 64}));
  image.sum().backward();
  CHECK(latents.grad().abs().sum().item<double>() > 0);
  CHECK(pipeline.encode_images(image.detach()).sizes() == latents.sizes());
}

TEST_CASE("attention of UNet and VAE goes by the pipeline's choice in calls without gradient; the CPU has none") {
  auto pipeline = StableDiffusion::load(kModel);
  CHECK(pipeline.attention_choice() == nullptr);
  const Tensor plain = call(pipeline), latents = Rng(5).normal({2, 4, 16, 16});
  int timed = 0;
  const auto choice =
      std::make_shared<AttentionChoice>([&](AttentionKernel kernel, at::Device, const std::function<void()>& run) {
        run();
        ++timed;
        return kernel == AttentionKernel::kMath ? 1.0 : 2.0;
      });
  pipeline.set_attention_choice(choice);
  // frozen: nothing is differentiated; plain products round in another order
  CHECK((call(pipeline) - plain).abs().max().item<double>() < 1e-4);
  CHECK(choice->measured().size() > 1);
  const std::size_t of_unet = choice->measured().size();
  {
    const torch::NoGradGuard no_grad;
    pipeline.decode(latents);
  }
  CHECK(choice->measured().size() == of_unet + 1);
  const std::size_t all = choice->measured().size();
  const int asked = timed;
  const auto lora = Lora::attach(pipeline.unet(), {.rank = 2});
  Rng rng(6);
  pipeline.predict(rng.normal(pipeline.latent_shape(3)).requires_grad_(), at::full({3}, 500, at::kLong),
                   pipeline.encode({"a star", "a red circle", "a blue star"}).positive);  // other shapes, with a graph
  CHECK(choice->measured().size() == all);
  CHECK(timed == asked);
  for (const auto& [form, measured] : choice->measured()) CHECK(measured.kernel == AttentionKernel::kMath);
  CHECK(AttentionScope::now() == nullptr);

  std::vector<std::string> said;
  const NoteScope notes([&](const std::string& text) { said.push_back(text); });
  CHECK(StableDiffusion::load(kModel, {.measured_attention = true}).attention_choice() == nullptr);
  REQUIRE(said.size() == 1);
  CHECK(said[0] == "[StableDiffusion] measured_attention has no effect on the CPU, which has one kernel for each type");
}

TEST_CASE("images have any size that VAE and UNet divide, also where the UNet's file gives none or a pair") {
  auto wide = StableDiffusion::load(kModel, {.height = 40, .width = 72});
  CHECK(wide.latent_shape(2) == std::vector<std::int64_t>{2, 4, 10, 18});
  const Tensor noise = call(wide);
  CHECK(noise.sizes() == at::IntArrayRef({2, 4, 10, 18}));
  CHECK(wide.decode(noise).sizes() == at::IntArrayRef({2, 3, 40, 72}));
  CHECK(StableDiffusion::load(kModel, {.width = 24}).latent_shape(1) == std::vector<std::int64_t>{1, 4, 16, 6});
  for (const std::int64_t height : {42, 44})  // the VAE divides 44, the UNet not its latents
    CHECK_THROWS_WITH_AS(
        StableDiffusion::load(kModel, {.height = height}),
        doctest::Contains(("height must be a positive multiple of 8, the reduction of the VAE (4) and of the UNet (2): "
                           "expected 40 or 48, got " +
                           std::to_string(height))
                              .c_str()),
        Error);
  CHECK_THROWS_WITH_AS(StableDiffusion::load(kModel, {.width = -4}), doctest::Contains("width must be a positive"),
                       Error);

  const Scratch scratch;
  const fs::path copy = scratch.path / "copy";
  fs::copy(kModel, copy, fs::copy_options::recursive);
  auto config = read_json(copy / "unet" / "config.json");
  const auto with_size = [&](const nlohmann::json& size) {
    config["sample_size"] = size;
    std::ofstream(copy / "unet" / "config.json") << config.dump();
  };
  with_size({8, 12});
  CHECK(StableDiffusion::load(copy).latent_shape(1) == std::vector<std::int64_t>{1, 4, 8, 12});
  with_size(nullptr);
  CHECK_THROWS_WITH_AS(StableDiffusion::load(copy, {.height = 64}), doctest::Contains("the image's width is not known"),
                       Error);
  CHECK(StableDiffusion::load(copy, {.height = 64, .width = 32}).latent_shape(1) ==
        std::vector<std::int64_t>{1, 4, 16, 8});
}

TEST_CASE("a condition says where words are and what the empty prompt is") {
  auto pipeline = StableDiffusion::load(kModel);
  const std::string prompt = "a red circle, left";
  const Condition condition =
      pipeline.encode({prompt, "", "a red circle above a blue star below a green ring and a cyan cross"});
  REQUIRE(condition.words.size() == 3);
  CHECK((condition.words[0] == pipeline.tokenizer().words(prompt, 16)));
  CHECK(condition.words[0].size() == 4);
  CHECK(condition.words[1].empty());
  // 16 positions, the last of a truncated prompt is its end
  for (const WordTokens& word : condition.words[2]) CHECK(word.first + word.count <= 15);
  CHECK(condition.words[2].back().first + condition.words[2].back().count == 15);
  CHECK(condition.empty.embeddings.sizes() == at::IntArrayRef({1, 16, 64}));
  CHECK(condition.empty.embeddings[0].equal(condition.negative.embeddings[2]));
  CHECK(condition.empty.embeddings.is_alias_of(condition.negative.embeddings));  // encoded once
  CHECK(at::allclose(condition.empty.embeddings[0], condition.positive.embeddings[1], 0, 1e-5));
  const Condition last = condition.narrow(2, 1);
  CHECK((last.words == std::vector<std::vector<WordTokens>>{condition.words[2]}));
  CHECK(last.empty.embeddings.equal(condition.empty.embeddings));

  auto negative = StableDiffusion::load(kModel, {.negative_prompt = "a blue star"});
  const Condition other = negative.encode({prompt, "a blue star"});
  CHECK(at::allclose(other.empty.embeddings, condition.empty.embeddings, 0, 1e-5));
  CHECK(at::allclose(other.negative.embeddings[0], other.positive.embeddings[1], 0, 1e-5));
  CHECK_FALSE(at::allclose(other.negative.embeddings[0], other.empty.embeddings[0], 0, 1e-2));
  CHECK(negative.encode({}).size() == 0);
}

TEST_CASE("adapters are merged in rollouts and off in the reference network") {
  auto pipeline = StableDiffusion::load(kModel);
  const torch::NoGradGuard no_grad;
  const Tensor base = call(pipeline);
  CHECK_THROWS_WITH_AS(pipeline.reference_scope(), doctest::Contains("no LoRA is trained"), Error);
  const Lora lora = Lora::attach(pipeline.unet(), {.rank = 4, .targets = {"all"}});
  CHECK(at::allclose(call(pipeline), base, 0, 1e-5));  // B = 0
  Rng rng(5);
  for (Tensor& p : lora.parameters()) p.add_(rng.normal(p.sizes()), 0.05);
  const Tensor tuned = call(pipeline);
  CHECK((tuned - base).abs().max().item<double>() > 1e-2);
  {
    const auto scope = pipeline.rollout_scope();
    CHECK(at::allclose(call(pipeline), tuned, 1e-4, 1e-4));
    const auto inner = pipeline.reference_scope();
    CHECK(at::allclose(call(pipeline), base, 0, 1e-5));
  }
  CHECK(call(pipeline).equal(tuned));
  // scopes nest either way
  for (const RolloutMode& mode :
       {RolloutMode{}, RolloutMode{.merge_adapters = false}, RolloutMode{.dtype = at::kBFloat16}}) {
    const double rounding = mode.dtype ? 0.05 : 1e-5;
    const auto apart = [&](const Tensor& wanted) { return (call(pipeline) - wanted).abs().max().item<double>(); };
    {
      const auto outer = pipeline.reference_scope();
      const auto scope = pipeline.rollout_scope(mode);
      CHECK(apart(base) < rounding);
    }
    {
      const auto outer = pipeline.rollout_scope(mode);
      {
        const auto scope = pipeline.reference_scope();
        CHECK(apart(base) < 1e-5);
      }
      CHECK(apart(tuned) < std::max(rounding, 1e-3));
    }
    CHECK(call(pipeline).equal(tuned));
  }
}

TEST_CASE("a LoRA on the text encoder gives the condition its graph, and the reference network has none of it") {
  auto pipeline = StableDiffusion::load(kModel);
  const std::vector<std::string> prompts = {"a red circle", "a blue star"};
  CHECK_FALSE(pipeline.trains_condition());
  const Condition base = pipeline.encode(prompts);
  CHECK_FALSE(base.positive.embeddings.requires_grad());
  const Lora lora = Lora::attach(pipeline.text_encoder(),
                                 {.rank = 2, .targets = {"q_proj", "k_proj", "v_proj", "out_proj"}}, "text_encoder");
  CHECK(pipeline.trains_condition());
  {
    const torch::NoGradGuard no_grad;
    Rng rng(5);
    for (Tensor& p : lora.parameters()) p.add_(rng.normal(p.sizes()), 0.1);
    CHECK_FALSE(pipeline.encode(prompts).positive.embeddings.requires_grad());
  }
  const Condition tuned = pipeline.encode(prompts);
  for (const Tensor* states : {&tuned.positive.embeddings, &tuned.negative.embeddings, &tuned.empty.embeddings})
    CHECK(states->requires_grad());
  CHECK_FALSE(tuned.positive.embeddings.equal(base.positive.embeddings));
  {
    const auto scope = pipeline.reference_scope();  // though the UNet has no LoRA
    const auto rollout = pipeline.rollout_scope();
    CHECK(pipeline.encode(prompts).positive.embeddings.equal(base.positive.embeddings));
  }
  const auto rollout = pipeline.rollout_scope();
  CHECK(pipeline.encode(prompts).positive.embeddings.equal(tuned.positive.embeddings));
}

TEST_CASE("full fine-tuning keeps its reference, and the saved folder holds the tuned weights") {
  auto pipeline = StableDiffusion::load(kModel);
  const torch::NoGradGuard no_grad;
  const Tensor base = call(pipeline);
  for (Tensor& p : pipeline.train_unet()) {
    CHECK(p.requires_grad());
    p.mul_(1.01);
  }
  const Tensor tuned = call(pipeline);
  CHECK_FALSE(at::allclose(tuned, base, 1e-3, 1e-3));
  {
    const auto scope = pipeline.reference_scope();
    CHECK(at::allclose(call(pipeline), base, 1e-5, 1e-5));
  }
  CHECK(call(pipeline).equal(tuned));
  const Scratch scratch;
  pipeline.save(scratch.path / "saved");
  auto again = StableDiffusion::load(scratch.path / "saved");
  CHECK(at::allclose(call(again), tuned, 1e-5, 1e-5));
  CHECK(again.clip() != nullptr);
}

/// A copy of the model in which files can be changed.
struct Copy {
  Scratch scratch;
  fs::path path = scratch.path / "copy";
  Copy() { fs::copy(kModel, path, fs::copy_options::recursive); }
  void edit(const fs::path& file, const nlohmann::json& changes) const {
    nlohmann::json json = read_json(path / file);
    json.update(changes);
    std::ofstream(path / file) << json.dump();
  }
};

/// The notes of loading a folder.
std::vector<std::string> notes_of(const fs::path& folder) {
  std::vector<std::string> notes;
  const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
  StableDiffusion::load(folder);
  return notes;
}

TEST_CASE("a saved folder has every part that its model_index.json names") {
  const Copy copy;
  copy.edit("model_index.json", {{"safety_checker", {"stable_diffusion", "StableDiffusionSafetyChecker"}},
                                 {"feature_extractor", {"transformers", "CLIPImageProcessor"}},
                                 {"image_encoder", {"transformers", "CLIPVisionModelWithProjection"}}});
  for (const char* part : {"safety_checker", "feature_extractor"}) {
    fs::create_directories(copy.path / part / "inner");
    std::ofstream(copy.path / part / "inner" / "file.txt") << part;
  }
  const fs::path saved = copy.scratch.path / "saved";
  auto pipeline = StableDiffusion::load(copy.path);
  std::vector<std::string> notes;
  {
    const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
    pipeline.save(saved);
  }
  CHECK(fs::exists(saved / "safety_checker" / "inner" / "file.txt"));
  CHECK(fs::exists(saved / "feature_extractor" / "inner" / "file.txt"));
  CHECK(fs::exists(saved / "clip" / "model.safetensors"));
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("names the part image_encoder, which the folder does not have") != std::string::npos);
  CHECK(StableDiffusion::load(saved).latent_shape(1) == pipeline.latent_shape(1));
  {
    const torch::NoGradGuard no_grad;
    pipeline.unet().parameters()[0].mul_(2.0);
  }
  pipeline.save(copy.path);  // over the folder that it came from
  auto again = StableDiffusion::load(copy.path);
  CHECK(again.unet().parameters()[0].equal(pipeline.unet().parameters()[0]));
}

/// Writes a network's tensors again, times `scale`: of a variant if it has a name, in two shards if asked.
void write_weights(const fs::path& folder, const WeightsNames& names, const std::map<std::string, Tensor>& tensors,
                   const std::string& variant, bool sharded) {
  const std::string dot = variant.empty() ? "" : "." + variant;
  std::map<std::string, Tensor> parts[2];
  nlohmann::json map = nlohmann::json::object();
  std::size_t number = 0;
  const auto shard = [&](int i) {
    return names.stem + dot + (sharded ? "-0000" + std::to_string(i + 1) + "-of-00002" : "") + ".safetensors";
  };
  for (const auto& [name, tensor] : tensors) {
    const int i = sharded && 2 * number++ >= tensors.size() ? 1 : 0;
    parts[i].emplace(name, tensor);
    map[name] = shard(i);
  }
  for (int i = 0; i < (sharded ? 2 : 1); ++i) save_safetensors(folder / shard(i), parts[i]);
  if (sharded)
    write_json(folder / (names.stem + (".safetensors.index" + dot + ".json")),
               {{"metadata", {{"total_size", 1}}}, {"weight_map", map}});
}

/// The tensors of a part's plain file, as `type` and times `scale`.
std::map<std::string, Tensor> part_weights(const fs::path& folder, const WeightsNames& names, at::ScalarType type,
                                           double scale = 1) {
  std::map<std::string, Tensor> tensors;
  const auto file = SafetensorsFile::open(folder / (names.stem + std::string(".safetensors")));
  for (const auto& name : file.names()) {
    const Tensor stored = file.tensor(name);
    tensors[name] = stored.is_floating_point() ? (stored * scale).to(type) : stored.clone();
  }
  return tensors;
}

const std::pair<const char*, WeightsNames> kParts[] = {
    {"unet", kDiffusersWeights}, {"vae", kDiffusersWeights}, {"text_encoder", kTransformersWeights}};

TEST_CASE("half-precision variants and shards are the same model, in the dtype that is asked for") {
  const Copy copy;
  for (const auto& [part, names] : kParts) {
    const auto weights = part_weights(copy.path / part, names, at::kHalf);
    fs::remove(copy.path / part / (names.stem + std::string(".safetensors")));
    write_weights(copy.path / part, names, weights, "fp16", part != std::string("vae"));
  }
  const auto notes = notes_of(copy.path);
  REQUIRE(notes.size() == 3);
  for (const std::string& said : notes) CHECK(said.find("weights of the variant fp16 alone") != std::string::npos);
  auto plain = StableDiffusion::load(kModel), half = StableDiffusion::load(copy.path),
       narrow = StableDiffusion::load(copy.path, {.dtype = at::kHalf, .variant = "fp16"});
  const auto compare = [](torch::nn::Module& full, torch::nn::Module& widened, torch::nn::Module& halved,
                          at::ScalarType type) {
    const auto rounded = state_dict(widened), stored = state_dict(halved);
    for (const auto& [name, value] : state_dict(full)) {
      CHECK((rounded.at(name).scalar_type() == at::kFloat));
      CHECK(rounded.at(name).equal(value.to(at::kHalf).to(at::kFloat)));
      CHECK((stored.at(name).scalar_type() == type));
      CHECK(stored.at(name).equal(value.to(at::kHalf).to(type)));
    }
  };
  compare(plain.unet(), half.unet(), narrow.unet(), at::kHalf);
  compare(plain.vae(), half.vae(), narrow.vae(), at::kFloat);  // force_upcast
  compare(plain.text_encoder(), half.text_encoder(), narrow.text_encoder(), at::kHalf);
}

TEST_CASE("a variant is read where it is asked for, a part without it is noted, and one that no part has is an error") {
  const Copy copy;
  write_weights(copy.path / "unet", kDiffusersWeights,
                part_weights(copy.path / "unet", kDiffusersWeights, at::kHalf, 2), "fp16", /*sharded=*/false);
  const auto first = [](StableDiffusion pipeline) { return pipeline.unet().parameters()[0].clone(); };
  const Tensor plain = first(StableDiffusion::load(kModel));
  CHECK(first(StableDiffusion::load(copy.path)).equal(plain));
  std::vector<std::string> notes;
  const NoteScope scope([&](const std::string& text) { notes.push_back(text); });
  CHECK(first(StableDiffusion::load(copy.path, {.variant = "fp16"})).equal((plain * 2).to(at::kHalf).to(at::kFloat)));
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].find("vae has no weights of the variant fp16: the plain ones are read") != std::string::npos);
  CHECK(notes[1].find("text_encoder has no weights of the variant fp16") != std::string::npos);
  CHECK_THROWS_WITH_AS(StableDiffusion::load(copy.path, {.variant = "bf16"}),
                       doctest::Contains("expected weights of the variant bf16 in some part, got the variants fp16"),
                       Error);
}

TEST_CASE("a saved folder has plain weights whatever form it was read from, and none that would win over them") {
  for (const char* variant : {"", "fp16"}) {
    CAPTURE(variant);
    const Copy copy;
    for (const auto& [part, names] : kParts)  // other numbers than the plain file's
      write_weights(copy.path / part, names, part_weights(copy.path / part, names, at::kHalf, 2), variant, true);
    if (variant[0] == '\0')
      fs::remove(copy.path / "text_encoder" / "model.safetensors");  // transformers takes it first
    write_weights(copy.path / "unet", kDiffusersWeights,
                  part_weights(copy.path / "unet", kDiffusersWeights, at::kBFloat16, 3), "bf16", false);
    std::ofstream(copy.path / "unet" / "diffusion_pytorch_model.bin") << "pickle";
    auto pipeline = StableDiffusion::load(copy.path, {.variant = variant});
    const torch::NoGradGuard no_grad;
    for (Tensor& p : pipeline.train_unet(/*keep_reference=*/false)) p.mul_(1.5);
    const auto same = [&](const fs::path& folder) {
      auto again = StableDiffusion::load(folder);
      for (const auto& [mine, saved] :
           {std::pair(state_dict(pipeline.unet()), state_dict(again.unet())),
            std::pair(state_dict(pipeline.vae()), state_dict(again.vae())),
            std::pair(state_dict(pipeline.text_encoder()), state_dict(again.text_encoder()))})
        for (const auto& [name, value] : mine) CHECK(saved.at(name).equal(value));
      std::vector<std::string> unet;
      for (const auto& entry : fs::directory_iterator(folder / "unet"))
        unet.push_back(entry.path().filename().string());
      std::sort(unet.begin(), unet.end());
      CHECK((unet == std::vector<std::string>{"config.json", "diffusion_pytorch_model.safetensors"}));
    };
    const fs::path saved = copy.scratch.path / "saved";
    fs::copy(copy.path, saved, fs::copy_options::recursive);  // over another model
    pipeline.save(saved);
    same(saved);
    if (variant[0] != '\0') continue;
    pipeline.save(copy.path);  // over the one that it was read from
    same(copy.path);
  }
}

TEST_CASE("what links lead to is not written: it may be the hub's cache") {
  const Copy copy;
  const fs::path file = copy.path / "unet" / "diffusion_pytorch_model.safetensors", blob = copy.scratch.path / "blob";
  fs::rename(file, blob);
  fs::create_symlink("../../blob", file);
  auto pipeline = StableDiffusion::load(copy.path);
  const torch::NoGradGuard no_grad;
  for (Tensor& p : pipeline.train_unet(/*keep_reference=*/false)) p.mul_(1.5);
  const auto before = fs::last_write_time(blob);
  pipeline.save(copy.path);
  CHECK_FALSE(fs::is_symlink(file));
  CHECK(fs::last_write_time(blob) == before);
  CHECK(StableDiffusion::load(copy.path).unet().parameters()[0].equal(pipeline.unet().parameters()[0]));
}

TEST_CASE("a folder means what StableDiffusionPipeline makes of it, and says so") {
  const Copy copy;
  CHECK(notes_of(copy.path).empty());
  copy.edit("scheduler/scheduler_config.json", {{"clip_sample", true}, {"steps_offset", 0}});
  const auto notes = notes_of(copy.path);
  REQUIRE(notes.size() == 2);
  CHECK(notes[0].find("steps_offset 0 is taken as 1, as diffusers' StableDiffusionPipeline does") != std::string::npos);
  CHECK(notes[1].find("clip_sample true is taken as false") != std::string::npos);
  const auto pipeline = StableDiffusion::load(copy.path);
  CHECK(pipeline.noise_schedule().config() == StableDiffusion::load(kModel).noise_schedule().config());
  copy.edit("unet/config.json", {{"_diffusers_version", "0.6.0"}});
  CHECK(StableDiffusion::load(copy.path).latent_shape(1) == std::vector<std::int64_t>{1, 4, 64, 64});
  CHECK(notes_of(copy.path).size() == 3);
  CHECK(StableDiffusion::load(copy.path, {.height = 64, .width = 32}).latent_shape(1) ==
        std::vector<std::int64_t>{1, 4, 16, 8});
}

TEST_CASE("prompts are as long as the tokenizer's files say, and what is cut can be told") {
  auto pipeline = StableDiffusion::load(kModel);
  CHECK(pipeline.text_length() == 16);
  CHECK(pipeline.lost_text("a red circle").empty());
  const std::string prompt = "a red circle above a blue star below a green ring and a cyan cross";
  CHECK(pipeline.lost_text(prompt) == "cross");
  const Copy copy;
  copy.edit("tokenizer/tokenizer_config.json", {{"model_max_length", 8}});
  auto shorter = StableDiffusion::load(copy.path);
  CHECK(shorter.encode({prompt}).positive.embeddings.size(1) == 8);
  CHECK(shorter.lost_text("a red circle above a blue star") == "star");
}

TEST_CASE("a text encoder has the precision that its config.json names, as transformers 5 gives it") {
  const Copy copy;
  const auto weight = [&] { return StableDiffusion::load(copy.path).text_encoder().parameters()[0].clone(); };
  const Tensor full = weight();
  copy.edit("text_encoder/config.json", {{"torch_dtype", "float32"}});
  CHECK(weight().equal(full));
  copy.edit("text_encoder/config.json", {{"dtype", "float16"}});
  CHECK(weight().equal(full.to(at::kHalf).to(at::kFloat)));
  CHECK_FALSE(weight().equal(full));
}

TEST_CASE("tokens and the text encoder's rows are compared") {
  const Copy copy;
  const auto rows = read_json(copy.path / "text_encoder" / "config.json").at("vocab_size").get<std::int64_t>();
  std::ofstream(copy.path / "tokenizer" / "added_tokens.json") << nlohmann::json{{"<my-blob>", rows}}.dump();
  auto pipeline = StableDiffusion::load(copy.path);
  CHECK_NOTHROW(pipeline.encode({"a red circle"}));
  CHECK_THROWS_WITH_AS(pipeline.encode({"a <my-blob>"}), doctest::Contains("expected tokens with ids below"), Error);
}

TEST_CASE("weights that are not read are named with what to do, and so is one part's file alone") {
  const Copy copy;
  const fs::path unet = copy.path / "unet", weights = unet / "diffusion_pytorch_model.safetensors";
  const auto error_with = [&](const char* name) {
    fs::rename(weights, unet / name);
    std::string message;
    try {
      StableDiffusion::load(copy.path);
    } catch (const Error& error) {
      message = error.what();
    }
    fs::rename(unet / name, weights);
    return message;
  };
  const auto has = [](const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  };
  CHECK(has(error_with("diffusion_pytorch_model-00001-of-00002.safetensors"), "the index of its weights"));
  CHECK(has(error_with("diffusion_pytorch_model.bin"), "pickle files are not read"));
  CHECK(has(error_with("other.safetensors"), "got other.safetensors: this name is not read"));
  CHECK(has(error_with("notes.txt"), "no file of weights"));
  CHECK(has(error_with("notes.txt"), weights.string()));
  CHECK_NOTHROW(StableDiffusion::load(copy.path));
  CHECK_THROWS_WITH_AS(StableDiffusion::load(weights), doctest::Contains("is the UNet of a diffusers folder alone"),
                       Error);
  copy.edit("unet/config.json", {{"in_channels", 9}});
  CHECK_THROWS_WITH_AS(StableDiffusion::load(copy.path), doctest::Contains("an inpainting model"), Error);
}

/// A tiny SDXL folder in which files can be changed.
struct XlFolder : reference::TemporaryFolder {
  fs::path model = path() / "model";
  XlFolder() {
    reference::write_tiny_model(model, REWARD_TUNER_TEST_DATA "/tokenizer", 0, PipelineFamily::kStableDiffusionXL);
  }
  void edit(const fs::path& file, const nlohmann::json& changes) const {
    nlohmann::json json = read_json(model / file);
    json.update(changes);
    for (const auto& [key, value] : changes.items())
      if (value == "leave out") json.erase(key);
    write_json(model / file, json);
  }
};

std::vector<double> numbers(const Tensor& row) {
  const Tensor values = row.to(at::kDouble).contiguous();
  return {values.const_data_ptr<double>(), values.const_data_ptr<double>() + values.numel()};
}

TEST_CASE("an SDXL folder loads with both text encoders, and its condition has what the UNet asks for") {
  const XlFolder folder;
  auto pipeline = StableDiffusion::load(folder.model);
  CHECK(pipeline.family() == PipelineFamily::kStableDiffusionXL);
  REQUIRE(pipeline.text_encoders().size() == 2);
  CHECK(pipeline.text_encoders()[1].first == "text_encoder_2");
  CHECK(pipeline.text_encoders()[1].second == &pipeline.text_encoder_2());
  CHECK(pipeline.text_encoder_2().with_projection());
  CHECK(pipeline.vae().config().force_upcast);  // what the folder asks of the VAE's precision
  for (const auto& [name, model] : pipeline.text_encoders())
    for (const Tensor& p : model->parameters()) CHECK_FALSE(p.requires_grad());
  const Condition condition = pipeline.encode({"a red circle", "a blue star"});
  CHECK(condition.positive.embeddings.size(2) == 24);
  CHECK(condition.positive.pooled.sizes() == at::IntArrayRef({2, 10}));
  CHECK(condition.negative.embeddings.abs().max().item<double>() == 0);
  CHECK(numbers(condition.positive.time_ids[0]) == std::vector<double>{16, 16, 0, 0, 16, 16});
  CHECK(call(pipeline).sizes() == at::IntArrayRef({2, 4, 8, 8}));

  const auto told =
      StableDiffusion::load(folder.model,
                            {.height = 32, .width = 24, .original_size = ImageSize{64, 48}, .crop = ImagePoint{3, 5}})
          .encode({"x"});
  CHECK(numbers(told.negative.time_ids[0]) == std::vector<double>{64, 48, 3, 5, 32, 24});
  auto target = StableDiffusion::load(folder.model, {.target_size = ImageSize{8, 9}});
  CHECK(numbers(target.encode({"x"}).positive.time_ids[0]) == std::vector<double>{16, 16, 0, 0, 8, 9});
  CHECK_FALSE(call(target).equal(call(pipeline)));  // the network hears of it

  const auto negative = [&](const StableDiffusionOptions& options) {
    return StableDiffusion::load(folder.model, options).encode({"x"}).negative;
  };
  CHECK(negative({.negative_prompt = ""}).embeddings.abs().max().item<double>() > 0);
  folder.edit("model_index.json", {{"force_zeros_for_empty_prompt", false}});
  CHECK(negative({}).embeddings.equal(negative({.negative_prompt = ""}).embeddings));
  CHECK(negative({}).pooled.abs().max().item<double>() > 0);
}

TEST_CASE("the reference network is SDXL without the LoRA of either text encoder") {
  const XlFolder folder;
  for (const bool second : {false, true}) {
    auto pipeline = StableDiffusion::load(folder.model);
    const auto states = [&] {
      const torch::NoGradGuard no_grad;
      const Conditioning c = pipeline.encode({"a red circle"}).positive;
      return at::cat({c.embeddings.flatten(), c.pooled.flatten()});
    };
    const Tensor base = states();
    const auto [name, model] = pipeline.text_encoders()[second ? 1 : 0];
    const Lora lora = Lora::attach(*model, {.rank = 2, .targets = {"all-linear"}}, name);
    CHECK(pipeline.trains_condition());
    {
      const torch::NoGradGuard no_grad;
      Rng rng(5);
      for (Tensor& p : lora.parameters()) p.add_(rng.normal(p.sizes()), 0.3);
    }
    CHECK_FALSE(states().equal(base));
    const auto scope = pipeline.reference_scope();
    CHECK(states().equal(base));
  }
}

TEST_CASE("an SDXL folder is taken as its files say, and saved with all its parts") {
  const XlFolder folder;
  CHECK(notes_of(folder.model).empty());
  folder.edit("scheduler/scheduler_config.json", {{"clip_sample", true}, {"steps_offset", 0}});
  folder.edit("unet/config.json", {{"_diffusers_version", "0.6.0"}});
  CHECK(notes_of(folder.model).empty());
  auto pipeline = StableDiffusion::load(folder.model);
  CHECK(pipeline.noise_schedule().config().clipping.kind == CleanClipping::Kind::kRange);
  CHECK(pipeline.noise_schedule().config().steps_offset == 0);
  CHECK(pipeline.latent_shape(1) == std::vector<std::int64_t>{1, 4, 8, 8});
  folder.edit("scheduler/scheduler_config.json", {{"clip_sample", "leave out"}});
  const auto notes = notes_of(folder.model);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].find("clip_sample is left out: DDIM and DDPM clip") != std::string::npos);

  folder.edit("model_index.json", {{"text_encoder_2", {"transformers", "CLIPTextModelWithProjection"}},
                                   {"tokenizer_2", {"transformers", "CLIPTokenizer"}}});
  const fs::path saved = folder.path() / "saved";
  pipeline = StableDiffusion::load(folder.model);
  pipeline.save(saved);
  auto again = StableDiffusion::load(saved);
  CHECK(call(again).equal(call(pipeline)));
}

TEST_CASE("what does not fit an SDXL model, or another one, is a named error") {
  const auto refused = [](const fs::path& model, const char* sentence, const StableDiffusionOptions& options = {}) {
    CHECK_THROWS_WITH_AS(StableDiffusion::load(model, options), doctest::Contains(sentence), Error);
  };
  refused(kModel, "told to SDXL models alone: expected none of them for the model ",
          {.original_size = ImageSize{8, 8}});
  refused(kModel, "got crop", {.crop = ImagePoint{}});
  refused(kModel, "got target_size", {.target_size = ImageSize{8, 8}});
  auto one = StableDiffusion::load(kModel);
  CHECK_THROWS_WITH_AS(one.text_encoder_2(), doctest::Contains("expected a model with two text encoders (SDXL)"),
                       Error);
  {
    const XlFolder folder;
    refused(folder.model, "expected positive original_size and target_size, got 0 x 8 and 16 x 16",
            {.original_size = ImageSize{0, 8}});
    refused(folder.model, "expected a crop within the image, got 0, -1", {.crop = ImagePoint{0, -1}});
    folder.edit("unet/config.json", {{"projection_class_embeddings_input_dim", 33}});
    refused(folder.model, "expected a projection_class_embeddings_input_dim of 34");
    folder.edit("unet/config.json", {{"cross_attention_dim", 16}});
    refused(folder.model, "cross_attention_dim is 16, but the text encoders' hidden_size together is 24");
    folder.edit("unet/config.json", {{"cross_attention_dim", 24},
                                     {"addition_embed_type", nullptr},
                                     {"addition_time_embed_dim", nullptr},
                                     {"projection_class_embeddings_input_dim", nullptr}});
    refused(folder.model, "expected addition_embed_type \"text_time\" of an SDXL model, got none");
    fs::remove_all(folder.model / "tokenizer_2");
    refused(folder.model, "tokenizer_2");
    folder.edit("model_index.json",
                {{"_class_name", "StableDiffusionXLImg2ImgPipeline"}, {"requires_aesthetics_score", true}});
    refused(folder.model, "SDXL's refiner");
  }
  const XlFolder folder;
  folder.edit("model_index.json", {{"_class_name", "StableDiffusionPipeline"}});
  folder.edit("unet/config.json", {{"cross_attention_dim", 16}});
  refused(folder.model, "expected addition_embed_type null of a model before SDXL, got \"text_time\"");
}

TEST_CASE("a folder that is not a pipeline is a named error") {
  const Scratch scratch;
  CHECK_THROWS_WITH_AS(StableDiffusion::load(scratch.path / "nowhere"), doctest::Contains("got nothing at"), Error);
  std::ofstream(scratch.path / "model_index.json") << R"({"_class_name": "OtherPipeline"})";
  CHECK_THROWS_WITH_AS(StableDiffusion::load(scratch.path), doctest::Contains("got \"OtherPipeline\""), Error);
  const fs::path copy = scratch.path / "copy";
  fs::copy(kModel, copy, fs::copy_options::recursive);
  fs::remove_all(copy / "clip");
  auto pipeline = StableDiffusion::load(copy);
  CHECK_THROWS_WITH_AS(pipeline.clip(), doctest::Contains("has no clip/ folder"), Error);
  fs::remove(copy / "vae" / "diffusion_pytorch_model.safetensors");
  CHECK_THROWS_AS(StableDiffusion::load(copy), Error);
}

}  // namespace stable_diffusion_test
